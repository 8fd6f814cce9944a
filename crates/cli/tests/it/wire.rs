//! Raw HTTP, an agent made of the protocol's parts, and an owner on the control port: tests that need to
//! say what no SDK would say.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use durward_protocol::wire::{
    ConfirmRequest, CredentialAnswer, ExchangeRequest, ExchangeResponse, InitiateResponse, SealedRequest,
};
use durward_protocol::{
    AgentId, AgentName, Code, Confirmation, CredentialCancel, CredentialRequest, CredentialResponse,
    Displayer, Domain, Field, Header, PairingOffer, PakeMessage, RequestId, Scope, SessionId, SessionKeys,
    Side, open, seal,
};
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::home::{Daemon, Home, VAULT_PASSWORD};

/// How long an answer may take before the test calls it a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// An HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The `error` of a refusal.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends bytes, whatever they are, and reads until the server closes or stops. `None`: the connection broke
/// without a whole answer.
pub(crate) fn send(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let _ = stream.write_all(bytes); // it may have answered, and closed, before it read all
    read(&mut stream)
}

pub(crate) fn read(stream: &mut TcpStream) -> Option<Answer> {
    let (mut seen, mut buffer) = (Vec::new(), [0; 16_384]);
    loop {
        if let Some(answer) = parse(&seen) {
            return Some(answer);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(n) => seen.extend_from_slice(&buffer[..n]),
            Err(error) => {
                let hung =
                    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                assert!(!hung, "no answer within {PATIENCE:?}");
                return None;
            }
        }
    }
}

fn parse(seen: &[u8]) -> Option<Answer> {
    let end = seen.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&seen[..end]).into_owned();
    let status = head.get(9..12)?.parse().ok()?;
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let body = seen.get(end + 4..end + 4 + length.unwrap_or(0))?;
    Some(Answer { status, head, body: body.to_owned() })
}

/// A well-formed call; `headers` are whole lines without their ends.
pub(crate) fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> Option<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    let length = format!("content-length: {}\r\n\r\n", body.len());
    head.push_str(&length);
    send(address, &[head.as_bytes(), body].concat())
}

/// A call of the agent plane, as an agent makes it.
pub(crate) fn post(address: SocketAddr, path: &str, wait: u64, body: &impl Serialize) -> Option<Answer> {
    let prefer = format!("prefer: wait={wait}");
    let body = serde_json::to_vec(body).unwrap();
    call(address, "POST", path, &["content-type: application/json", &prefer], &body)
}

/// The owner, with the token.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    address: SocketAddr,
    authorization: String,
}

impl Owner {
    pub(crate) fn of(home: &Home, daemon: &Daemon) -> Self {
        let token = std::fs::read_to_string(home.path("api.token")).unwrap();
        Self { address: daemon.control, authorization: format!("authorization: Bearer {}", token.trim()) }
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let answer = call(self.address, "GET", path, &[&self.authorization], b"")?;
        assert_eq!(answer.status, 200, "{path} {answer:?}");
        Some(answer.json())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Option<Answer> {
        call(self.address, "POST", path, &[&self.authorization], body.to_string().as_bytes())
    }

    pub(crate) fn unlock(&self) {
        let answer = self.post("/vault/unlock", &json!({ "password": VAULT_PASSWORD, "seconds": 600 }));
        assert_eq!(answer.unwrap().status, 200);
    }

    pub(crate) fn decide(&self, session: &str, request: &str, verdict: &Value) -> Option<Answer> {
        let mut body = verdict.clone();
        body["session_id"] = session.into();
        body["request_id"] = request.into();
        self.post("/requests/decide", &body)
    }
}

/// A pairing that is open, its code known to the test.
pub(crate) struct OpenPairing {
    pub(crate) opened: InitiateResponse,
    pub(crate) code: Code,
    displayer: Displayer,
}

impl OpenPairing {
    /// `initiate`, and an `exchange` that does not wait.
    pub(crate) fn begin(address: SocketAddr, agent_id: &str, rng: &mut StdRng) -> Option<Self> {
        let body = json!({ "agent_id": agent_id, "agent_name": agent_id });
        let answer = post(address, "/pairing/initiate", 0, &body)?;
        let opened: InitiateResponse = serde_json::from_slice(&answer.body).ok()?;
        let offer = PairingOffer {
            pairing_id: opened.pairing_id,
            agent_id: AgentId::parse(agent_id).unwrap(),
            agent_name: AgentName::parse(agent_id).unwrap(),
            approver_id: opened.approver_id.clone(),
            scope_asked: Scope::default(),
        };
        let code = Code::random(rng);
        let displayer = Displayer::start(offer, &code, rng);
        let pairing = Self { opened, code, displayer };
        (pairing.exchange(address, 0)?.status == 202).then_some(pairing)
    }

