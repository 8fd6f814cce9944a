//! Somebody on the wire between agent and approver who can do everything but break the cryptography.

use std::collections::VecDeque;

use durward_protocol::{Scope, base64url_encode};
use proptest::prelude::*;
use serde_json::Value;
use time::OffsetDateTime;

use crate::approver::{Approver, Call, Reply};

/// What happens to one call.
#[derive(Clone, Debug)]
pub enum Mischief {
    /// Nothing.
    Pass,
    /// It never arrives.
    DropRequest,
    /// It arrives, its answer does not.
    DropAnswer,
    /// It arrives twice; the second answer is delivered.
    Duplicate,
    /// An earlier call is delivered after it (reordered, replayed); its own answer is delivered.
    ReplayAfter(usize),
    /// An earlier call arrives in its place.
    ReplayInstead(usize),
    /// An earlier answer is delivered in place of its own.
    AnswerFromEarlier(usize),
    /// The answer is cut.
    Truncate(usize),
    /// One byte of the call's body is changed.
    FlipRequest(usize, u8),
    /// One byte of the answer's body is changed.
    FlipAnswer(usize, u8),
    /// What the agent sealed comes back as the approver's answer.
    Reflect,
    /// A string in the call is replaced: another agent's name, id, session, pairing or scope.
    Replace(Key, String),
    /// A string in the answer is replaced.
    ReplaceInAnswer(Key, String),
    /// A plain error instead of the answer.
    Lie(u16, &'static str),
    /// The call's value of a key is replaced by the one an earlier call had (crossing sessions).
    Cross(Key, usize),
}

/// Keys of bodies that a middle likes to change.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    /// `agent_name`
    AgentName,
    /// `agent_id`
    AgentId,
    /// `scope`
    Scope,
    /// `session_id`
    SessionId,
    /// `pairing_id`
    PairingId,
    /// `approver_id`
    ApproverId,
    /// `confirmation`
    Confirmation,
    /// `pake_message`
    PakeMessage,
    /// `encrypted_payload`
    Payload,
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Self::AgentName => "agent_name",
            Self::AgentId => "agent_id",
            Self::Scope => "scope",
            Self::SessionId => "session_id",
            Self::PairingId => "pairing_id",
            Self::ApproverId => "approver_id",
            Self::Confirmation => "confirmation",
            Self::PakeMessage => "pake_message",
            Self::Payload => "encrypted_payload",
        }
    }
}

/// The middle, in front of its approver.
pub struct Middle {
    /// The honest end.
    pub approver: Approver,
    script: VecDeque<Mischief>,
    calls: Vec<Call>,
    answers: Vec<Reply>,
}

impl Middle {
    /// Does `script` call by call, then nothing any more.
    pub fn new(approver: Approver, script: Vec<Mischief>) -> Self {
        Self { approver, script: script.into(), calls: Vec::new(), answers: Vec::new() }
    }

    /// Everything that crossed the wire.
    pub fn recorded(&self) -> impl Iterator<Item = &[u8]> {
        let calls = self.calls.iter().map(|call| call.body.as_slice());
        calls.chain(self.answers.iter().map(|reply| reply.body.as_slice()))
    }

    /// Bodies that agents themselves sent to `path`, before any mischief.
    pub fn sent_to(&self, path: &str) -> impl Iterator<Item = &[u8]> {
        self.calls.iter().filter(move |call| call.path == path).map(|call| call.body.as_slice())
    }

    /// One call; `None` breaks the connection.
    pub fn handle(&mut self, call: Call, now: OffsetDateTime) -> Option<Reply> {
        let mischief = self.script.pop_front().unwrap_or(Mischief::Pass);
        let original = call.clone();
        let reply = self.act(mischief, call, now);
        self.calls.push(original);
        self.answers.extend(reply.clone());
        reply
    }

