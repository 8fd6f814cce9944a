//! One rule: what it is about, and what it says.

use std::fmt;

use durward_protocol::{AgentId, Domain, Field, Timestamp};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::PolicyVerdict;
use super::pattern::{AgentPattern, DomainPattern};
use super::window::{Days, Hours};

/// Most releases an hour that a rule may name.
const MAX_PER_HOUR: u32 = 1_000;

/// One rule. What it does not say matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    agent: Option<AgentPattern>,
    domain: Option<DomainPattern>,
    #[serde(default = "yes")]
    subdomains: bool,
    fields: Option<Vec<Field>>,
    days: Option<Vec<Days>>,
    hours: Option<Hours>,
    until: Option<Timestamp>,
    per_hour: Option<u32>,
    first_use: Option<FirstUse>,
    verdict: PolicyVerdict,
    /// Names it among the counts: the same text, the same name.
    #[serde(skip)]
    key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FirstUse {
    Ask,
}

fn yes() -> bool {
    true
}

/// What a rule is held against.
pub(super) struct Circumstances<'a> {
    pub(super) agent_id: &'a AgentId,
    pub(super) domain: &'a Domain,
    pub(super) fields: &'a [Field],
    pub(super) at: OffsetDateTime,
    /// The same moment on the clock of the policy's zone.
    pub(super) local: OffsetDateTime,
}

/// The first thing that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    Agent,
    Domain,
    Fields,
    Day,
    Hour,
    Over,
}

impl Rule {
    /// What cannot be said of one key alone.
    pub(super) fn finish(&mut self, has_zone: bool) -> Result<(), String> {
        let empty = |list: &Option<Vec<Field>>| list.as_ref().is_some_and(Vec::is_empty);
        if empty(&self.fields) || self.days.as_ref().is_some_and(Vec::is_empty) {
            return Err("an empty list matches nothing; leave the key out to match everything".into());
        }
        if (self.days.is_some() || self.hours.is_some()) && !has_zone {
            return Err(
                "days and hours need a zone: write zone = \"Europe/Berlin\" (or UTC, +02:00) at the top"
                    .into(),
            );
        }
        if !self.subdomains && !matches!(self.domain, Some(DomainPattern::Under(_))) {
            return Err("subdomains = false needs a domain".into());
        }
        if self.verdict != PolicyVerdict::Allow && (self.per_hour.is_some() || self.first_use.is_some()) {
            return Err("per_hour and first_use belong to rules that allow".into());
        }
        if self.per_hour.is_some_and(|n| !(1..=MAX_PER_HOUR).contains(&n)) {
            return Err(format!("per_hour is 1 to {MAX_PER_HOUR}"));
        }
        let hash = Sha256::digest(self.to_string().as_bytes());
        self.key = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(())
    }

    pub(super) fn verdict(&self) -> PolicyVerdict {
        self.verdict
    }

    pub(super) fn per_hour(&self) -> Option<u32> {
        self.per_hour
    }

    pub(super) fn asks_first(&self) -> bool {
        self.first_use.is_some()
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn names_agents(&self) -> bool {
        self.agent.is_some()
    }

    pub(super) fn names(&self, agent_id: &AgentId) -> bool {
        self.agent.as_ref().is_some_and(|pattern| pattern.matches(agent_id))
    }

    /// `allow` needs every field that is asked for in its list; the others need one.
    pub(super) fn miss(&self, asked: &Circumstances<'_>) -> Option<Miss> {
        let named = |list: &Vec<Field>| match self.verdict {
            PolicyVerdict::Allow => asked.fields.iter().all(|field| list.contains(field)),
            PolicyVerdict::Ask | PolicyVerdict::Deny => asked.fields.iter().any(|field| list.contains(field)),
        };
        if !self.agent.as_ref().is_none_or(|pattern| pattern.matches(asked.agent_id)) {
            return Some(Miss::Agent);
        }
        if !self.domain.as_ref().is_none_or(|pattern| pattern.matches(asked.domain, self.subdomains)) {
            return Some(Miss::Domain);
        }
        if !self.fields.as_ref().is_none_or(named) {
            return Some(Miss::Fields);
        }
        if self.until.is_some_and(|until| until.get() <= asked.at) {
            return Some(Miss::Over);
        }
        let time = asked.local.time();
        if self.hours.is_some_and(|hours| !hours.has(time)) {
            return Some(Miss::Hour);
        }
        let night = self.hours.is_some_and(|hours| hours.began_yesterday(time));
        let day = if night { asked.local.weekday().previous() } else { asked.local.weekday() };
        if !self.days.as_ref().is_none_or(|days| days.iter().any(|days| days.has(day))) {
            return Some(Miss::Day);
        }
        None
    }
}

impl Miss {
    /// For a person.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Agent => "another agent",
            Self::Domain => "another domain",
            Self::Fields => "other fields",
            Self::Day => "another day",
            Self::Hour => "another time of day",
            Self::Over => "over since its `until`",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verdict.as_str())?;
        if let Some(agent) = &self.agent {
            write!(f, "  agent {}", agent.0)?;
        }
        match &self.domain {
            Some(DomainPattern::Under(domain)) if self.subdomains => write!(f, "  domain {domain}")?,
            Some(DomainPattern::Under(domain)) => write!(f, "  domain {domain} only")?,
            Some(DomainPattern::Any) | None => f.write_str("  any domain")?,
        }
        if let Some(fields) = &self.fields {
            let names: Vec<String> = fields.iter().map(ToString::to_string).collect();
            write!(f, "  fields {}", names.join(", "))?;
        }
        if let Some(days) = &self.days {
            let days: Vec<String> = days.iter().map(ToString::to_string).collect();
            write!(f, "  {}", days.join(", "))?;
        }
        if let Some(hours) = &self.hours {
            write!(f, "  {hours}")?;
        }
        if let Some(until) = &self.until {
            write!(f, "  until {until}")?;
        }
        if let Some(per_hour) = self.per_hour {
            write!(f, "  {per_hour} an hour")?;
        }
        if self.first_use.is_some() {
            f.write_str("  first use asks")?;
        }
        Ok(())
    }
}
