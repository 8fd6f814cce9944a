//! Heads: each side tells the other the newest record of its own chain, and the newest it has seen of the
//! other's. Who shortens or rewrites a log has to do it at both ends.
//!
//! What does not agree is written down and shown. It is never a reason to refuse: a backup that was
//! restored looks the same, and an agent could otherwise be locked out by it.

use std::collections::{HashMap, VecDeque};

use durward_protocol::{AgentId, Head, Header, Heads, SessionId, Timestamp};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::audit::{Actor, AuditEntry, AuditEvent, ChainHead};
use super::event::{Answer, Effect, Notice, Waiter};
use super::machine::{Approval, Step};
use super::meter::Metered;
use super::records::Write;
use super::session::Session;

/// What the settings begin with that hold what agents have seen.
const HEADS_SETTING: &str = "heads/";

/// Own heads kept to compare with at once; older ones are looked up in the log.
const RECENT: usize = 1_024;

/// Agents whose heads are remembered. Each came through a pairing.
const MAX_AGENTS: usize = 4_096;

/// What an agent has seen is stored again only after so long: losing it costs a late notice, nothing else.
const SAVE_STEP: Duration = Duration::seconds(30);

/// Envelopes overtake each other: only one sealed so much later than another tells of a shorter record.
const OVERTAKING: Duration = Duration::seconds(5);

/// What is known of the chains of agents, and which ends of our own were handed out.
#[derive(Debug, Default)]
pub(super) struct KnownHeads {
    agents: HashMap<AgentId, Known>,
    recent: VecDeque<ChainHead>,
}

#[derive(Debug)]
struct Known {
    heads: AgentHeads,
    /// When the envelope with the newest head of the agent was sealed.
    sealed_at: OffsetDateTime,
    saved_at: OffsetDateTime,
}

/// What one agent's messages say about the two chains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHeads {
    /// The agent.
    pub agent_id: AgentId,
    /// The newest record of the agent's own chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Head>,
    /// The newest record of this approver's log that the agent has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Head>,
    /// What did not agree, the last time something did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<HeadsProblem>,
}

/// What did not agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HeadsProblem {
    /// The agent has seen a record that this log does not have.
    LogEndsBefore {
        /// Its number.
        n: u64,
    },
    /// This log has another record where the agent has seen one.
    LogDiffers {
        /// Its number.
        n: u64,
    },
    /// The agent's own chain is shorter than it was.
    AgentEndsBefore {
        /// The newest record that was seen of it.
        n: u64,
    },
    /// The agent's own chain has another record where one was seen.
    AgentDiffers {
        /// Its number.
        n: u64,
    },
}

impl HeadsProblem {
    /// Whether it is this approver's log that something is missing from.
    pub fn concerns_log(&self) -> bool {
        matches!(self, Self::LogEndsBefore { .. } | Self::LogDiffers { .. })
    }

    /// A stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::LogEndsBefore { .. } => "log_ends_before",
            Self::LogDiffers { .. } => "log_differs",
            Self::AgentEndsBefore { .. } => "agent_ends_before",
            Self::AgentDiffers { .. } => "agent_differs",
        }
    }

    /// What it means, for a person.
    pub fn text(&self, agent_id: &AgentId) -> String {
        match self {
            Self::LogEndsBefore { n } => format!(
                "the log ends before record {n}, which {agent_id} has seen: deleted, restored from backup, or lost with power"
            ),
            Self::LogDiffers { n } => format!(
                "record {n} is not the one that {agent_id} has seen: the log was rewritten, or restored from backup and gone on with"
            ),
            Self::AgentEndsBefore { n } => format!(
                "the record that {agent_id} keeps ends before its number {n}, which was seen here: deleted, restored from backup, lost with power, or another agent under this id"
            ),
            Self::AgentDiffers { n } => format!(
                "number {n} of the record that {agent_id} keeps is not the one seen here: rewritten, or another agent under this id"
            ),
        }
    }
}

impl KnownHeads {
    /// A commit has made this the end of the log.
    pub(super) fn remember(&mut self, head: ChainHead) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(head);
    }

    fn recent(&self, n: u64) -> Option<ChainHead> {
        let at = self.recent.binary_search_by_key(&n, |head| head.n).ok()?;
        self.recent.get(at).copied()
    }
}