    pub(crate) fn exchange(&self, address: SocketAddr, wait: u64) -> Option<Answer> {
        let body = ExchangeRequest {
            pairing_id: self.opened.pairing_id,
            pake_message: self.displayer.message().encode(),
            pairing_code: None,
        };
        post(address, "/pairing/exchange", wait, &body)
    }

    /// After the owner has typed the code: checks and confirms.
    pub(crate) fn finish(self, address: SocketAddr) -> Option<Session> {
        let answer = self.exchange(address, 10)?;
        let exchanged: ExchangeResponse = serde_json::from_slice(&answer.body).ok()?;
        let verified = self
            .displayer
            .verify(
                exchanged.session_id,
                Scope::parse(&exchanged.scope).unwrap(),
                &PakeMessage::parse(&exchanged.pake_message, Side::B).unwrap(),
                &Confirmation::parse(&exchanged.confirmation).unwrap(),
            )
            .ok()?;
        let confirm =
            ConfirmRequest { session_id: verified.session_id, confirmation: verified.mac_a.encode() };
        (post(address, "/pairing/confirm", 0, &confirm)?.status == 200)
            .then_some(Session { id: verified.session_id, keys: verified.keys })
    }
}

/// A session of an agent.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    keys: SessionKeys,
}

impl Session {
    /// The whole pairing, both ends played by the test.
    pub(crate) fn pair(address: SocketAddr, owner: &Owner, agent_id: &str, rng: &mut StdRng) -> Option<Self> {
        let pairing = OpenPairing::begin(address, agent_id, rng)?;
        let body = json!({ "number": pairing.opened.number, "code": pairing.code.expose_digits() });
        let owner = owner.clone();
        let entering = std::thread::spawn(move || owner.post("/pairings/enter", &body));
        let session = pairing.finish(address);
        let _ = entering.join();
        session
    }

    fn sealed(&self, plaintext: &[u8], rng: &mut StdRng) -> SealedRequest {
        let payload = seal(&self.keys, Side::A, &self.id, plaintext, rng).unwrap();
        SealedRequest { session_id: self.id, encrypted_payload: Some(payload) }
    }

    /// An envelope that asks for a domain's user name and password.
    pub(crate) fn ask(&self, id: RequestId, domain: &str, rng: &mut StdRng) -> SealedRequest {
        let request = CredentialRequest {
            id,
            domain: Domain::parse(domain).unwrap(),
            reason: "under load".into(),
            fields: Field::default_set(),
            item_id: None,
            expires_in: None,
            heads: None,
        };
        let plaintext = request.to_plaintext(header(rng)).unwrap();
        self.sealed(&plaintext, rng)
    }

    pub(crate) fn cancel(&self, id: RequestId, rng: &mut StdRng) -> SealedRequest {
        let plaintext = CredentialCancel { id }.to_plaintext(header(rng)).unwrap();
        self.sealed(&plaintext, rng)
    }

    /// What the approver sealed, if this is such an answer.
    pub(crate) fn opened(&self, answer: &Answer) -> Option<CredentialResponse> {
        let answer: CredentialAnswer = serde_json::from_slice(&answer.body).ok()?;
        let plaintext = open(&self.keys, Side::B, &self.id, &answer.encrypted_payload?).unwrap();
        Some(CredentialResponse::parse(&plaintext).unwrap().1)
    }
}

#[expect(clippy::disallowed_methods, reason = "the server under test has the system's clock")]
fn header(rng: &mut StdRng) -> Header {
    Header::new(OffsetDateTime::now_utc(), rng)
}

/// Reads one request, whole; its path.
pub(crate) fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut seen, mut buffer) = (Vec::new(), [0; 16_384]);
    loop {
        if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..end]).to_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            if seen.len() >= end + 4 + length {
                return head.split(' ').nth(1).map(str::to_owned);
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => seen.extend_from_slice(&buffer[..n]),
        }
    }
}
