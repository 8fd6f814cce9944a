//! Which server: regions, self-hosted bases, and a URL per service.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Error, Result};

/// The text the official command line prints when no server was set.
pub const DEFAULT_SERVER: &str = "https://bitwarden.com";

/// The server settings as the data file holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// `US`, `EU`, `Gov` or `Self-hosted`.
    pub region: String,
    /// The URLs of a self-hosted server; a region has none.
    pub urls: Option<Urls>,
}

/// One URL per service; a service without one is found under `base`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Urls {
    /// Where everything else is found.
    pub base: Option<String>,
    /// The API.
    pub api: Option<String>,
    /// Where tokens come from.
    pub identity: Option<String>,
    /// The web vault; stands in for a missing base.
    pub web_vault: Option<String>,
    /// Icons, kept for other clients.
    pub icons: Option<String>,
    /// Notifications, kept for other clients.
    pub notifications: Option<String>,
    /// Events, kept for other clients.
    pub events: Option<String>,
    /// The Key Connector of an organisation.
    pub key_connector: Option<String>,
    /// Sends, kept for other clients.
    pub send: Option<String>,
}

impl Default for Environment {
    fn default() -> Self {
        Self { region: "US".to_owned(), urls: None }
    }
}

impl Environment {
    /// From what a person gave: a base, or single services, each cut and completed as the official client does.
    /// With nothing left it is the default cloud.
    pub fn from_urls(urls: &Urls) -> Self {
        let base = urls
            .base
            .as_deref()
            .and_then(tidy)
            .filter(|b| b != "https://bitwarden.com" && b != "https://null");
        let service = |url: Option<&String>| url.map(String::as_str).and_then(tidy);
        let urls = Urls {
            base,
            api: service(urls.api.as_ref()),
            identity: service(urls.identity.as_ref()),
            web_vault: service(urls.web_vault.as_ref()),
            icons: service(urls.icons.as_ref()),
            notifications: service(urls.notifications.as_ref()),
            events: service(urls.events.as_ref()),
            key_connector: service(urls.key_connector.as_ref()),
            send: service(urls.send.as_ref()),
        };
        if urls == Urls::default() {
            return Self::default();
        }
        Self { region: "Self-hosted".to_owned(), urls: Some(urls) }
    }

    /// What `config server` and `status` show: the base, and no other address.
    pub fn shown(&self) -> Option<&str> {
        match self.region.as_str() {
            "US" => None,
            "EU" => Some("https://bitwarden.eu"),
            "Gov" => Some("https://bitwarden-gov.com"),
            _ => self.urls.as_ref().and_then(|u| u.base.as_deref()),
        }
    }

    /// The API, without a final slash.
    pub fn api(&self) -> String {
        self.service(|u| u.api.as_deref(), "/api", "https://api")
    }

    /// The identity server.
    pub fn identity(&self) -> String {
        self.service(|u| u.identity.as_deref(), "/identity", "https://identity")
    }

    /// The web vault.
    pub fn web_vault(&self) -> String {
        self.service(|u| u.web_vault.as_deref(), "", "https://vault")
    }

    /// Host and port of the web vault, for texts.
    pub fn web_vault_host(&self) -> String {
        host_of(&self.web_vault())
    }

    fn service(&self, own: impl Fn(&Urls) -> Option<&str>, path: &str, cloud: &str) -> String {
        if let Some(urls) = &self.urls {
            if let Some(own) = own(urls) {
                return own.to_owned();
            }
            if let Some(base) = urls.base.as_deref().or(urls.web_vault.as_deref()) {
                return format!("{base}{path}");
            }
        }
        let domain = match self.region.as_str() {
            "EU" => "bitwarden.eu",
            "Gov" => "bitwarden-gov.com",
            _ => "bitwarden.com",
        };
        format!("{cloud}.{domain}")
    }
}

/// Host and port of a URL, for texts; the URL itself when it has none.
pub(crate) fn host_of(url: &str) -> String {
    let Ok(parsed) = Url::parse(url) else { return url.to_owned() };
    let Some(host) = parsed.host_str() else { return url.to_owned() };
    match parsed.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Refuses anything that is not TLS.
///
/// # Errors
/// [`Error::InsecureUrl`], [`Error::InvalidUrl`].
pub(crate) fn require_https(url: &str) -> Result<Url> {
    let parsed = Url::parse(url).map_err(|e| Error::InvalidUrl(format!("{url}: {e}")))?;
    if parsed.scheme() == "https" { Ok(parsed) } else { Err(Error::InsecureUrl) }
}

fn tidy(url: &str) -> Option<String> {
    let url = url.trim().trim_end_matches('/');
    if url.is_empty() {
        return None;
    }
    if url.starts_with("http://") || url.starts_with("https://") {
        Some(url.to_owned())
    } else {
        Some(format!("https://{url}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Environment {
        Environment::from_urls(&Urls { base: Some(url.to_owned()), ..Urls::default() })
    }

    #[test]
    fn the_cloud_has_no_base() {
        for url in ["null", "bitwarden.com", "https://bitwarden.com", "https://bitwarden.com//", ""] {
            assert_eq!(base(url), Environment::default(), "{url}");
        }
        let cloud = Environment::default();
        assert_eq!(cloud.shown(), None);
        assert_eq!(cloud.api(), "https://api.bitwarden.com");
        assert_eq!(cloud.identity(), "https://identity.bitwarden.com");
        assert_eq!(cloud.web_vault_host(), "vault.bitwarden.com");
    }

    #[test]
    fn regions_have_their_own_hosts() {
        let eu = Environment { region: "EU".to_owned(), urls: None };
        assert_eq!(eu.api(), "https://api.bitwarden.eu");
        let gov = Environment { region: "Gov".to_owned(), urls: None };
        assert_eq!(gov.identity(), "https://identity.bitwarden-gov.com");
    }

    #[test]
    fn a_base_is_completed_and_a_service_wins_over_it() {
        let own = base("vault.example.org//");
        assert_eq!(own.region, "Self-hosted");
        assert_eq!(own.shown(), Some("https://vault.example.org"));
        assert_eq!(own.identity(), "https://vault.example.org/identity");
        let mut urls = own.urls.unwrap();
        urls.api = Some("https://api.example.org".to_owned());
        let own = Environment::from_urls(&urls);
        assert_eq!(own.api(), "https://api.example.org");
        let web = Environment::from_urls(&Urls {
            web_vault: Some("https://w.example.org:8443".to_owned()),
            ..Urls::default()
        });
        assert_eq!(web.shown(), None);
        assert_eq!(web.api(), "https://w.example.org:8443/api");
        assert_eq!(web.web_vault_host(), "w.example.org:8443");
    }

    #[test]
    fn plain_http_is_refused() {
        assert!(matches!(require_https("http://localhost:1"), Err(Error::InsecureUrl)));
        assert!(matches!(require_https("nonsense"), Err(Error::InvalidUrl(_))));
        assert!(require_https("https://localhost:1").is_ok());
    }

    #[test]
    fn on_disk_it_has_the_official_members() {
        let text = serde_json::to_string(&base("https://v.example")).unwrap();
        assert_eq!(
            text,
            r#"{"region":"Self-hosted","urls":{"base":"https://v.example","api":null,"identity":null,"webVault":null,"icons":null,"notifications":null,"events":null,"keyConnector":null,"send":null}}"#
        );
        assert_eq!(serde_json::to_string(&Environment::default()).unwrap(), r#"{"region":"US","urls":null}"#);
    }
}
