//! Which item is for which domain.
//!
//! The same host first, then hosts of the same registrable domain: one label more than the longest public
//! suffix (publicsuffix.org, its private part included, so that two sites under `github.io` are strangers).
//! Addresses, single labels and names that are public suffixes themselves match exactly or not at all.

use durward_protocol::Domain;

use crate::MatchKind;

/// How an item stored for `stored` answers a request for `asked`; `None` when it does not.
pub fn match_domain(stored: &Domain, asked: &Domain) -> Option<MatchKind> {
    Asked::new(asked).matches(stored)
}

/// The host an item's address is for: a URL, a bare host, a host with port or path.
///
/// `None` when the text names no host: free text, or an application (`androidapp://com.example`), whose
/// reversed name would otherwise be taken for a domain that somebody else may own.
pub fn uri_domain(uri: &str) -> Option<Domain> {
    const NOT_HOSTS: [&str; 10] = [
        "androidapp",
        "android",
        "iosapp",
        "otpauth",
        "file",
        "data",
        "mailto",
        "javascript",
        "about",
        "steam",
    ];
    let uri = uri.trim();
    // Browsers read `\` as `/`, other parsers do not: such an address names two hosts.
    if uri.contains('\\') {
        return None;
    }
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    if NOT_HOSTS.iter().any(|name| scheme.eq_ignore_ascii_case(name)) {
        return None;
    }
    Domain::from_input(uri).ok()
}

/// A requested domain with its registrable domain, looked up once for many items.
pub(crate) struct Asked<'a> {
    domain: &'a Domain,
    registrable: Option<&'a str>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(domain: &'a Domain) -> Self {
        Self { domain, registrable: registrable(domain) }
    }

    pub(crate) fn matches(&self, stored: &Domain) -> Option<MatchKind> {
        if stored == self.domain {
            return Some(MatchKind::ExactHost);
        }
        // A name that merely ends in the registrable domain may lie under a longer suffix: ask the list.
        let ours = self.registrable?;
        if !stored.as_str().ends_with(ours) || registrable(stored) != Some(ours) {
            return None;
        }
        Some(if stored.covers(self.domain) { MatchKind::ParentDomain } else { MatchKind::RegistrableDomain })
    }
}

/// What two domains have in common when one answers for the other: the registrable domain, else the host.
pub(crate) fn group_of(domain: &Domain) -> &str {
    registrable(domain).unwrap_or(domain.as_str())
}

fn registrable(domain: &Domain) -> Option<&str> {
    if domain.is_ip() { None } else { psl::domain_str(domain.as_str()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn the_table() {
        use MatchKind::{ExactHost, ParentDomain, RegistrableDomain};
        for (stored, asked, expected) in [
            ("example.com", "example.com", Some(ExactHost)),
            ("example.com", "login.example.com", Some(ParentDomain)),
            ("login.example.com", "example.com", Some(RegistrableDomain)),
            ("a.example.com", "b.example.com", Some(RegistrableDomain)),
            ("example.com", "badexample.com", None),
            ("badexample.com", "example.com", None),
            ("example.com", "example.com.evil.net", None),
            ("example.com", "example.org", None),
            ("a.co.uk", "b.co.uk", None),
            ("www.a.co.uk", "a.co.uk", Some(RegistrableDomain)),
            ("alice.github.io", "bob.github.io", None),
            ("github.io", "bob.github.io", None),
            ("bob.github.io", "github.io", None),
            ("www.bob.github.io", "bob.github.io", Some(RegistrableDomain)),
            ("bucket.s3.amazonaws.com", "amazonaws.com", None),
            ("com", "example.com", None),
            ("localhost", "localhost", Some(ExactHost)),
            ("localhost", "app.localhost", None),
            ("intranet", "intranet", Some(ExactHost)),
            ("db.internal", "db.internal", Some(ExactHost)),
            ("db.internal", "web.internal", None),
            ("127.0.0.1", "127.0.0.1", Some(ExactHost)),
            ("10.0.0.1", "127.0.0.1", None),
            ("127.0.0.1", "::1", None),
            ("::1", "::1", Some(ExactHost)),
            ("xn--bcher-kva.example", "www.xn--bcher-kva.example", Some(ParentDomain)),
        ] {
            assert_eq!(match_domain(&domain(stored), &domain(asked)), expected, "{stored} for {asked}");
        }
    }

    #[test]
    fn addresses_name_their_host() {
        for (uri, host) in [
            ("https://Login.Example.com:8443/a?b=example.org#c", Some("login.example.com")),
            ("example.com", Some("example.com")),
            ("example.com:5432/db", Some("example.com")),
            ("https://user:pw@example.com/", Some("example.com")),
            ("https://example.org@example.com/", Some("example.com")),
            ("postgres://db.internal:5432/app", Some("db.internal")),
            ("http://[::1]:80/", Some("::1")),
            ("https://bücher.example/", Some("xn--bcher-kva.example")),
            ("androidapp://com.google", None),
            ("iosapp://com.google", None),
            ("mailto:me@example.com", None),
            ("https://example.org\\@example.com/", None),
            ("", None),
            ("my bank", None),
        ] {
            assert_eq!(uri_domain(uri).as_ref().map(Domain::as_str), host, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn two_registrable_domains_never_share(
            left in "[a-z]{1,8}", right in "[a-z]{1,8}", sub in "([a-z]{1,5}\\.){0,3}",
            suffix in prop::sample::select(vec!["com", "co.uk", "github.io", "internal", "com.au", "s3.amazonaws.com"]),
        ) {
            prop_assume!(left != right);
            let (Ok(stored), Ok(asked)) =
                (Domain::parse(&format!("{left}.{suffix}")), Domain::parse(&format!("{sub}{right}.{suffix}"))) else {
                return Ok(());
            };
            prop_assert_eq!(match_domain(&stored, &asked), None);
            prop_assert_eq!(match_domain(&asked, &stored), None);
        }

        #[test]
        fn subdomains_meet_their_parent(name in "[a-z]{4,8}", sub in "[a-z]{4,6}") {
            let (parent, child) = (domain(&format!("{name}-x.com")), domain(&format!("{sub}.{name}-x.com")));
            prop_assert_eq!(match_domain(&parent, &child), Some(MatchKind::ParentDomain));
            prop_assert_eq!(match_domain(&child, &parent), Some(MatchKind::RegistrableDomain));
        }

        #[test]
        fn a_match_means_equal_or_one_label_boundary(stored in "([a-c]{1,2}\\.){1,3}(com|net|uk)", asked in "([a-c]{1,2}\\.){1,3}(com|net|uk)") {
            let (stored, asked) = (domain(&stored), domain(&asked));
            let kind = match_domain(&stored, &asked);
            prop_assert_eq!(kind == Some(MatchKind::ExactHost), stored == asked);
            prop_assert_eq!(kind.is_some(), match_domain(&asked, &stored).is_some());
            if kind == Some(MatchKind::ParentDomain) {
                let ending = format!(".{stored}");
                prop_assert!(asked.as_str().ends_with(&ending));
            }
        }

        #[test]
        fn any_text_is_answered(uri in "\\PC{0,60}") {
            let _ = uri_domain(&uri);
        }
    }
}
