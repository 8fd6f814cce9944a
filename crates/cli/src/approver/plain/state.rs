//! What the plain prompts know.

use durward_broker::approval::{Decision, GrantView, ItemChoice, RequestView, SessionView};
use durward_protocol::{AgentId, SecretString};

use crate::approver::known::Known;

/// Everything on, and behind, the screen.
#[derive(Debug)]
pub(super) struct State {
    pub(super) keep_unlocked_seconds: Option<u64>,
    pub(super) known: Known,
    pub(super) mode: Mode,
    /// Suggestions that were offered: once is enough.
    pub(super) offered: std::collections::HashSet<String>,
    /// What was last asked, so that it is not asked again for every event.
    pub(super) asked: Option<Asked>,
}

/// Which question is open.
#[derive(Debug, Default)]
pub(super) enum Mode {
    /// The first thing that waits, if anything does.
    #[default]
    Queue,
    /// The vault password, for this decision.
    Password { request: Box<RequestView>, decision: Decision },
    /// Which item.
    Item {
        request: Box<RequestView>,
        decision: Decision,
        choices: Vec<ItemChoice>,
        password: Option<SecretString>,
    },
    /// Which session to revoke, or none.
    Sessions(Vec<SessionView>),
    /// Which grant to end, or none.
    Grants(Vec<GrantView>),
    /// A decision is on its way.
    Deciding { request: Box<RequestView> },
}

/// What a prompt was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    Pairing(String, bool),
    /// With how often its count of look-alikes has doubled.
    Request(String, u32),
    Password(String),
    Item(String),
    Sessions,
    Grants,
    Deciding,
}

impl State {
    pub(super) fn new(keep_unlocked_seconds: Option<u64>) -> Self {
        Self {
            keep_unlocked_seconds,
            known: Known::default(),
            mode: Mode::Queue,
            offered: std::collections::HashSet::new(),
            asked: None,
        }
    }

    /// Whether a line counts although it came before the question: it needs none.
    pub(super) fn keeps(&self, line: &SecretString) -> bool {
        matches!(self.mode, Mode::Queue) && is_command(line.expose_secret().trim())
    }

    /// Whether what is typed now must not be seen.
    pub(super) fn wants_secret(&self) -> bool {
        matches!(self.mode, Mode::Password { .. })
    }
}

/// `pause AGENT`, `resume AGENT`: which, and whether it is a pause.
pub(super) fn agent_switch(text: &str) -> Option<(AgentId, bool)> {
    let (word, agent) = text.split_once(char::is_whitespace)?;
    let pause = match word {
        "pause" => true,
        "resume" => false,
        _ => return None,
    };
    AgentId::parse(agent.trim()).ok().map(|agent_id| (agent_id, pause))
}

/// `rule ID`: the suggestion to accept.
pub(super) fn accepted_rule(text: &str) -> Option<&str> {
    let id = text.strip_prefix("rule ")?.trim();
    (id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// Words that work at every question of the queue, and without one.
pub(super) fn is_command(text: &str) -> bool {
    agent_switch(text).is_some()
        || accepted_rule(text).is_some()
        || matches!(
            text,
            "?" | "h" | "help" | "s" | "sessions" | "g" | "grants" | "l" | "lock" | "q" | "quit"
        )
}
