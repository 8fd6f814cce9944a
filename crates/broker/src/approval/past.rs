//! What the owner approved before, and how often rules released: for `first_use`, `per_hour` and suggestions.

use std::collections::HashMap;
use std::sync::Arc;

use durward_protocol::{AgentId, Domain, Field, SessionId, Timestamp, hex_encode, lp_all};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

use super::audit::{Actor, AuditEvent};
use super::event::{Answer, Waiter};
use super::machine::{Approval, Step};
use super::policy::{Past, PolicyVerdict};
use super::records::Write;
use super::request::{Request, RequestKey};
use super::ruled::rules_setting;
use crate::Now;

/// So many identical approvals in a row, and a rule is suggested.
pub const APPROVALS_UNTIL_SUGGESTION: u32 = 3;

/// What the settings begin with that hold approvals.
const APPROVED_SETTING: &str = "approved/";

/// What the settings begin with that count releases by rules.
const RATE_SETTING: &str = "rate/";

/// Approvals that are remembered; the one longest ago goes first.
const MAX_APPROVED: usize = 4_096;

/// Counts that are kept before those that are over are swept.
const MAX_RATES: usize = 4_096;

/// An approval longer ago than this no longer counts.
const REMEMBERED: Duration = Duration::days(30);

/// Approvals and counts.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By [`Approved::id`].
    approved: HashMap<String, Approved>,
    rates: HashMap<(Arc<str>, AgentId), Rate>,
}

/// What the owner approved, as often as it was the same: agent, domain and fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Approved {
    agent_id: AgentId,
    domain: Domain,
    fields: Vec<Field>,
    /// In a row; a denial of the same begins anew.
    count: u32,
    /// The session of the last one.
    session_id: SessionId,
    /// On the wall clock: it is compared over restarts.
    at: Timestamp,
}

/// Releases by one rule to one agent in an hour that began with the first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Rate {
    /// Unix seconds.
    since: i64,
    count: u32,
}

/// A rule that would have given what the owner approved several times in a row, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Suggestion {
    /// Its name: the same approvals, the same name.
    pub id: String,
    /// The agent.
    pub agent_id: AgentId,
    /// This domain and none below it.
    pub domain: Domain,
    /// These fields.
    pub fields: Vec<Field>,
    /// How often in a row.
    pub approvals: u32,
    /// The live session of this agent.
    pub session_id: SessionId,
    /// Rules of the policy that name this agent already. Without any, accepting also says that rules which
    /// name it count for its session; with some, that is a question of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

impl Suggestion {
    /// The rule as it is written into the file.
    pub fn rule(&self, accepted: Timestamp, until: Timestamp) -> String {
        let text = |value: &str| serde_json::to_string(value).unwrap_or_default();
        let fields: Vec<String> = self.fields.iter().map(|field| text(&field.to_string())).collect();
        format!(
            "# Accepted {accepted} after {} approvals.\n[[rule]]\nagent = {}\ndomain = {}\nsubdomains = false\n\
             fields = [{}]\nuntil = {}\nverdict = \"allow\"\n",
            self.approvals,
            text(self.agent_id.as_str()),
            text(self.domain.as_str()),
            fields.join(", "),
            text(&until.to_string()),
        )
    }
}

impl Approved {
    fn id(agent_id: &AgentId, domain: &Domain, fields: &[Field]) -> String {
        let names: Vec<String> = fields.iter().map(ToString::to_string).collect();
        let bytes =
            lp_all(&[agent_id.as_str().as_bytes(), domain.as_str().as_bytes(), names.join("\n").as_bytes()]);
        hex_encode(&Sha256::digest(bytes)[..8])
    }
}

impl Rate {
    fn runs(self, now: OffsetDateTime) -> bool {
        (0..3_600).contains(&(now.unix_timestamp() - self.since))
    }
}

/// The past of one session, for the policy.
pub(super) struct PastOf<'a> {
    pub(super) memory: &'a Memory,
    pub(super) agent_id: &'a AgentId,
    pub(super) session_id: SessionId,
    pub(super) now: OffsetDateTime,
}

impl Past for PastOf<'_> {
    fn releases_in_hour(&self, rule: &str) -> u32 {
        let rate = self.memory.rates.get(&(Arc::from(rule), self.agent_id.clone()));
        rate.filter(|rate| rate.runs(self.now)).map_or(0, |rate| rate.count)
    }

    fn approved_before(&self, domain: &Domain, fields: &[Field]) -> bool {
        self.memory.approved.values().any(|old| {
            old.session_id == self.session_id
                && old.domain == *domain
                && fields.iter().all(|field| old.fields.contains(field))
        })
    }
}

