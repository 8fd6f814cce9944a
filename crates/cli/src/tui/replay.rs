//! Plays a recorded list of events and draws what the screen shows: for the pictures in the README, for
//! tests and benches. It calls nobody and reads no terminal.

use durward_broker::approval::{AuditRecord, Decision, ItemChoice, Notice, SessionView};
use durward_protocol::device::api::{PairInitiated, PairJoined};
use durward_protocol::{RequestId, SecretString, SessionId};
use durward_server::control::api::{Away, Decided, Suggestion};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde::Deserialize;
use time::OffsetDateTime;

use super::event::{Input, Key};
use super::state::{Settings, State};
use super::update::update;
use super::view::{Look, draw};
use crate::approver::devices::{DeviceAction, DeviceEvent};
use crate::approver::event::{Action, Event};
use crate::approver::known::Known;

/// A screen that is played to.
pub struct Player {
    state: State,
}

/// One line of a recording.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Recorded {
    /// What time it is.
    #[serde(with = "time::serde::rfc3339")]
    Clock(OffsetDateTime),
    /// Keys, each by name or character.
    Keys(Vec<String>),
    /// Text, key by key.
    Type(String),
    Paste(String),
    Lists(Box<Known>),
    NoLists(String),
    Audit(Vec<AuditRecord>),
    Away(Away),
    Suggestions(Vec<Suggestion>),
    Notice(Box<Notice>),
    Paired(Box<SessionView>),
    Decided {
        request: (SessionId, RequestId),
        decided: Decided,
    },
    NeedPassword {
        request: (SessionId, RequestId),
        decision: Decision,
        wrong: bool,
    },
    Choose {
        request: (SessionId, RequestId),
        decision: Decision,
        choices: Vec<ItemChoice>,
    },
    Undecided {
        request: (SessionId, RequestId),
        message: String,
    },
    Unlocked {
        wrong: bool,
    },
    DeviceCode(Box<PairInitiated>),
    DeviceJoined(Box<PairJoined>),
    DeviceNotJoined(String),
    Done(String),
    Failed(String),
}

impl Player {
    /// An empty screen of one look, as under `durward up`.
    pub fn new(colour: bool, unicode: bool) -> Self {
        let look = Look { colour, unicode };
        let listen = Some("http://127.0.0.1:5000".to_owned());
        let options = Settings { look, listen, keep_unlocked_seconds: None, bell: true, owns_server: true };
        Self { state: State::new(options, OffsetDateTime::UNIX_EPOCH) }
    }

    /// Plays one recorded event, as JSON; returns the kinds of actions that follow.
    pub fn play(&mut self, event: serde_json::Value) -> Result<Vec<&'static str>, String> {
        let recorded: Recorded = serde_json::from_value(event).map_err(|error| error.to_string())?;
        let mut actions = Vec::new();
        for event in events(recorded)? {
            actions.extend(update(&mut self.state, event).iter().map(kind));
        }
        Ok(actions)
    }

    /// The picture, and in how many milliseconds it must be drawn again when nothing happens.
    pub fn draw(&self, columns: u16, rows: u16) -> (Buffer, Option<u128>) {
        let area = Rect::new(0, 0, columns, rows);
        let mut buffer = Buffer::empty(area);
        let stays_true = draw(&self.state, area, &mut buffer);
        (buffer, stays_true.map(|time| time.as_millis()))
    }

    /// Everything the state says of itself in a log.
    pub fn debug(&self) -> String {
        format!("{:?}", self.state)
    }
}

fn events(recorded: Recorded) -> Result<Vec<Event>, String> {
    let key = |name: &str| {
        let key = Key::named(name).ok_or_else(|| format!("there is no key {name:?}"))?;
        Ok::<_, String>(Event::Input(Input::Key(key)))
    };
    Ok(vec![match recorded {
        Recorded::Keys(names) => return names.iter().map(|name| key(name)).collect(),
        Recorded::Type(text) => {
            return Ok(text.chars().map(|c| Event::Input(Input::Key(Key::Char(c)))).collect());
        }
        Recorded::Paste(text) => Event::Input(Input::Paste(SecretString::new(text))),
        Recorded::Clock(now) => Event::Clock(now),
        Recorded::Lists(known) => Event::Lists(known),
        Recorded::NoLists(message) => Event::NoLists(message),
        Recorded::Audit(records) => Event::Audit(records),
        Recorded::Away(away) => Event::Away(away),
        Recorded::Suggestions(list) => Event::Suggestions(list),
        Recorded::Notice(notice) => Event::Notice(notice),
        Recorded::Paired(session) => Event::Paired(session),
        Recorded::Decided { request, decided } => Event::Decided { request, decided },
        Recorded::NeedPassword { request, decision, wrong } => {
            Event::NeedPassword { request, decision, wrong }
        }
        Recorded::Choose { request, decision, choices } => {
            Event::Choose { request, decision, choices, password: None }
        }
        Recorded::Undecided { request, message } => Event::Undecided { request, message },
        Recorded::Unlocked { wrong } => Event::Unlocked { wrong },
        Recorded::DeviceCode(code) => Event::Device(DeviceEvent::Code(code)),
        Recorded::DeviceJoined(joined) => Event::Device(DeviceEvent::Joined(joined)),
        Recorded::DeviceNotJoined(message) => Event::Device(DeviceEvent::NotJoined(message)),
        Recorded::Done(said) => Event::Done(said),
        Recorded::Failed(message) => Event::Failed(message),
    }])
}

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Show(_) => "show",
        Action::Bell => "bell",
        Action::Suspend => "suspend",
        Action::Refresh => "refresh",
        Action::ListSessions => "list_sessions",
        Action::ListGrants => "list_grants",
        Action::ReadAudit { .. } => "read_audit",
        Action::Suggest => "suggest",
        Action::AcceptSuggestion { .. } => "accept_suggestion",
        Action::EnterCode { .. } => "enter_code",
        Action::RefusePairing { .. } => "refuse_pairing",
        Action::Decide { decision: Decision::Approve { .. }, .. } => "approve",
        Action::Decide { decision: Decision::Deny { .. }, .. } => "deny",
        Action::Revoke { .. } => "revoke",
        Action::EndGrant { .. } => "end_grant",
        Action::SwitchAgent { pause: true, .. } => "pause",
        Action::SwitchAgent { pause: false, .. } => "resume",
        Action::Unlock { .. } => "unlock",
        Action::Lock => "lock",
        Action::SwitchPairing { .. } => "switch_pairing",
        Action::Device(action) => match action {
            DeviceAction::MakeCode => "make_device_code",
            DeviceAction::Cancel => "cancel_device_pairing",
            DeviceAction::Answer { accept: true, .. } => "accept_device",
            DeviceAction::Answer { accept: false, .. } => "reject_device",
            DeviceAction::Join { .. } => "join_device",
            DeviceAction::Rename { .. } => "rename_device",
            DeviceAction::Remove { .. } => "remove_device",
            DeviceAction::Confirm { accept: true, .. } => "confirm_device",
            DeviceAction::Confirm { accept: false, .. } => "refuse_device",
        },
        Action::ReadPolicy => "read_policy",
        Action::Quit => "quit",
    }
}

#[cfg(test)]
mod tests;
