//! Addresses: host names, registrable domains, and the six rules an owner can choose to compare them by.

use std::net::{Ipv4Addr, Ipv6Addr};

use regex::RegexBuilder;
use url::Url;

/// How a login's address is compared with the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriMatch {
    /// Same registrable domain.
    Domain,
    /// Same host and port.
    Host,
    /// The asked-for address starts with the saved one.
    StartsWith,
    /// The same text.
    Exact,
    /// The saved text is a regular expression, searched without regard to case.
    Regex,
    /// Matches nothing.
    Never,
}

impl UriMatch {
    /// From the number in the vault; absent is the account's default, which this client takes as `Domain`.
    /// An unknown rule matches nothing: releasing too little is safe.
    pub fn from_rule(rule: Option<u8>) -> Self {
        match rule {
            None | Some(0) => Self::Domain,
            Some(1) => Self::Host,
            Some(2) => Self::StartsWith,
            Some(3) => Self::Exact,
            Some(4) => Self::Regex,
            Some(_) => Self::Never,
        }
    }

    /// Whether a saved address fits the one asked for.
    pub fn matches(self, saved: &str, target: &str) -> bool {
        if saved.is_empty() || target.is_empty() {
            return false;
        }
        match self {
            Self::Domain => same_domain(saved, target),
            Self::Host => {
                matches!((host_and_port(saved), host_and_port(target)), (Some(a), Some(b)) if a == b)
            }
            Self::StartsWith => target.starts_with(saved),
            Self::Exact => target == saved,
            Self::Regex => {
                // Linear time and bounded size, whatever the vault holds.
                let regex = RegexBuilder::new(saved).case_insensitive(true).size_limit(1 << 20).build();
                regex.is_ok_and(|r| r.is_match(target))
            }
            Self::Never => false,
        }
    }
}

fn same_domain(saved: &str, target: &str) -> bool {
    let (Some(saved), Some(domain)) = (base_domain(saved), base_domain(target)) else { return false };
    if saved != domain {
        return false;
    }
    // Anybody can publish pages there; a Google password must not go to them.
    !(domain == "google.com" && host_and_port(target).is_some_and(|h| h == "script.google.com"))
}

/// The registrable domain in ASCII form, private suffixes included (`alice.github.io`). `localhost` and
/// addresses count as their own domain; a bare public suffix has none.
pub fn base_domain(uri: &str) -> Option<String> {
    let host = hostname(uri)?;
    if host == "localhost" || is_address(&host) {
        return Some(host);
    }
    psl::domain_str(&host).map(str::to_owned)
}

/// The host name of an address in ASCII form, lower case, without port and brackets. `None` for addresses
/// that have none.
pub fn hostname(uri: &str) -> Option<String> {
    let host = parse(uri)?.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let host = host.trim_end_matches('.').to_owned();
    (host == "localhost" || is_address(&host) || host.contains('.')).then_some(host)
}

fn is_address(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok()
}

/// Host and, if it is not the scheme's own, port.
fn host_and_port(uri: &str) -> Option<String> {
    let url = parse(uri)?;
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Without a scheme, `http://` is assumed when it looks like a host.
fn parse(uri: &str) -> Option<Url> {
    let uri = uri.trim();
    if ["data:", "about:", "file:"].iter().any(|scheme| uri.starts_with(scheme)) {
        return None;
    }
    if uri.contains("://") {
        return Url::parse(&special_scheme(uri)).ok();
    }
    let host_like = uri.contains('.') || uri.starts_with("localhost") || uri.starts_with('[');
    if !host_like {
        return None;
    }
    Url::parse(&format!("http://{uri}")).ok()
}

/// Hosts under schemes of applications (`androidapp://com.example`) are kept as they are by the URL parser;
/// everything else is lower-cased and put into ASCII.
fn special_scheme(uri: &str) -> String {
    match uri.split_once("://") {
        Some((scheme, rest))
            if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https" | "ftp" | "ws" | "wss") =>
        {
            format!("http://{rest}")
        }
        _ => uri.to_owned(),
    }
}
