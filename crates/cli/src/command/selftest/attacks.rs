//! The attacks.

use std::time::Duration;

use durward_protocol::{
    CredentialResponse, Domain, Limits, RequestId, Scope, SessionId, Side, Verdict, open,
};
use serde_json::json;

use super::Finding;
use super::agent::{Session, Twist, Wire, pair};
use super::stage::{Broken, Stage, text};
use crate::os_rng;

const REQUEST: &str = "/credential/request";
const CANCEL: &str = "/credential/cancel";
const HOLD: Duration = Duration::from_secs(30);
/// The one domain that a limited session may ask for.
const DOMAIN: &str = "example.com";

/// All of them against one approver.
pub(super) async fn all() -> Result<Vec<Finding>, Broken> {
    let stage = Stage::build().await?;
    let wire = Wire::to(&stage)?;
    let mut findings = Findings(Vec::new());
    pairings(&stage, &wire, &mut findings).await?;
    let session = honest(&stage, &wire, &mut findings).await?;
    let other = pair(&stage, &wire, "other", &Scope::none(), Twist::None).await??;
    envelopes(&wire, &session, &other, &mut findings).await?;
    lifetimes(&stage, &wire, &session, &mut findings).await?;
    aftermath(&stage, &mut findings).await?;
    Ok(findings.0)
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, attack: &'static str, tried: &'static str, stopped: bool, seen: impl Into<String>) {
        self.0.push(Finding { attack, tried, stopped, seen: seen.into() });
    }

    /// Stopped by exactly this error.
    fn expect(&mut self, attack: &'static str, tried: &'static str, wanted: &str, seen: String) {
        self.add(attack, tried, seen == wanted, seen);
    }
}

/// A code, a middle, a false proof.
async fn pairings(stage: &Stage, wire: &Wire, findings: &mut Findings) -> Result<(), Broken> {
    let (narrow, free) = (narrow()?, Scope::none());
    let twists = [
        ("guess the code", "answer with another code than the one shown", Twist::WrongCode, &free),
        ("guess the code", "claim the code was right, twice", Twist::FalseProof, &free),
        ("man in the middle", "send the agent its own message back", Twist::Mirror, &free),
        ("swap", "put another session id into the answer", Twist::SessionSwapped, &free),
        ("downgrade", "take the scope out of the answer", Twist::ScopeRemoved, &narrow),
    ];
    for (number, (attack, tried, twist, scope)) in twists.into_iter().enumerate() {
        let end = pair(stage, wire, &format!("twisted-{number}"), scope, twist).await?;
        findings.add(attack, tried, end.is_err(), end.err().unwrap_or_else(|| "paired".into()));
    }
    let with_code = json!({ "agent_id": "a", "agent_name": "a", "pairing_code": "847293" });
    let seen = wire.post("/pairing/initiate", &with_code, Duration::ZERO).await?.code();
    findings.expect("leak the code", "send the code to the approver", "code_must_not_be_sent", seen);
    let page = json!({ "agent_id": "a", "agent_name": "a" });
    let seen =
        wire.post_from("/pairing/initiate", &page, Duration::ZERO, Some("https://evil.example")).await?;
    findings.add("web page", "pair from a page in the owner's browser", seen.status == 403, seen.code());
    Ok(())
}

/// Nothing is worth attacking that does not work: one credential, on the owner's yes.
async fn honest(stage: &Stage, wire: &Wire, findings: &mut Findings) -> Result<Session, Broken> {
    let session = pair(stage, wire, "honest", &narrow()?, Twist::None).await??;
    let payload = session.request(RequestId::random(&mut os_rng()), DOMAIN, 0)?;
    let (approved, reply) =
        tokio::join!(stage.approve(session.id), session.post_held(wire, REQUEST, &payload, HOLD));
    approved?;
    let reply = reply?;
    let sealed = reply.body["encrypted_payload"].as_str().ok_or("no answer to an approved request")?;
    let plaintext = open(&session.keys, Side::B, &session.id, sealed).map_err(text)?;
    let (_, response) = CredentialResponse::parse(&plaintext).map_err(text)?;
    let password = response
        .credential
        .password
        .as_ref()
        .map(|p| p.expose_secret() == stage.item_password.expose_secret());
    if (response.status, password) != (Verdict::Approved, Some(true)) {
        return Err("an approved request did not bring its credential".into());
    }
    // The answer comes again for the same envelope's request, and as the same bytes.
    let again = session.request(response.in_reply_to, DOMAIN, 0)?;
    let reply = session.post(wire, REQUEST, &again).await?;
    let same = reply.body["encrypted_payload"].as_str() == Some(sealed);
    let seen = if same { "the same sealed bytes" } else { "sealed anew" };
    findings.add("double release", "ask for an answered request again", same, seen);
    Ok(session)
}

