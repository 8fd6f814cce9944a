//! What a call brings: its address, its key, its body.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use durward_broker::accounts::{ApiError, Caller, ClientAddress, KeyHash, UserId, check_key, parse_body};
use durward_store::{KeyRow, Touch};
use serde::de::DeserializeOwned;

use super::Accounts;
use super::failure::Failure;
use crate::http::{client_address, json_bytes, json_bytes_if_any};

/// Proof that the call carries a live key.
pub(super) struct AuthedDevice {
    pub(super) key: Arc<KeyRow>,
    pub(super) hash: KeyHash,
    pub(super) address: ClientAddress,
}

impl AuthedDevice {
    pub(super) fn user(&self) -> &UserId {
        &self.key.record().user_id
    }

    /// As caller of an attempt at the account's own passphrase.
    pub(super) fn caller(&self) -> Caller {
        Caller { address: self.address, key_of: Some(self.user().clone()) }
    }
}

impl FromRequestParts<Arc<Accounts>> for AuthedDevice {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, accounts: &Arc<Accounts>) -> Result<Self, Failure> {
        let hash = presented(&parts.headers).ok_or(ApiError::InvalidApiKey)?;
        let address = accounts.address_of(&parts.extensions, &parts.headers);
        accounts.check(KeyHash::of_presented(hash)?, address).await
    }
}

impl Accounts {
    /// Where a call comes from.
    pub(super) fn address(&self, request: &Request) -> ClientAddress {
        self.address_of(request.extensions(), request.headers())
    }

    fn address_of(&self, extensions: &Extensions, headers: &HeaderMap) -> ClientAddress {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip());
        ClientAddress::new(client_address(peer, headers, &self.trusted_proxies))
    }

    async fn check(&self, hash: KeyHash, address: ClientAddress) -> Result<AuthedDevice, Failure> {
        let key = self.store.key(&hash).await?;
        let now = self.now();
        let used = check_key(key.as_ref().map(|key| key.record()), &hash, now)?;
        let Some(key) = key else { return Err(ApiError::InvalidApiKey.into()) };
        if used.touch && key.claim_touch(now) {
            let record = key.record();
            self.touches.note(Touch {
                device: record.device_id.clone(),
                user: record.user_id.clone(),
                at: now,
                address: Some(address),
                legacy: record.legacy,
            });
        }
        Ok(AuthedDevice { key, hash, address })
    }

    /// Who tries a secret; a live key along with it is the owner's way past the limit over all addresses.
    ///
    /// The request is read before anything is awaited: its body cannot be shared between threads.
    pub(super) fn caller<'s>(
        &'s self,
        request: &Request,
    ) -> impl Future<Output = Result<Caller, Failure>> + Send + use<'s> {
        let hash = presented(request.headers()).and_then(|key| KeyHash::of_presented(key).ok());
        let address = self.address(request);
        async move {
            let Some(hash) = hash else { return Ok(Caller { address, key_of: None }) };
            match self.check(hash, address).await {
                Ok(device) => Ok(device.caller()),
                Err(Failure::Refusal(_)) => Ok(Caller { address, key_of: None }),
                Err(trouble) => Err(trouble),
            }
        }
    }

    /// The body, which must be JSON and say so.
    pub(super) async fn body<T: DeserializeOwned>(&self, request: Request) -> Result<T, Failure> {
        let bytes = json_bytes(request, &self.limits).await?;
        object(&bytes)
    }

    /// The body, or the default where there is none.
    pub(super) async fn body_if_any<T: DeserializeOwned + Default>(
        &self,
        request: Request,
    ) -> Result<T, Failure> {
        match json_bytes_if_any(request, &self.limits).await? {
            Some(bytes) => object(&bytes),
            None => Ok(T::default()),
        }
    }
}

/// Objects only: serde would take the fields from a list, too.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Ok(parse_body(bytes)?),
        _ => Err(ApiError::InvalidRequest("The body is not a JSON object").into()),
    }
}

/// `X-API-Key`, else `Authorization: Bearer`; a repeated header is none.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        values.next().is_none().then(|| first.to_str().ok())?
    };
    if headers.contains_key("x-api-key") {
        return only("x-api-key").map(str::trim);
    }
    let (scheme, token) = only(header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_to_carry_a_key() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            presented(&headers).map(str::to_owned)
        };
        assert_eq!(with(&[("x-api-key", " k ")]).as_deref(), Some("k"));
        assert_eq!(with(&[("authorization", "Bearer k")]).as_deref(), Some("k"));
        assert_eq!(with(&[("authorization", "bearer  k")]).as_deref(), Some("k"));
        assert_eq!(with(&[("authorization", "Basic k")]), None);
        assert_eq!(with(&[("x-api-key", "a"), ("x-api-key", "b")]), None);
        assert_eq!(with(&[("x-api-key", "a"), ("authorization", "Bearer b")]).as_deref(), Some("a"));
        assert_eq!(with(&[]), None);
    }
}
