//! The name a credential belongs to.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Longest DNS name in text form (RFC 1035 section 2.3.4).
pub const MAX_DOMAIN_BYTES: usize = 253;

/// A host name in lower-case A-labels, or an IP address; no port, no scheme, no trailing dot.
///
/// On the wire only the canonical form is taken, so that what the owner reads is what is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("maxLength" = MAX_DOMAIN_BYTES)))]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// Takes the canonical form only.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if is_canonical_ip(text) || is_canonical_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::InvalidDomain)
        }
    }

    /// Takes what a person types or pastes: a URL, upper case, Unicode, a port, a trailing dot.
    pub fn from_input(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let host = host_part(text);
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Self(ip.to_string()));
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        let ascii = idna::domain_to_ascii_strict(host).map_err(|_| Error::InvalidDomain)?;
        Self::parse(&ascii)
    }

    /// The text, as on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an IP address and not a name.
    pub fn is_ip(&self) -> bool {
        self.0.parse::<IpAddr>().is_ok()
    }

    /// Whether `self` is `other` or a parent of it: `example.com` covers `login.example.com`.
    /// An address covers itself only.
    pub fn covers(&self, other: &Self) -> bool {
        if self.0 == other.0 {
            return true;
        }
        !self.is_ip()
            && !other.is_ip()
            && other.0.strip_suffix(&self.0).is_some_and(|prefix| prefix.ends_with('.'))
    }
}

fn host_part(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if let Some(bracketed) = rest.strip_prefix('[') {
        return bracketed.split_once(']').map_or(bracketed, |(host, _)| host);
    }
    if rest.parse::<IpAddr>().is_ok() {
        return rest; // a bare IPv6 address has colons that are no port
    }
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => rest,
    }
}

fn is_canonical_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok_and(|ip| ip.to_string() == text)
}

fn is_canonical_name(text: &str) -> bool {
    if text.is_empty() || text.len() > MAX_DOMAIN_BYTES {
        return false;
    }
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    if !text.split('.').all(label_ok) {
        return false;
    }
    // A last label of digits would be read as an IPv4 address by some parsers (WHATWG URL, "ends in a number").
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    // Punycode must decode and be what encoding gives, else two spellings would name one site.
    !text.contains("xn--") || idna::domain_to_ascii_strict(text).is_ok_and(|ascii| ascii == text)
}

impl TryFrom<String> for Domain {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_form_is_canonical_only() {
        for good in [
            "example.com",
            "db.internal",
            "localhost",
            "127.0.0.1",
            "::1",
            "xn--bcher-kva.example",
            "a_b.example",
        ] {
            assert!(Domain::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "Example.com",
            "example.com.",
            "example.com:443",
            "https://example.com",
            "a..b",
            "-a.example",
            "a-.example",
            "exa mple.com",
            "bücher.example",
            "127.0.0.01",
            "1.2.3",
            "[::1]",
            "xn--a.example",
            "::01",
            "a\u{202e}b.example",
            "a\0b.example",
        ] {
            assert!(Domain::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Domain::parse(&format!("{}.example", "a".repeat(64))).is_err());
    }

    #[test]
    fn people_type_urls() {
        for (typed, wire) in [
            ("https://Example.com/login?x=1#y", "example.com"),
            ("Example.com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("user@host.example:5432", "host.example"),
            ("http://[::1]:8080/", "::1"),
            ("::1", "::1"),
            ("127.0.0.1:5000", "127.0.0.1"),
            (" db.internal ", "db.internal"),
        ] {
            assert_eq!(Domain::from_input(typed).map(|d| d.to_string()).as_deref(), Ok(wire), "{typed}");
        }
        assert!(Domain::from_input("https://").is_err());
        assert!(Domain::from_input("not a host").is_err());
    }

    #[test]
    fn a_parent_covers_its_children_only() {
        let domain = |text: &str| Domain::parse(text).unwrap();
        assert!(domain("example.com").covers(&domain("example.com")));
        assert!(domain("example.com").covers(&domain("login.example.com")));
        assert!(!domain("example.com").covers(&domain("badexample.com")));
        assert!(!domain("login.example.com").covers(&domain("example.com")));
        assert!(!domain("::1").covers(&domain("127.0.0.1")));
    }
}