/// What was stored about the heads of agents.
pub fn agent_heads(settings: &[(String, String)]) -> Vec<AgentHeads> {
    let of_agents = settings.iter().filter(|(key, _)| key.starts_with(HEADS_SETTING));
    of_agents.filter_map(|(_, value)| serde_json::from_str(value).ok()).collect()
}

/// Heads that take as much room as any.
pub(super) fn longest_heads() -> Heads {
    let head = Head::new(u64::MAX, &[255; 32]);
    Heads { mine: head.clone(), yours: Some(head) }
}

fn chain_head(head: &Head) -> Option<ChainHead> {
    Some(ChainHead { n: head.n, hash: head.hash_bytes()? })
}

impl Approval {
    /// What the agents' messages say about the two chains, by agent.
    pub fn agent_heads(&self) -> Vec<AgentHeads> {
        let mut all: Vec<AgentHeads> = self.known_heads.agents.values().map(|k| k.heads.clone()).collect();
        all.sort_by(|a, b| a.agent_id.as_str().cmp(b.agent_id.as_str()));
        all
    }

    /// The heads that go with an answer.
    pub(super) fn heads_for(&self, session: &Session) -> Heads {
        let known = self.known_heads.agents.get(&session.record.agent_id);
        Heads {
            mine: Head::new(self.head.n, &self.head.hash),
            yours: known.and_then(|known| known.heads.agents.clone()),
        }
    }

    /// Compares what came with an envelope that counted.
    pub(super) fn note_heads<R>(
        &mut self,
        step: &mut Step<'_, R>,
        id: SessionId,
        header: Header,
        heads: Option<&Heads>,
    ) {
        let (Some(heads), Some(session)) = (heads, self.sessions.get(&id)) else { return };
        let agent_id = session.record.agent_id.clone();
        let full = self.known_heads.agents.len() >= MAX_AGENTS;
        let own = self.head;
        if full && !self.known_heads.agents.contains_key(&agent_id) {
            return;
        }
        let known = self.known_heads.agents.entry(agent_id.clone()).or_insert_with(|| Known::new(&agent_id));
        let problem = chain_head(&heads.mine).and_then(|head| known.take_agents(head, header.timestamp));
        let seen = heads.yours.as_ref().and_then(chain_head).filter(|head| head.n > 0);
        let news = seen.filter(|head| known.heads.seen.as_ref().and_then(chain_head) != Some(*head));
        let mut look_up = None;
        let mut of_log = None;
        if let Some(head) = news {
            of_log = match self.known_heads.recent(head.n) {
                _ if head.n > own.n => Some(HeadsProblem::LogEndsBefore { n: head.n }),
                Some(recent) if recent.hash != head.hash => Some(HeadsProblem::LogDiffers { n: head.n }),
                Some(_) => None,
                None if head == own => None,
                None => {
                    look_up = Some(head);
                    None
                }
            };
        }
        if let (Some(known), Some(head)) = (self.known_heads.agents.get_mut(&agent_id), news) {
            known.take_seen(head, of_log.is_some());
        }
        if let Some(head) = look_up {
            step.effects.push(Effect::CompareHead { agent_id: agent_id.clone(), head });
        }
        for problem in problem.into_iter().chain(of_log) {
            self.heads_differ(step, &agent_id, problem);
        }
        self.save_heads(step, &agent_id, false);
    }

    /// The log was looked up.
    pub(super) fn head_compared<R>(
        &mut self,
        step: &mut Step<'_, R>,
        agent_id: AgentId,
        head: ChainHead,
        same: bool,
    ) {
        if !same && self.known_heads.agents.contains_key(&agent_id) {
            self.heads_differ(step, &agent_id, HeadsProblem::LogDiffers { n: head.n });
        }
    }

