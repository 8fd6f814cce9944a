//! What a web site looks like to this agent: a small TOML file of CSS selectors.

use durward_protocol::Domain;
use serde::Deserialize;
use url::{Host, Url};

use crate::ending::Ending;

/// The demo airline's file.
pub const SKYWARD: &str = include_str!("../sites/skyward.toml");

/// A site's pages. Unknown keys are refused, so that a typing error shows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name, for people.
    pub name: String,
    /// What the credential is asked for, and the only domain whose pages it is typed into.
    pub domain: Domain,
    /// Signing in.
    pub login: Login,
    /// The page that asks for a one-time code, where there is one.
    pub second_step: Option<SecondStep>,
    /// What only a signed-in visitor sees.
    pub account: Account,
    /// The search form.
    pub search: Search,
}

/// The sign-in page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Its path.
    pub path: String,
    /// The field for the user name.
    pub username: String,
    /// A button between user name and password, on sites that ask for them on two pages.
    pub next: Option<String>,
    /// The field for the password.
    pub password: String,
    /// The button.
    pub submit: String,
    /// What shows when user name, password or code were refused.
    pub refused: String,
}

/// The second step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondStep {
    /// The field for the code.
    pub code: String,
    /// The button.
    pub submit: String,
}

/// After signing in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Something that is on the page only then.
    pub signed_in: String,
}

/// The search form and its results.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Its path.
    pub path: String,
    /// Where from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// When.
    pub date: String,
    /// The button.
    pub submit: String,
    /// What holds the flights.
    pub results: String,
}

impl Site {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, Ending> {
        toml::from_str(text)
            .map_err(|error| Ending::usage(format!("The file of selectors does not fit: {error}")))
    }

    /// The page at `path` of the site at `base`.
    pub fn page(&self, base: &Url, path: &str) -> Result<Url, Ending> {
        let url = base
            .join(path)
            .map_err(|error| Ending::usage(format!("{path:?} is not a path of {base}: {error}")))?;
        self.vouch(&url)?;
        Ok(url)
    }

    /// Whether secrets of this site may be typed into the page at `url`: its domain or a subdomain, over TLS, or
    /// without where nothing leaves the machine.
    pub fn vouch(&self, url: &Url) -> Result<(), Ending> {
        let host = url.host_str().unwrap_or_default();
        let domain = self.domain.as_str();
        let covered = host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        let named = |host: &str| host == "localhost" || host.ends_with(".localhost");
        let here = match url.host() {
            Some(Host::Domain(name)) => named(name),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        // An address has no subdomains.
        let covered = covered && (host == domain || matches!(url.host(), Some(Host::Domain(_))));
        match (covered, url.scheme()) {
            (true, "https") => Ok(()),
            (true, "http") if here => Ok(()),
            (true, _) => Err(Ending::other(format!(
                "The page at {host} is not protected by TLS: nothing is typed there."
            ))),
            (false, _) => Err(Ending::other(format!(
                "The browser is at {host:?}, not at {domain}: the credential is not typed there."
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read() {
        for text in [SKYWARD, include_str!("../sites/aa.toml")] {
            Site::parse(text).unwrap();
        }
        let typo = SKYWARD.replace("refused", "refusd");
        assert!(Site::parse(&typo).unwrap_err().sentence.contains("refusd"));
    }

    #[test]
    fn a_secret_is_typed_at_its_own_domain_only() {
        let site = |domain: &str| {
            let mut site = Site::parse(SKYWARD).unwrap();
            site.domain = Domain::parse(domain).unwrap();
            site
        };
        let may = |domain: &str, url: &str| site(domain).vouch(&Url::parse(url).unwrap()).is_ok();
        for good in ["https://aa.com/login", "https://www.aa.com:8443/"] {
            assert!(may("aa.com", good), "{good}");
        }
        for bad in [
            "http://www.aa.com/login",
            "https://notaa.com/",
            "https://aa.com.evil.example/",
            "https://evil.example/aa.com",
            "https://aa.com@evil.example/",
            "data:text/html,aa.com",
            "about:blank",
            "chrome-error://chromewebdata/",
        ] {
            assert!(!may("aa.com", bad), "{bad}");
        }
        assert!(may("skyward.localhost", "http://skyward.localhost:8080/login"));
        assert!(may("127.0.0.1", "http://127.0.0.1:8080/login"));
        assert!(!may("192.0.2.1", "http://192.0.2.1/login"));
    }
}
