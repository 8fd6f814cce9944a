//! The fatigue breaker: an owner who is asked often enough says yes in the end. Requests that look alike
//! are one prompt, and an agent that was denied three times in a row is paused until the owner resumes it.
//!
//! Two requests look alike when session, domain, fields and item are the same. The reason does not count:
//! else an agent would write a new one each time. An approval still releases one request, the one whose
//! reason the owner read; a denial ends all that look alike, and counts once.
//!
//! Denials in a row and pauses are stored, so a restart forgets neither; a crash between a denial and its count may
//! lose one. Both go by `agent_id`, across sessions, so pairing again does not lift a pause.

use std::collections::BTreeMap;
use std::collections::HashMap;

use durward_protocol::{AgentId, Domain, ErrorCode, Field, SessionId, Timestamp, Verdict};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::audit::{Actor, AuditEntry, AuditEvent};
use super::event::{Answer, Notice, Waiter};
use super::machine::{Approval, Step};
use super::records::Write;
use super::request::{Request, RequestKey, Stage};
use super::view::RequestView;
use crate::Now;

/// Denials in a row after which an agent is paused.
pub const DENIALS_UNTIL_PAUSE: u8 = 3;

/// What the settings of paused agents begin with.
pub(super) const PAUSED_SETTING: &str = "paused_agent/";

/// What the settings of denials in a row begin with.
pub(super) const DENIED_SETTING: &str = "denied_agent/";

/// The last word to a request that waited when its agent was paused.
const PAUSED_REASON: &str = "agent_paused";

/// Denials so far, and who is paused.
#[derive(Debug, Default)]
pub(super) struct Fatigue {
    denials: HashMap<AgentId, u8>,
    paused: BTreeMap<AgentId, Paused>,
}

/// An agent whose new requests are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PausedAgent {
    /// Which.
    pub agent_id: AgentId,
    /// Since when, and why.
    #[serde(flatten)]
    pub paused: Paused,
}

/// Since when, and why an agent is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Paused {
    /// Since when.
    pub since: Timestamp,
    /// `owner`: the owner did it; `denied`: it was denied too often in a row.
    pub why: PausedWhy,
}

/// Why an agent is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PausedWhy {
    /// The owner did it.
    Owner,
    /// It was denied too often in a row.
    Denied,
}

/// What look-alike requests have in common.
#[derive(PartialEq, Eq, Hash)]
struct Look<'a> {
    session_id: SessionId,
    domain: &'a Domain,
    fields: &'a [Field],
    item_id: Option<&'a str>,
}

impl Approval {
    /// Agents whose new requests are refused, by id.
    pub fn paused_agents(&self) -> Vec<PausedAgent> {
        let all = self.fatigue.paused.iter();
        all.map(|(agent_id, paused)| PausedAgent { agent_id: agent_id.clone(), paused: paused.clone() })
            .collect()
    }

    /// Whether new requests of this agent are refused.
    pub fn is_paused(&self, agent_id: &AgentId) -> bool {
        self.fatigue.paused.contains_key(agent_id)
    }

    /// What the owner is asked: [`Approval::waiting_requests`] with look-alikes folded into the oldest,
    /// which says how many more there are.
    pub fn prompts(&self, now: Now) -> Vec<RequestView> {
        let mut folded: HashMap<Look<'_>, usize> = HashMap::new();
        let mut prompts: Vec<RequestView> = Vec::new();
        for mut view in self.waiting_requests(now) {
            let look = self.waits_as((view.session_id, view.request_id));
            match look {
                Some(look) => {
                    if let Some(first) = folded.get(&look) {
                        if let Some(first) = prompts.get_mut(*first) {
                            first.alike += 1;
                        }
                    } else {
                        folded.insert(look, prompts.len());
                        view.alike = 0;
                        prompts.push(view);
                    }
                }
                None => prompts.push(view),
            }
        }
        prompts
    }