    fn heads_differ<R>(&mut self, step: &mut Step<'_, R>, agent_id: &AgentId, problem: HeadsProblem) {
        let Some(known) = self.known_heads.agents.get_mut(agent_id) else { return };
        if known.heads.problem.as_ref() == Some(&problem) {
            return;
        }
        let text = problem.text(agent_id);
        let mut entry = AuditEntry::new(step.now.wall, AuditEvent::HeadsDiffer, Actor::System)
            .outcome(problem.word())
            .detail(text.clone());
        entry.agent_id = Some(agent_id.clone());
        // What an agent says of the log costs it nothing: neither the log nor the owner's screen is filled with it. But
        // the first word of each is always told, or one agent could drown another's.
        let first = known.heads.problem.is_none();
        let written = if first {
            step.save(vec![Write::Audit(entry)]);
            true
        } else {
            self.record_metered(step, Metered::Heads, entry)
        };
        if written && let Some(known) = self.known_heads.agents.get_mut(agent_id) {
            known.heads.problem = Some(problem);
            step.notify(Notice::HeadsDiffer { agent_id: agent_id.clone(), problem: text });
            self.save_heads(step, agent_id, true);
        }
    }

    fn save_heads<R>(&mut self, step: &mut Step<'_, R>, agent_id: &AgentId, now: bool) {
        let Some(known) = self.known_heads.agents.get_mut(agent_id) else { return };
        if !now && known.saved_at + SAVE_STEP > step.now.steady {
            return;
        }
        known.saved_at = step.now.steady;
        let value = serde_json::to_string(&known.heads).ok();
        step.save(vec![Write::Setting { key: format!("{HEADS_SETTING}{agent_id}"), value }]);
    }

    /// The owner knows: what agents say next is the beginning.
    pub(super) fn forget_heads<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, waiter: Waiter) {
        let agents: Vec<AgentId> = self.known_heads.agents.drain().map(|(agent_id, _)| agent_id).collect();
        let delete =
            |agent_id: &AgentId| Write::Setting { key: format!("{HEADS_SETTING}{agent_id}"), value: None };
        let mut writes: Vec<Write> = agents.iter().map(delete).collect();
        let entry = AuditEntry::new(step.now.wall, AuditEvent::HeadsDiffer, Actor::Owner)
            .outcome("acknowledged")
            .detail(format!("what {} agents have seen of the log begins anew", agents.len()));
        writes.push(Write::Audit(entry));
        self.commit_done(step, vec![(waiter, Answer::Done(agents.len()))], writes);
    }

    pub(super) fn restore_heads(&mut self, settings: &[(String, String)]) {
        for heads in agent_heads(settings).into_iter().take(MAX_AGENTS) {
            let agent_id = heads.agent_id.clone();
            let known = Known { heads, ..Known::new(&agent_id) };
            self.known_heads.agents.insert(agent_id, known);
        }
    }
}

impl Known {
    fn new(agent_id: &AgentId) -> Self {
        Self {
            heads: AgentHeads { agent_id: agent_id.clone(), agents: None, seen: None, problem: None },
            sealed_at: OffsetDateTime::UNIX_EPOCH,
            saved_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    /// The newest head of the agent's chain; what is wrong with it.
    fn take_agents(&mut self, head: ChainHead, sealed_at: Timestamp) -> Option<HeadsProblem> {
        let sealed_at = sealed_at.get();
        let before = self.heads.agents.as_ref().and_then(chain_head);
        let problem = match before {
            Some(old) if old.n == head.n && old.hash != head.hash => {
                Some(HeadsProblem::AgentDiffers { n: old.n })
            }
            Some(old) if head.n < old.n && sealed_at > self.sealed_at + OVERTAKING => {
                Some(HeadsProblem::AgentEndsBefore { n: old.n })
            }
            Some(old) if head.n < old.n => return None,
            _ => None,
        };
        self.heads.agents = Some(Head::new(head.n, &head.hash));
        self.sealed_at = self.sealed_at.max(sealed_at);
        problem
    }

    /// The newest record of our log that the agent has seen. A claim that does not agree is kept until the
    /// owner says that they know: the log may grow past it and hide it.
    fn take_seen(&mut self, head: ChainHead, differs: bool) {
        let kept = self.heads.problem.as_ref().is_some_and(HeadsProblem::concerns_log);
        let newer = self.heads.seen.as_ref().is_none_or(|seen| head.n >= seen.n);
        if !kept && (newer || differs) {
            self.heads.seen = Some(Head::new(head.n, &head.hash));
        }
    }
}
