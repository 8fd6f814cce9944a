//! An agent without a client library: each message made by hand, so that it can be made wrong.

use std::time::Duration;

use durward_protocol::wire::{
    ConfirmRequest, ExchangeRequest, ExchangeResponse, InitiateRequest, InitiateResponse,
};
use durward_protocol::{
    AgentId, AgentName, Code, Confirmation, CredentialCancel, CredentialRequest, Displayer, Domain, Field,
    Header, PairingOffer, PakeMessage, RequestId, Scope, SessionId, SessionKeys, Side, seal,
};
use reqwest::Client;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::stage::{Broken, Stage, text};
use crate::os_rng;

const HOLD: Duration = Duration::from_secs(30);

/// Status and body of an answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Reply {
    /// The error's code, or what came instead.
    pub(super) fn code(&self) -> String {
        match self.body["error"].as_str() {
            Some(code) => code.to_owned(),
            None => format!("{} {}", self.status, self.body["status"].as_str().unwrap_or_default()),
        }
    }

    /// A good answer as its type.
    pub(super) fn read<T: serde::de::DeserializeOwned>(self) -> Result<T, Broken> {
        if self.status >= 300 {
            return Err(self.code());
        }
        serde_json::from_value(self.body).map_err(text)
    }
}

/// A connection to the approver.
pub(super) struct Wire {
    client: Client,
    url: String,
}

impl Wire {
    pub(super) fn to(stage: &Stage) -> Result<Self, Broken> {
        let _ = rustls::crypto::ring::default_provider().install_default(); // one is enough
        let client =
            Client::builder().no_proxy().tls_certs_only([]).timeout(2 * HOLD).build().map_err(text)?;
        Ok(Self { client, url: stage.url.clone() })
    }

    pub(super) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        hold: Duration,
    ) -> Result<Reply, Broken> {
        self.post_from(path, body, hold, None).await
    }

    /// With an `Origin`, as a web page has.
    pub(super) async fn post_from(
        &self,
        path: &str,
        body: &impl Serialize,
        hold: Duration,
        origin: Option<&str>,
    ) -> Result<Reply, Broken> {
        let body = serde_json::to_vec(body).map_err(text)?;
        let mut call = self
            .client
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("prefer", format!("wait={}", hold.as_secs()));
        if let Some(origin) = origin {
            call = call.header("origin", origin);
        }
        let answer = call.body(body).send().await.map_err(text)?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(text)?;
        Ok(Reply { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }
}

/// A session of the attacker's own, or one it stole the name of.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) keys: SessionKeys,
}

/// How a pairing goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Twist {
    /// It does not.
    None,
    /// The owner typed another code.
    WrongCode,
    /// Somebody in between answers with the agent's own message.
    Mirror,
    /// Somebody in between changes the session id.
    SessionSwapped,
    /// Somebody in between takes the limits away.
    ScopeRemoved,
    /// An agent that did not have the right code claims it had.
    FalseProof,
}

