//! The owner's standing rules: which requests are released, asked about or denied without a question.
//!
//! The first rule that matches decides, as it is written, top down; without one the owner is asked.
//!
//! An `agent_id` is a claim. A rule that names agents therefore counts for a session only if the owner
//! said so when pairing; before that such a rule can only take away: `deny` denies all the same, and
//! `ask` keeps a later `allow` from releasing without a question.

mod explain;
mod pattern;
mod rule;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;

use durward_protocol::{AgentId, Domain, Field};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

pub use explain::{Explanation, MatchedRule, RuleRole};
pub use rule::Rule;
pub use window::Zone;

use rule::Circumstances;

/// Most rules of a policy.
pub const MAX_POLICY_RULES: usize = 1_000;

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PolicyVerdict {
    /// Release, as a standing grant would.
    Allow,
    /// Ask the owner.
    Ask,
    /// Release nothing.
    Deny,
}

impl PolicyVerdict {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// The rules of one policy file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    #[serde(default)]
    zone: Option<String>,
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
}

/// Rules, and the version they are known by in the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Arc<[Rule]>,
    zone: Option<Zone>,
    version: String,
}

/// What happened before, as far as rules look at it.
pub trait Past {
    /// Releases by this rule to the agent in the hour that runs.
    fn releases_in_hour(&self, rule: &str) -> u32;

    /// Whether the owner approved the same in this session.
    fn approved_before(&self, domain: &Domain, fields: &[Field]) -> bool;
}

/// What is judged.
#[derive(Clone, Copy)]
pub struct PolicyQuestion<'a> {
    /// The agent that was paired.
    pub agent_id: &'a AgentId,
    /// Whether the owner said that rules which name agents count for this session.
    pub named_rules_apply: bool,
    /// The domain asked for.
    pub domain: &'a Domain,
    /// The fields asked for.
    pub fields: &'a [Field],
    /// When.
    pub at: OffsetDateTime,
    /// What happened before.
    pub past: &'a dyn Past,
}

/// What the policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What to do.
    pub verdict: PolicyVerdict,
    /// Which rule decided, counted from 1; nothing when none matched.
    pub rule: Option<usize>,
    /// Why an `allow` asks this time.
    pub held: Option<Held>,
    /// The rule's name among the counts, when it allows only so many an hour.
    pub counted: Option<Arc<str>>,
}

/// Why a rule that allows asks all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// `per_hour` is used up.
    Rate,
    /// `first_use = "ask"`, and the owner has not approved this in this session yet.
    FirstUse,
}

impl Held {
    /// For a person.
    pub fn text(self) -> &'static str {
        match self {
            Self::Rate => "as many as per_hour allows were released in this hour",
            Self::FirstUse => "first use: the owner has not approved this in this session yet",
        }
    }
}

impl Ruling {
    /// Without a rule the owner is asked.
    pub(super) fn none() -> Self {
        Self { verdict: PolicyVerdict::Ask, rule: None, held: None, counted: None }
    }
}

impl Policy {
    /// The policy of a file that was read from `text`. `resolve` knows zones by name; `UTC` and `+02:00` need
    /// none. `Err`: what is wrong, with the rule's number.
    pub fn new(file: PolicyFile, text: &str, resolve: impl Fn(&str) -> Option<Zone>) -> Result<Self, String> {
        if file.rules.len() > MAX_POLICY_RULES {
            return Err(format!("more than {MAX_POLICY_RULES} rules"));
        }
        let zone = match file.zone.as_deref() {
            None => None,
            Some(name) => Some(Zone::fixed(name).or_else(|| resolve(name)).ok_or_else(|| {
                format!("zone {name:?} is not known here: use UTC, +02:00 or a name such as Europe/Berlin")
            })?),
        };
        let mut rules = file.rules;
        for (i, rule) in rules.iter_mut().enumerate() {
            rule.finish(zone.is_some()).map_err(|error| format!("rule {}: {error}", i + 1))?;
        }
        let hash = Sha256::digest(text.as_bytes());
        let version = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { rules: rules.into(), zone, version })
    }

    /// The first 16 hex digits of the SHA-256 of the file; empty without a file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The zone its hours and days are in.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_ref().map(Zone::name)
    }

    /// The rules as one line each.
    pub fn rules(&self) -> Vec<String> {
        self.rules.iter().map(ToString::to_string).collect()
    }

    /// Numbers of the rules that name agents, this one among them: they count only on the owner's yes.
    pub fn rules_naming(&self, agent_id: &AgentId) -> Vec<usize> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.names(agent_id)).map(|(i, _)| i + 1).collect()
    }

    /// Judges one request.
    pub fn judge(&self, question: PolicyQuestion<'_>) -> Ruling {
        if self.rules.is_empty() {
            return Ruling::none();
        }
        let circumstances = self.circumstances(question);
        let mut kept = None;
        for (i, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.miss(&circumstances).is_none())
        {
            let counts = !rule.names_agents() || question.named_rules_apply;
            let number = Some(i + 1);
            match (rule.verdict(), counts) {
                (PolicyVerdict::Deny, _) => {
                    return Ruling { verdict: PolicyVerdict::Deny, rule: number, ..Ruling::none() };
                }
                (PolicyVerdict::Allow, false) => {}
                (PolicyVerdict::Ask, false) => kept = kept.or(number),
                (_, true) if kept.is_some() => return Ruling { rule: kept, ..Ruling::none() },
                (PolicyVerdict::Ask, true) => return Ruling { rule: number, ..Ruling::none() },
                (PolicyVerdict::Allow, true) => return allowed(rule, number, question),
            }
        }
        Ruling { rule: kept, ..Ruling::none() }
    }

    fn circumstances<'a>(&self, question: PolicyQuestion<'a>) -> Circumstances<'a> {
        let local = self.zone.as_ref().map_or(question.at, |zone| zone.local(question.at));
        Circumstances {
            agent_id: question.agent_id,
            domain: question.domain,
            fields: question.fields,
            at: question.at,
            local,
        }
    }
}

fn allowed(rule: &Rule, number: Option<usize>, question: PolicyQuestion<'_>) -> Ruling {
    let held = if rule.per_hour().is_some_and(|most| question.past.releases_in_hour(rule.key()) >= most) {
        Some(Held::Rate)
    } else if rule.asks_first() && !question.past.approved_before(question.domain, question.fields) {
        Some(Held::FirstUse)
    } else {
        None
    };
    let verdict = if held.is_some() { PolicyVerdict::Ask } else { PolicyVerdict::Allow };
    let counted = rule.per_hour().map(|_| rule.key().into());
    Ruling { verdict, rule: number, held, counted }
}