impl Approval {
    /// The owner's yes to all that was asked for is on disk.
    pub(super) fn remember_approved<R>(&mut self, step: &mut Step<'_, R>, key: RequestKey, fields: &[Field]) {
        let Some(details) = self.requests.get(&key).and_then(Request::details) else { return };
        if details.fields != fields {
            return; // fewer than were asked for: the next such request would not match
        }
        let Some(session) = self.sessions.get(&key.0) else { return };
        let (agent_id, domain) = (session.record.agent_id.clone(), details.domain.clone());
        let id = Approved::id(&agent_id, &domain, fields);
        let before = self.memory.approved.get(&id).map_or(0, |old| old.count);
        let (fields, at) = (fields.to_vec(), Timestamp::new(step.now.wall));
        let count = before.saturating_add(1);
        let entry = Approved { agent_id, domain, fields, count, session_id: key.0, at };
        let mut writes = vec![approved_write(&id, Some(&entry))];
        self.memory.approved.insert(id, entry);
        if self.memory.approved.len() > MAX_APPROVED {
            let oldest = self.memory.approved.iter().min_by_key(|(_, old)| old.at).map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                self.memory.approved.remove(&oldest);
                writes.push(approved_write(&oldest, None));
            }
        }
        step.save(writes);
    }

    /// The owner's no: what was approved before is no habit.
    pub(super) fn forget_approved<R>(&mut self, step: &mut Step<'_, R>, key: RequestKey) {
        let Some(details) = self.requests.get(&key).and_then(Request::details) else { return };
        let Some(session) = self.sessions.get(&key.0) else { return };
        let id = Approved::id(&session.record.agent_id, &details.domain, &details.fields);
        if self.memory.approved.remove(&id).is_some() {
            step.save(vec![approved_write(&id, None)]);
        }
    }

    /// Counts a release by a rule that allows so many an hour; the write goes with the release.
    pub(super) fn count_release(&mut self, now: Now, agent_id: &AgentId, rule: &Arc<str>) -> Write {
        let wall = now.wall;
        if self.memory.rates.len() >= MAX_RATES {
            self.memory.rates.retain(|_, rate| rate.runs(wall));
        }
        let new = Rate { since: wall.unix_timestamp(), count: 0 };
        let rate = self.memory.rates.entry((Arc::clone(rule), agent_id.clone())).or_insert(new);
        if !rate.runs(wall) {
            *rate = new;
        }
        rate.count = rate.count.saturating_add(1);
        Write::Setting {
            key: format!("{RATE_SETTING}{rule}/{agent_id}"),
            value: serde_json::to_string(rate).ok(),
        }
    }

    /// Rules that would have spared the owner questions they answered with yes several times in a row.
    /// Where a rule says `ask`, the owner wants to be asked, and none is suggested.
    pub fn suggestions(&self, now: Now) -> Vec<Suggestion> {
        let often = self.memory.approved.iter().filter(|(_, old)| old.count >= APPROVALS_UNTIL_SUGGESTION);
        let mut list: Vec<Suggestion> = often
            .filter_map(|(id, old)| {
                let session_id = *self.by_agent.get(&old.agent_id)?;
                let ruling = self.judge(now, session_id, &old.domain, &old.fields);
                (ruling.verdict == PolicyVerdict::Ask && ruling.rule.is_none()).then(|| Suggestion {
                    id: id.clone(),
                    agent_id: old.agent_id.clone(),
                    domain: old.domain.clone(),
                    fields: old.fields.clone(),
                    approvals: old.count,
                    session_id,
                    rules: self.rules_for(&old.agent_id),
                })
            })
            .collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// The owner says that rules which name its agent count for a live session.
    pub(super) fn apply_rules<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        id: SessionId,
    ) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.named_rules) else {
            return step.reply(waiter, Answer::Done(0));
        };
        session.named_rules = true;
        let entry = self
            .session_entry(step.now, AuditEvent::Other, Actor::Owner, id)
            .outcome("rules_apply")
            .detail("rules that name this agent count for this session");
        self.commit_done(
            step,
            vec![(waiter, Answer::Done(1))],
            vec![rules_setting(id, true), Write::Audit(entry)],
        );
        self.judge_waiting(step);
    }

    pub(super) fn restore_memory<R>(&mut self, step: &mut Step<'_, R>, settings: &[(String, String)]) {
        let now = step.now.wall;
        let mut over = Vec::new();
        for (key, value) in settings {
            if let Some(id) = key.strip_prefix(APPROVED_SETTING) {
                match serde_json::from_str::<Approved>(value) {
                    Ok(entry)
                        if entry.at.get() + REMEMBERED > now && self.memory.approved.len() < MAX_APPROVED =>
                    {
                        self.memory.approved.insert(id.to_owned(), entry);
                    }
                    _ => over.push(Write::Setting { key: key.clone(), value: None }),
                }
            } else if let Some((rule, agent)) = key.strip_prefix(RATE_SETTING).and_then(|k| k.split_once('/'))
            {
                let rate = serde_json::from_str::<Rate>(value).ok().filter(|rate| rate.runs(now));
                match (AgentId::parse(agent), rate) {
                    (Ok(agent_id), Some(rate)) => {
                        self.memory.rates.insert((Arc::from(rule), agent_id), rate);
                    }
                    _ => over.push(Write::Setting { key: key.clone(), value: None }),
                }
            }
        }
        step.save(over);
    }
}

fn approved_write(id: &str, entry: Option<&Approved>) -> Write {
    let value = entry.and_then(|entry| serde_json::to_string(entry).ok());
    Write::Setting { key: format!("{APPROVED_SETTING}{id}"), value }
}
