//! Requests that the policy decides, and which sessions its rules count for.

use durward_protocol::{AgentId, Domain, Field, SessionId, Verdict};
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::audit::{Actor, AuditEntry, AuditEvent};
use super::commit::InFlight;
use super::decision::{By, ByRule};
use super::machine::{Approval, Step};
use super::past::PastOf;
use super::policy::{Policy, PolicyQuestion, PolicyVerdict, Ruling};
use super::records::{StoredRequestState, Write};
use super::request::{Request, RequestKey, Stage};
use crate::Now;

/// What the settings of sessions for which rules that name agents count begin with.
const RULES_SETTING: &str = "session_rules/";

/// The reason of a denial by the policy.
const POLICY_REASON: &str = "policy";

/// Whether rules that name agents count for a session, as it is stored.
pub(super) fn rules_setting(id: SessionId, apply: bool) -> Write {
    Write::Setting { key: format!("{RULES_SETTING}{id}"), value: apply.then(|| "yes".to_owned()) }
}

impl Approval {
    /// The rules in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The rules that name an agent, with their numbers, for the owner to say yes to.
    pub(super) fn rules_for(&self, agent_id: &AgentId) -> Vec<String> {
        let numbers = self.policy.rules_naming(agent_id);
        let rules = if numbers.is_empty() { Vec::new() } else { self.policy.rules() };
        let line = |n: usize| Some(format!("{n}  {}", rules.get(n.checked_sub(1)?)?));
        numbers.into_iter().filter_map(line).collect()
    }

    pub(super) fn set_policy<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, policy: Policy) {
        if policy == self.policy {
            return;
        }
        let rules = policy.rules().len();
        let entry = AuditEntry::new(step.now.wall, AuditEvent::Other, Actor::System)
            .outcome("policy_changed")
            .detail(format!("{rules} rules, version {}", policy.version()));
        self.policy = policy;
        step.save(vec![Write::Audit(entry)]);
        self.judge_waiting(step);
    }

    /// What waits for the owner is judged as if it came now: a denial takes effect, a release if the vault
    /// is open. What the owner decides at this moment is theirs.
    pub(super) fn judge_waiting<R: CryptoRng>(&mut self, step: &mut Step<'_, R>) {
        let waits = |request: &Request| {
            let open = request.open()?;
            matches!(open.stage, Stage::Waiting { .. }).then_some(open.details.created_at)
        };
        let mut waiting: Vec<(OffsetDateTime, RequestKey)> =
            self.requests.iter().filter_map(|(key, request)| Some((waits(request)?, *key))).collect();
        waiting.sort_unstable();
        for (_, key) in waiting {
            let Some(details) = self.requests.get(&key).and_then(Request::details) else { continue };
            if self.live_session(step.now, key.0).is_none() || details.expires_at <= step.now.steady {
                continue;
            }
            let ruling = self.judge(step.now, key.0, &details.domain, &details.fields);
            match ruling.verdict {
                PolicyVerdict::Deny => self.deny_by_rule(step, key, &ruling, Vec::new(), true),
                PolicyVerdict::Allow
                    if self.sessions.get(&key.0).is_some_and(|session| session.uses_left() != Some(0)) =>
                {
                    self.read_under_policy(step, key, &ruling, Vec::new(), true);
                }
                PolicyVerdict::Allow | PolicyVerdict::Ask => {}
            }
        }
    }

    /// What the policy says about a request of this session, as session and policy are now.
    pub(super) fn judge(&self, now: Now, id: SessionId, domain: &Domain, fields: &[Field]) -> Ruling {
        match self.sessions.get(&id) {
            Some(session) => self.policy.judge(PolicyQuestion {
                agent_id: &session.record.agent_id,
                named_rules_apply: session.named_rules,
                domain,
                fields,
                at: now.wall,
                past: &PastOf {
                    memory: &self.memory,
                    agent_id: &session.record.agent_id,
                    session_id: id,
                    now: now.wall,
                },
            }),
            None => Ruling::none(),
        }
    }

    fn rule_detail(&self, ruling: &Ruling) -> String {
        format!("policy rule {}, version {}", ruling.rule.unwrap_or_default(), self.policy.version())
    }

    /// Released like under a grant: nothing is asked while the vault is open.
    pub(super) fn read_under_policy<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        ruling: &Ruling,
        unsaved: Vec<Write>,
        waited: bool,
    ) {
        let Some(details) = self.requests.get(&key).and_then(Request::details) else { return };
        let (item_id, fields) = (details.item_id.clone(), details.fields.clone());
        let by =
            By::Policy(ByRule { detail: self.rule_detail(ruling), counted: ruling.counted.clone(), waited });
        self.read_vault(step, key, by, item_id, fields, unsaved);
    }

    /// Creation and end of the request are one commit; should it fail, the request never came.
    pub(super) fn deny_by_policy<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        ruling: &Ruling,
        writes: Vec<Write>,
    ) {
        self.deny_by_rule(step, key, ruling, writes, false);
    }

    fn deny_by_rule<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        ruling: &Ruling,
        mut writes: Vec<Write>,
        recorded: bool,
    ) {
        let (verdict, reason) = (Verdict::Denied, Some(POLICY_REASON.to_owned()));
        let audit = self
            .request_entry(step.now, AuditEvent::RequestEnded, Actor::Policy, key)
            .outcome(verdict.as_str())
            .detail(self.rule_detail(ruling));
        let state = StoredRequestState::Ended { verdict, reason: reason.clone(), by: Actor::Policy };
        writes.extend(self.request_record(key, state).map(Write::Request));
        writes.push(Write::Audit(audit));
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        let (actor, replies, owner) = (Actor::Policy, Vec::new(), None);
        open.stage = Stage::Ending { verdict, reason, actor, replies, owner, recorded };
        if !recorded {
            self.save_last_use(step, key.0);
        }
        self.commit(step, InFlight::End(key), writes);
    }

    /// Sessions for which the owner said yes. What is left of sessions that are gone is removed.
    pub(super) fn restore_rules<R>(&mut self, step: &mut Step<'_, R>, settings: &[(String, String)]) {
        for (key, _) in settings {
            let Some(id) = key.strip_prefix(RULES_SETTING) else { continue };
            let session = self.sessions.iter_mut().find(|(session_id, _)| session_id.to_string() == id);
            match session {
                Some((_, session)) => session.named_rules = true,
                None => step.save(vec![Write::Setting { key: key.clone(), value: None }]),
            }
        }
    }
}