/// One envelope, bent in every way.
async fn envelopes(
    wire: &Wire,
    session: &Session,
    other: &Session,
    findings: &mut Findings,
) -> Result<(), Broken> {
    let id = RequestId::random(&mut os_rng());
    let payload = session.request(id, DOMAIN, 0)?;
    let (half, _) = payload.split_at(payload.len() / 2);
    let cases = [
        ("truncate", "cut an envelope in half", half.to_owned(), "bad_envelope"),
        ("tamper", "change one character of an envelope", bend(&payload), "bad_envelope"),
        (
            "downgrade",
            "give an envelope an older version",
            format!("AA{}", &payload[2..]),
            "unsupported_version",
        ),
        (
            "cross-session",
            "an envelope of another agent's session",
            other.request(id, DOMAIN, 0)?,
            "bad_envelope",
        ),
        (
            "cross-session",
            "keys of one session, name of another",
            session.seal(Side::A, &other.id, b"{}")?,
            "bad_envelope",
        ),
        (
            "reflect",
            "an envelope as the approver would seal it",
            session.seal(Side::B, &session.id, b"{}")?,
            "bad_envelope",
        ),
        ("confuse", "a cancellation where a request belongs", session.cancel(id)?, "wrong_type"),
        ("delay", "an envelope an hour old", session.request(id, DOMAIN, 3_600)?, "stale_timestamp"),
        (
            "overreach",
            "a domain outside the session's scope",
            session.request(id, "example.org", 0)?,
            "out_of_scope",
        ),
    ];
    for (attack, tried, payload, wanted) in cases {
        let seen = session.post(wire, REQUEST, &payload).await?.code();
        findings.expect(attack, tried, wanted, seen);
    }
    let first = session.post(wire, REQUEST, &payload).await?;
    if first.status != 202 {
        return Err(format!("a good request was answered {}", first.code()));
    }
    let seen = session.post(wire, REQUEST, &payload).await?.code();
    findings.expect("replay", "the same envelope again", "replayed", seen);
    let cancelled = session.post(wire, CANCEL, &session.cancel(id)?).await?;
    if cancelled.status != 200 {
        return Err(format!("a cancellation was answered {}", cancelled.code()));
    }
    let seen = session.post(wire, REQUEST, &payload).await?.code();
    findings.expect("reorder", "a request after its cancellation", "replayed", seen);
    let reply = session.post(wire, REQUEST, &session.request(id, DOMAIN, 0)?).await?;
    let verdict = verdict(session, &reply.body)?;
    findings.add("reorder", "revive it in a new envelope", verdict == Verdict::Cancelled, verdict.as_str());
    Ok(())
}

/// Names that were guessed, sessions that are over.
async fn lifetimes(
    stage: &Stage,
    wire: &Wire,
    session: &Session,
    findings: &mut Findings,
) -> Result<(), Broken> {
    let bare = json!({ "session_id": session.id });
    let seen = wire.post("/session/revoke", &bare, Duration::ZERO).await?.code();
    findings.expect("stolen name", "end a session by its id alone", "envelope_required", seen);
    let made_up = Session { id: SessionId::random(&mut os_rng()), keys: session_keys(session) };
    let payload = made_up.request(RequestId::random(&mut os_rng()), DOMAIN, 0)?;
    let seen = made_up.post(wire, REQUEST, &payload).await?.code();
    findings.expect("stolen name", "ask under an id that was never given", "session_not_found", seen);
    let waiting = session.request(RequestId::random(&mut os_rng()), DOMAIN, 0)?;
    let late = session.request(RequestId::random(&mut os_rng()), DOMAIN, 0)?;
    let first = session.post(wire, REQUEST, &waiting).await?;
    if first.status != 202 {
        return Err(format!("a good request was answered {}", first.code()));
    }
    stage.revoke(session.id).await?;
    let seen = session.post(wire, REQUEST, &late).await?.code();
    findings.expect("after the end", "ask under a revoked session", "session_not_found", seen);
    let waits = stage.still_waits(session.id).await?;
    findings.add(
        "after the end",
        "approve what waited when it was revoked",
        !waits,
        if waits { "it waits" } else { "nothing waits" },
    );
    Ok(())
}

/// What is left on the disk.
async fn aftermath(stage: &Stage, findings: &mut Findings) -> Result<(), Broken> {
    let files = stage.files()?;
    let holds =
        |secret: &str| files.iter().any(|file| file.windows(secret.len()).any(|w| w == secret.as_bytes()));
    let found = stage.secrets().iter().any(|secret| holds(secret.expose_secret()));
    let seen = format!("{} files read", files.len());
    findings.add("look around", "passwords in any file of the approver", !found, seen);
    let verified = stage.verify_audit().await;
    let records = verified.as_ref().ok().and_then(|v| v["records"].as_u64()).unwrap_or_default();
    let seen = verified.as_ref().map_or_else(Clone::clone, |_| format!("{records} records, the chain holds"));
    findings.add(
        "cover the tracks",
        "all of this without a trace in the audit log",
        verified.is_ok() && records > 0,
        seen,
    );
    Ok(())
}

fn narrow() -> Result<Scope, Broken> {
    let domain = Domain::parse(DOMAIN).map_err(text)?;
    Scope::new(&Limits { domains: Some(vec![domain]), ..Limits::default() }).map_err(text)
}

fn session_keys(session: &Session) -> durward_protocol::SessionKeys {
    durward_protocol::SessionKeys::from_stored(&session.keys.expose_stored())
}

fn verdict(session: &Session, body: &serde_json::Value) -> Result<Verdict, Broken> {
    let sealed = body["encrypted_payload"].as_str().ok_or("no sealed answer")?;
    let plaintext = open(&session.keys, Side::B, &session.id, sealed).map_err(text)?;
    let (_, response) = CredentialResponse::parse(&plaintext).map_err(text)?;
    Ok(response.status)
}

/// Another character in the middle.
fn bend(payload: &str) -> String {
    let at = payload.len() / 2;
    let bent = |(i, c): (usize, char)| if i == at { if c == 'A' { 'B' } else { 'A' } } else { c };
    payload.chars().enumerate().map(bent).collect()
}