/// A pairing, twisted. `Ok(Err(_))`: who noticed, and how.
pub(super) async fn pair(
    stage: &Stage,
    wire: &Wire,
    name: &str,
    scope_asked: &Scope,
    twist: Twist,
) -> Result<Result<Session, String>, Broken> {
    let mut rng = os_rng();
    let ask = InitiateRequest {
        agent_id: name.to_owned(),
        agent_name: name.to_owned(),
        scope: Some(scope_asked.as_str().to_owned()).filter(|scope| !scope.is_empty()),
        pairing_code: None,
    };
    let opened: InitiateResponse = wire.post("/pairing/initiate", &ask, Duration::ZERO).await?.read()?;
    let offer = PairingOffer {
        pairing_id: opened.pairing_id,
        agent_id: AgentId::parse(name).map_err(text)?,
        agent_name: AgentName::parse(name).map_err(text)?,
        approver_id: opened.approver_id,
        scope_asked: scope_asked.clone(),
    };
    let code = Code::random(&mut rng);
    let typed = if twist == Twist::WrongCode { Code::random(&mut rng) } else { code.duplicate() };
    let displayer = Displayer::start(offer, &code, &mut rng);
    let own_message = displayer.message().encode();
    let body = ExchangeRequest {
        pairing_id: opened.pairing_id,
        pake_message: own_message.clone(),
        pairing_code: None,
    };
    let agent = async {
        let mut answer: ExchangeResponse = wire.post("/pairing/exchange", &body, HOLD).await?.read()?;
        match twist {
            Twist::Mirror => answer.pake_message = own_message,
            Twist::SessionSwapped => answer.session_id = SessionId::random(&mut os_rng()),
            Twist::ScopeRemoved => answer.scope = String::new(),
            Twist::None | Twist::WrongCode | Twist::FalseProof => {}
        }
        let verified = verify(displayer, &answer);
        let session_id = answer.session_id;
        let session = match verified {
            Ok((session, _)) if twist == Twist::FalseProof => {
                let forged = ConfirmRequest { session_id, confirmation: "A".repeat(43) };
                let first = wire.post("/pairing/confirm", &forged, Duration::ZERO).await?.code();
                let second = wire.post("/pairing/confirm", &forged, Duration::ZERO).await?.code();
                drop(session);
                return Ok(Err(format!("approver: {first}, then {second}")));
            }
            Ok((session, mac_a)) => {
                let proof = ConfirmRequest { session_id, confirmation: mac_a.encode() };
                let reply = wire.post("/pairing/confirm", &proof, Duration::ZERO).await?;
                if reply.status >= 300 {
                    return Ok(Err(format!("approver: {}", reply.code())));
                }
                session
            }
            Err(noticed) => {
                let cancel = serde_json::json!({ "pairing_id": opened.pairing_id });
                wire.post("/pairing/cancel", &cancel, Duration::ZERO).await?;
                return Ok(Err(format!("agent: {noticed}")));
            }
        };
        Ok::<_, Broken>(Ok(session))
    };
    let (entered, end) = tokio::join!(stage.enter(opened.number, &typed), agent);
    match (end?, entered) {
        (Ok(_), Err(refusal)) => Ok(Err(format!("approver: {refusal}"))),
        (end, _) => Ok(end),
    }
}

fn verify(displayer: Displayer, answer: &ExchangeResponse) -> Result<(Session, Confirmation), String> {
    let message = PakeMessage::parse(&answer.pake_message, Side::B).map_err(text)?;
    let mac_b = Confirmation::parse(&answer.confirmation).map_err(text)?;
    let scope = Scope::parse(&answer.scope).map_err(text)?;
    let verified = displayer.verify(answer.session_id, scope, &message, &mac_b).map_err(text)?;
    Ok((Session { id: verified.session_id, keys: verified.keys }, verified.mac_a))
}

impl Session {
    /// A sealed question for a domain, as if sealed `age` seconds ago.
    pub(super) fn request(&self, id: RequestId, domain: &str, age: i64) -> Result<String, Broken> {
        let request = CredentialRequest {
            id,
            domain: Domain::parse(domain).map_err(text)?,
            reason: "selftest".into(),
            fields: vec![Field::Username, Field::Password],
            item_id: None,
            expires_in: None,
            heads: None,
        };
        let plaintext = request.to_plaintext(header(age)).map_err(text)?;
        self.seal(Side::A, &self.id, &plaintext)
    }

    /// A sealed word that the request is given up.
    pub(super) fn cancel(&self, id: RequestId) -> Result<String, Broken> {
        let plaintext = CredentialCancel { id }.to_plaintext(header(0)).map_err(text)?;
        self.seal(Side::A, &self.id, &plaintext)
    }

    /// As any side of any session.
    pub(super) fn seal(&self, side: Side, session: &SessionId, plaintext: &[u8]) -> Result<String, Broken> {
        seal(&self.keys, side, session, plaintext, &mut os_rng()).map_err(text)
    }

    /// Posts a payload under this session's name.
    pub(super) async fn post(&self, wire: &Wire, path: &str, payload: &str) -> Result<Reply, Broken> {
        self.post_held(wire, path, payload, Duration::ZERO).await
    }

    pub(super) async fn post_held(
        &self,
        wire: &Wire,
        path: &str,
        payload: &str,
        hold: Duration,
    ) -> Result<Reply, Broken> {
        let body = serde_json::json!({ "session_id": self.id, "encrypted_payload": payload });
        wire.post(path, &body, hold).await
    }
}

#[expect(clippy::disallowed_methods, reason = "an agent's clock is the machine's")]
fn header(age: i64) -> Header {
    Header::new(OffsetDateTime::now_utc() - time::Duration::seconds(age), &mut os_rng())
}
