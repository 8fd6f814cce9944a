//! What the servers share: bodies, errors, the rules for `Host` and `Origin`, connections.

mod body;
mod caller;
mod callers;
mod connection;
mod error;
mod guard;
mod proxy;

pub(crate) use body::{
    Body, RawBody, Strict, json_bytes, json_bytes_if_any, require_json, without_idle_body,
};
pub(crate) use caller::{admit, listed_origin, preflight, with_cors};
pub(crate) use callers::{Callers, Guest};
pub(crate) use connection::{Connections, PeerUid, serve};
pub(crate) use error::ApiError;
pub(crate) use guard::{HostRule, check_host};
pub use proxy::Network;
pub(crate) use proxy::client_address;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::config::Limits;

/// How long a call may be held. Taken out of the headers at once: a header that is kept keeps the connection's read
/// buffer, eight kilobytes for each agent that waits.
pub(crate) struct Wait(pub(crate) Duration);

impl<S> FromRequestParts<S> for Wait
where
    S: Send + Sync + AsRef<Limits>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(wait(&parts.headers, state.as_ref())))
    }
}

/// `Prefer: wait=N` (RFC 7240 section 4.3), within the limits.
pub(crate) fn wait(headers: &HeaderMap, limits: &Limits) -> Duration {
    let asked = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|part| part.trim().strip_prefix("wait="))
        .find_map(|seconds| seconds.trim().trim_matches('"').parse::<u64>().ok());
    Duration::from_secs(asked.unwrap_or(limits.default_wait_seconds).min(limits.max_wait_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefer_wait() {
        let limits = Limits::default();
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().unwrap());
            wait(&headers, &limits).as_secs()
        };
        assert_eq!(wait(&HeaderMap::new(), &limits).as_secs(), 60);
        assert_eq!(with("wait=5"), 5);
        assert_eq!(with("respond-async, wait=0"), 0);
        assert_eq!(with("wait=99999"), 300);
        assert_eq!(with("wait=-1"), 60);
    }
}
