//! Where the approver is.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::Error;

/// The approver on this machine, where `durward up` listens by default.
pub const DEFAULT_APPROVER: &str = "http://127.0.0.1:5000";

/// An approver's address: `http` or `https`, host, optional port and path prefix. No user name and no
/// password (an address is no secret and gets logged), no query, no fragment.
///
/// Plain `http` is enough for the agent plane: what matters is sealed, and pairing vouches for the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApproverUrl(Url);

impl ApproverUrl {
    /// Whether a connection needs TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The address of one endpoint; `path` starts with `/`.
    pub(crate) fn endpoint(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        url
    }
}

impl Default for ApproverUrl {
    #[expect(clippy::expect_used, reason = "a constant; the test below parses it")]
    fn default() -> Self {
        DEFAULT_APPROVER.parse().expect("a constant URL")
    }
}

impl FromStr for ApproverUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::InvalidApproverUrl { reason: reason.to_owned() };
        let text = text.trim();
        // "localhost:5000" would parse as a URL with the scheme "localhost".
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("use http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("an approver's address carries no user name and no password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("leave out what follows `?` or `#`"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("the host is missing"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for ApproverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let shown = |text: &str| text.parse::<ApproverUrl>().map(|url| url.to_string()).ok();
        assert_eq!(ApproverUrl::default().to_string(), DEFAULT_APPROVER);
        assert_eq!(shown("localhost:5000").as_deref(), Some("http://localhost:5000"));
        assert_eq!(shown("https://a.example/durward/").as_deref(), Some("https://a.example/durward"));
        assert_eq!(shown("[::1]:5000").as_deref(), Some("http://[::1]:5000"));
        for bad in ["", "ftp://a", "http://", "http://u:p@a", "http://u@a", "http://a/?x", "http://a/#x"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
        let url: ApproverUrl = "https://a.example/durward/".parse().unwrap();
        assert_eq!(url.endpoint("/health").as_str(), "https://a.example/durward/health");
        assert!(url.is_tls());
    }
}