    fn act(&mut self, mischief: Mischief, mut call: Call, now: OffsetDateTime) -> Option<Reply> {
        match mischief {
            Mischief::Pass => {}
            Mischief::DropRequest => return None,
            Mischief::DropAnswer => {
                self.approver.handle(&call, now);
                return None;
            }
            Mischief::Duplicate => {
                self.approver.handle(&call, now);
            }
            Mischief::ReplayAfter(n) => {
                let reply = self.approver.handle(&call, now);
                if let Some(earlier) = pick(&self.calls, n) {
                    self.approver.handle(earlier, now);
                }
                return Some(reply);
            }
            Mischief::ReplayInstead(n) => call = pick(&self.calls, n).cloned().unwrap_or(call),
            Mischief::AnswerFromEarlier(n) => {
                let own = self.approver.handle(&call, now);
                return Some(pick(&self.answers, n).cloned().unwrap_or(own));
            }
            Mischief::Truncate(n) => {
                let mut reply = self.approver.handle(&call, now);
                let keep = n % reply.body.len().max(1);
                reply.body.truncate(keep);
                return Some(reply);
            }
            Mischief::FlipRequest(at, mask) => flip(&mut call.body, at, mask),
            Mischief::FlipAnswer(at, mask) => {
                let mut reply = self.approver.handle(&call, now);
                flip(&mut reply.body, at, mask);
                return Some(reply);
            }
            Mischief::Reflect => {
                let reply = self.approver.handle(&call, now);
                return Some(reflect(&call, reply));
            }
            Mischief::Replace(key, value) => replace(&mut call.body, key, &value),
            Mischief::ReplaceInAnswer(key, value) => {
                let mut reply = self.approver.handle(&call, now);
                replace(&mut reply.body, key, &value);
                return Some(reply);
            }
            Mischief::Lie(status, code) => {
                let body = format!(r#"{{"error":"{code}","message":"a lie"}}"#).into_bytes();
                return Some(Reply { status, body });
            }
            Mischief::Cross(key, n) => {
                let earlier = pick(&self.calls, n).and_then(|earlier| value_in(&earlier.body, key));
                if let Some(value) = earlier {
                    replace(&mut call.body, key, &value);
                }
            }
        }
        Some(self.approver.handle(&call, now))
    }
}

/// Any mischief, with the honest pass as the most likely one so that scripts get somewhere.
pub fn any_mischief() -> impl Strategy<Value = Mischief> {
    let key = prop_oneof![
        Just(Key::AgentName),
        Just(Key::AgentId),
        Just(Key::Scope),
        Just(Key::SessionId),
        Just(Key::PairingId),
        Just(Key::ApproverId),
        Just(Key::Confirmation),
        Just(Key::PakeMessage),
        Just(Key::Payload),
    ];
    let value = prop_oneof![
        Just(String::new()),
        Just("Payroll".to_owned()),
        Just("agent-aaaaaaaa".to_owned()),
        Just(base64url_encode(br#"{"domains":["example.com","com"]}"#)),
        Just(base64url_encode(br#"{"domains":["login.example.com"]}"#)),
        Just(Scope::none().as_str().to_owned()),
        Just("sess_BwcHBwcHBwcHBwcHBwcHBw".to_owned()),
        Just("pair_BwcHBwcHBwcHBwcHBwcHBw".to_owned()),
        Just(base64url_encode(&[7; 32])),
    ];
    let (index, mask) = (0_usize..12, 1_u8..=255);
    prop_oneof![
        8 => Just(Mischief::Pass),
        1 => Just(Mischief::DropRequest),
        1 => Just(Mischief::DropAnswer),
        1 => Just(Mischief::Duplicate),
        1 => index.clone().prop_map(Mischief::ReplayAfter),
        1 => index.clone().prop_map(Mischief::ReplayInstead),
        1 => index.clone().prop_map(Mischief::AnswerFromEarlier),
        1 => (0_usize..400).prop_map(Mischief::Truncate),
        1 => (0_usize..600, mask.clone()).prop_map(|(at, mask)| Mischief::FlipRequest(at, mask)),
        1 => (0_usize..600, mask).prop_map(|(at, mask)| Mischief::FlipAnswer(at, mask)),
        1 => Just(Mischief::Reflect),
        1 => (key.clone(), value.clone()).prop_map(|(key, value)| Mischief::Replace(key, value)),
        1 => (key.clone(), value).prop_map(|(key, value)| Mischief::ReplaceInAnswer(key, value)),
        1 => prop_oneof![
            Just(Mischief::Lie(404, "session_not_found")),
            Just(Mischief::Lie(403, "pairing_refused")),
            Just(Mischief::Lie(503, "shutting_down")),
            Just(Mischief::Lie(200, "ok")),
        ],
        1 => (key, index).prop_map(|(key, n)| Mischief::Cross(key, n)),
    ]
}

fn pick<T>(list: &[T], n: usize) -> Option<&T> {
    list.get(n % list.len().max(1))
}

fn flip(body: &mut [u8], at: usize, mask: u8) {
    let length = body.len().max(1);
    if let Some(byte) = body.get_mut(at % length) {
        *byte ^= mask;
    }
}

fn value_in(body: &[u8], key: Key) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    json.get(key.name())?.as_str().map(str::to_owned)
}

fn replace(body: &mut Vec<u8>, key: Key, value: &str) {
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else { return };
    if let Some(slot) = json.get_mut(key.name()) {
        *slot = Value::String(value.to_owned());
        *body = json.to_string().into_bytes();
    }
}

fn reflect(call: &Call, mut reply: Reply) -> Reply {
    let Some(payload) = value_in(&call.body, Key::Payload) else { return reply };
    let Ok(mut json) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
    if let Some(object) = json.as_object_mut() {
        object.insert("status".into(), "answered".into());
        object.insert("encrypted_payload".into(), payload.into());
        reply = Reply { status: 200, body: json.to_string().into_bytes() };
    }
    reply
}
