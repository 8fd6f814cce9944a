//! Which agents and which domains a rule is about.

use durward_protocol::{AgentId, Domain};
use serde::Deserialize;

/// An agent id in which `*` stands for any characters, also none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct AgentPattern(pub(super) String);

/// `*`, or a domain that stands for itself and its subdomains, as in a scope.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum DomainPattern {
    Any,
    Under(Domain),
}

impl AgentPattern {
    pub(super) fn matches(&self, agent_id: &AgentId) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| agent_id.as_str().strip_prefix(first)) else {
            return false;
        };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl TryFrom<String> for AgentPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"._-*".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text))
        } else {
            Err("an agent is 1 to 64 of A-Z a-z 0-9 . _ - with * for any characters".into())
        }
    }
}

impl DomainPattern {
    /// `subdomains`: whether names below it count.
    pub(super) fn matches(&self, domain: &Domain, subdomains: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Under(own) if subdomains => own.covers(domain),
            Self::Under(own) => own == domain,
        }
    }
}

impl TryFrom<String> for DomainPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        Domain::parse(&text).map(Self::Under).map_err(|_| {
            "a domain is * or a name in lower case such as example.com, which covers its subdomains too"
                .into()
        })
    }
}
