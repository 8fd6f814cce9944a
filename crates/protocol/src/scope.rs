//! What a session may be used for, fixed when it is paired.

use serde::{Deserialize, Serialize};

use crate::encoding::{base64url_decode, base64url_encode, from_json_object};
use crate::{Domain, Error};

/// Longest scope on the wire, in base64url characters.
pub const MAX_SCOPE_BYTES: usize = 4_096;

/// Most domains in one scope.
pub const MAX_SCOPE_DOMAINS: usize = 64;

/// A limit an agent puts on itself, or the owner puts on it, hashed into the pairing as it was sent.
///
/// The text on the wire is base64url of the JSON bytes. Both ends hash that text and nobody
/// re-serialises JSON, so no two parsers can disagree about what was agreed. No scope is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    text: String,
    limits: Limits,
}

/// The limits inside a scope. Absent means unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Domains the session may ask for; each covers its subdomains.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub domains: Option<Vec<Domain>>,
    /// Credentials the session may receive in all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub max_uses: Option<u64>,
    /// Life of the session in seconds, counted from confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub expires_in: Option<u64>,
}

/// A key that is there has a value: `null` would be a third way to say "absent".
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

impl Scope {
    /// No limits; zero bytes on the wire.
    pub fn none() -> Self {
        Self::default()
    }

    /// A scope with these limits.
    pub fn new(limits: &Limits) -> Result<Self, Error> {
        if *limits == Limits::default() {
            return Ok(Self::none());
        }
        let json = serde_json::to_vec(limits).map_err(|_| Error::InvalidScope)?;
        Self::parse(&base64url_encode(&json))
    }

    /// Reads the text on the wire and keeps it as sent.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::none());
        }
        if text.len() > MAX_SCOPE_BYTES {
            return Err(Error::InvalidScope);
        }
        let json = base64url_decode(text).map_err(|_| Error::InvalidScope)?;
        let limits: Limits = from_json_object(&json).map_err(|_| Error::InvalidScope)?;
        let domains_ok =
            limits.domains.as_ref().is_none_or(|list| (1..=MAX_SCOPE_DOMAINS).contains(&list.len()));
        if !domains_ok || limits.max_uses == Some(0) || limits.expires_in == Some(0) {
            return Err(Error::InvalidScope);
        }
        Ok(Self { text: text.to_owned(), limits })
    }

    /// The text as sent, for the wire and the transcript.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is no limit at all.
    pub fn is_none(&self) -> bool {
        self.text.is_empty()
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether a session with this scope may ask for `domain`.
    pub fn covers(&self, domain: &Domain) -> bool {
        self.limits.domains.as_ref().is_none_or(|list| list.iter().any(|own| own.covers(domain)))
    }

    /// Whether everything this scope allows, `asked` allows too. An agent refuses a pairing whose
    /// granted scope is not within the one it asked for: it would hold rights it did not want.
    pub fn is_within(&self, asked: &Self) -> bool {
        let domains_within = match (&self.limits.domains, &asked.limits.domains) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(_)) => own.iter().all(|domain| asked.covers(domain)),
        };
        domains_within
            && at_most(self.limits.max_uses, asked.limits.max_uses)
            && at_most(self.limits.expires_in, asked.limits.expires_in)
    }
}

fn at_most(own: Option<u64>, asked: Option<u64>) -> bool {
    asked.is_none_or(|asked| own.is_some_and(|own| own <= asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(json: &str) -> Result<Scope, Error> {
        Scope::parse(&base64url_encode(json.as_bytes()))
    }

    #[test]
    fn text_is_kept_as_sent() {
        let spaced = scope(r#"{ "max_uses": 3, "domains": ["example.com"] }"#).unwrap();
        let tight = scope(r#"{"domains":["example.com"],"max_uses":3}"#).unwrap();
        assert_eq!(spaced.limits(), tight.limits());
        assert_ne!(spaced.as_str(), tight.as_str());
        assert_eq!(Scope::parse("").unwrap(), Scope::none());
        assert_eq!(Scope::new(&Limits::default()).unwrap().as_str(), "");
    }

    #[test]
    fn strict_json() {
        for bad in [
            "",
            "[]",
            r#"{"domains":[]}"#,
            r#"{"domain":["a.example"]}"#,
            r#"{"max_uses":1,"max_uses":2}"#,
            r#"{"max_uses":0}"#,
            r#"{"max_uses":-1}"#,
            r#"{"domains":["Example.com"]}"#,
            r#"{"domains":null}"#,
            r#"{"expires_in":0}"#,
            r#"{"max_uses":1} x"#,
        ] {
            assert!(scope(bad).is_err() || bad.is_empty(), "{bad}");
        }
        assert!(Scope::parse("not base64!").is_err());
    }

    #[test]
    fn narrower_is_within_wider_is_not() {
        let asked = scope(r#"{"domains":["example.com"],"max_uses":3}"#).unwrap();
        for within in [
            r#"{"domains":["login.example.com"],"max_uses":1}"#,
            r#"{"domains":["example.com"],"max_uses":3,"expires_in":60}"#,
        ] {
            assert!(scope(within).unwrap().is_within(&asked), "{within}");
        }
        for wider in
            [r#"{"domains":["example.com"]}"#, r#"{"max_uses":3}"#, r#"{"domains":["com"],"max_uses":3}"#]
        {
            assert!(!scope(wider).unwrap().is_within(&asked), "{wider}");
        }
        assert!(!Scope::none().is_within(&asked));
        assert!(asked.is_within(&Scope::none()));
    }
}