    /// How a request looks, while it waits for the owner and nobody decides it.
    fn waits_as(&self, key: RequestKey) -> Option<Look<'_>> {
        let open = self.requests.get(&key)?.open()?;
        let details = &open.details;
        matches!(open.stage, Stage::Waiting { .. }).then(|| Look {
            session_id: key.0,
            domain: &details.domain,
            fields: &details.fields,
            item_id: details.item_id.as_deref(),
        })
    }

    /// Others that wait and look like this one, oldest first.
    pub(super) fn alike(&self, key: RequestKey) -> Vec<RequestKey> {
        let Some(look) = self.waits_as(key) else { return Vec::new() };
        let others = self.requests_of(key.0).into_iter().map(|id| (key.0, id));
        let mut alike: Vec<RequestKey> =
            others.filter(|other| *other != key && self.waits_as(*other).as_ref() == Some(&look)).collect();
        let age = |key: &RequestKey| self.requests.get(key).and_then(Request::details).map(|d| d.created_at);
        alike.sort_by_key(|key| (age(key), key.1));
        alike
    }

    pub(super) fn switch_agent<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        agent_id: AgentId,
        pause: bool,
    ) {
        let replies = |done| vec![(waiter, Answer::Done(done))];
        let forgotten = if pause { None } else { self.forget_denials(&agent_id) };
        if self.is_paused(&agent_id) == pause {
            return self.commit_done(step, replies(0), forgotten.into_iter().collect());
        }
        let mut writes = if pause {
            self.pause(step, &agent_id, PausedWhy::Owner)
        } else {
            self.fatigue.paused.remove(&agent_id);
            self.agent_switched(step, &agent_id, Actor::Owner, "resumed", None)
        };
        writes.extend(forgotten);
        self.commit_done(step, replies(1), writes);
        if pause {
            self.end_waiting_of(step, &agent_id);
        }
    }

    /// A denial by the owner is on disk.
    pub(super) fn denied<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, id: SessionId) {
        let Some(agent_id) = self.sessions.get(&id).map(|s| s.record.agent_id.clone()) else { return };
        let count = self.fatigue.denials.entry(agent_id.clone()).or_default();
        *count = count.saturating_add(1);
        let pause = *count >= DENIALS_UNTIL_PAUSE && !self.is_paused(&agent_id);
        let mut writes = vec![self.denials_write(&agent_id)];
        if pause {
            writes.extend(self.pause(step, &agent_id, PausedWhy::Denied));
        }
        self.commit_done(step, Vec::new(), writes);
        if pause {
            self.end_waiting_of(step, &agent_id);
        }
    }

    fn denials_write(&self, agent_id: &AgentId) -> Write {
        let value = self.denials_setting(agent_id.as_str());
        Write::Setting { key: format!("{DENIED_SETTING}{agent_id}"), value }
    }

    /// What to store, if there were any.
    fn forget_denials(&mut self, agent_id: &AgentId) -> Option<Write> {
        self.fatigue.denials.remove(agent_id)?;
        Some(self.denials_write(agent_id))
    }

    /// Denials in a row as they are stored; `None`: there were none.
    pub(super) fn denials_setting(&self, agent_id: &str) -> Option<String> {
        let agent_id = AgentId::parse(agent_id).ok()?;
        self.fatigue.denials.get(&agent_id).map(u8::to_string)
    }

    /// The reverse of [`Approval::denials_setting`]. A count that cannot be read is one short of a pause.
    pub(super) fn restore_denials(&mut self, settings: &[(String, String)]) {
        for (key, value) in settings {
            let agent_id = key.strip_prefix(DENIED_SETTING).and_then(|id| AgentId::parse(id).ok());
            if let Some(agent_id) = agent_id {
                let count = value.parse().unwrap_or(DENIALS_UNTIL_PAUSE - 1);
                self.fatigue.denials.insert(agent_id, count);
            }
        }
    }

    /// The owner approved something: denials before it no longer count.
    pub(super) fn approved<R>(&mut self, step: &mut Step<'_, R>, id: SessionId) {
        let Some(agent_id) = self.sessions.get(&id).map(|session| session.record.agent_id.clone()) else {
            return;
        };
        if let Some(write) = self.forget_denials(&agent_id) {
            self.commit_done(step, Vec::new(), vec![write]);
        }
    }

    /// Takes effect now; returns what to store.
    fn pause<R>(&mut self, step: &mut Step<'_, R>, agent_id: &AgentId, why: PausedWhy) -> Vec<Write> {
        let paused = Paused { since: Timestamp::new(step.now.wall), why };
        self.fatigue.paused.insert(agent_id.clone(), paused);
        let (actor, detail) = match why {
            PausedWhy::Owner => (Actor::Owner, None),
            PausedWhy::Denied => (Actor::System, Some("denied three times in a row")),
        };
        self.agent_switched(step, agent_id, actor, "paused", detail)
    }

    fn agent_switched<R>(
        &self,
        step: &mut Step<'_, R>,
        agent_id: &AgentId,
        actor: Actor,
        outcome: &str,
        detail: Option<&str>,
    ) -> Vec<Write> {
        let mut entry = AuditEntry::new(step.now.wall, AuditEvent::AgentSwitched, actor).outcome(outcome);
        entry.agent_id = Some(agent_id.clone());
        entry.detail = detail.map(str::to_owned);
        let paused = self.fatigue.paused.get(agent_id).cloned();
        step.notify(Notice::AgentSwitched { agent_id: agent_id.clone(), paused });
        let key = format!("{PAUSED_SETTING}{agent_id}");
        let value = self.paused_setting(agent_id.as_str());
        vec![Write::Setting { key, value }, Write::Audit(entry)]
    }

    /// What waits of a paused agent is denied: the owner has said what they think of it.
    fn end_waiting_of<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, agent_id: &AgentId) {
        let Some(id) = self.by_agent.get(agent_id).copied() else { return };
        let mut waiting: Vec<RequestKey> =
            self.requests_of(id).into_iter().map(|request| (id, request)).collect();
        waiting.retain(|key| self.waits_as(*key).is_some());
        waiting.sort_unstable();
        for key in waiting {
            self.end_paused(step, key);
        }
    }

    /// After a start: a crash may have come between a pause and the end of what waited.
    pub(super) fn end_waiting_of_paused<R: CryptoRng>(&mut self, step: &mut Step<'_, R>) {
        let paused: Vec<AgentId> = self.fatigue.paused.keys().cloned().collect();
        for agent_id in paused {
            self.end_waiting_of(step, &agent_id);
        }
    }

    /// Ends a request that waits although its agent is paused.
    pub(super) fn end_paused<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, key: RequestKey) {
        let reason = Some(PAUSED_REASON.to_owned());
        self.finish(step, key, Verdict::Denied, reason, Actor::System, None, Vec::new(), Vec::new());
    }

    /// Whether the agent of this session is paused.
    pub(super) fn session_paused(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| self.is_paused(&session.record.agent_id))
    }

    /// Nothing new of a paused agent.
    pub(super) fn check_not_paused(&self, id: SessionId) -> Result<(), ErrorCode> {
        if self.session_paused(id) { Err(ErrorCode::AgentPaused) } else { Ok(()) }
    }

    /// A pause as it is stored; `None`: not paused.
    pub(super) fn paused_setting(&self, agent_id: &str) -> Option<String> {
        let agent_id = AgentId::parse(agent_id).ok()?;
        serde_json::to_string(self.fatigue.paused.get(&agent_id)?).ok()
    }

    /// The reverse of [`Approval::paused_setting`]. A value that cannot be read still pauses.
    pub(super) fn restore_paused(&mut self, settings: &[(String, String)], now: OffsetDateTime) {
        for (key, value) in settings {
            let agent_id = key.strip_prefix(PAUSED_SETTING).and_then(|id| AgentId::parse(id).ok());
            if let Some(agent_id) = agent_id {
                let unread = Paused { since: Timestamp::new(now), why: PausedWhy::Owner };
                let paused = serde_json::from_str(value).unwrap_or(unread);
                self.fatigue.paused.insert(agent_id, paused);
            }
        }
    }
}
