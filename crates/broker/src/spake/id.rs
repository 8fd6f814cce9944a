//! The caller's name for a session.

use std::fmt;

use serde::Serialize;

use super::Error;

/// Longest session id, in characters (all of them ASCII).
pub const MAX_SESSION_ID_CHARS: usize = 128;

/// A session id: 1 to 128 of the characters a URL path carries unescaped (RFC 3986 section 2.3: letters, digits,
/// `-`, `.`, `_`, `~`). It does not begin with a dot, because clients resolve `.` and `..` away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeSessionId"))]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// Checks and takes `text`.
    pub fn new(text: String) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let fits = (1..=MAX_SESSION_ID_CHARS).contains(&text.len());
        if fits && text.bytes().all(allowed) && !text.starts_with('.') {
            Ok(Self(text))
        } else {
            Err(Error::InvalidSessionId)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SessionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text.to_owned())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_hold() {
        for good in ["a", "test123", "unique_session_identifier", "~x", "A.b-c_d", &"x".repeat(128)] {
            assert!(SessionId::new(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".a", "a/b", "a b", "a%2fb", "é", "a\n", &"x".repeat(129)] {
            assert_eq!(SessionId::new(bad.to_owned()), Err(Error::InvalidSessionId), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_needs_no_escaping(text in ".{0,140}") {
            if let Ok(id) = SessionId::new(text.clone()) {
                prop_assert_eq!(id.as_str(), text.as_str());
                let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
                prop_assert!(text.chars().all(unreserved) && text.len() <= 128 && !text.is_empty());
            }
        }
    }
}
