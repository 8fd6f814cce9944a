//! JSON bodies: bounded in size and time, one object, nothing twice.

use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes, HttpBody as _, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use durward_protocol::{ErrorCode, from_json_object};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::ApiError;
use crate::config::Limits;

/// A JSON body, whatever its `Content-Type` says: the control plane's tokens already force a preflight.
pub(crate) struct Body<T>(pub(crate) T);

/// A JSON body that must be sent as `application/json`, so that no web page can post it without a preflight.
pub(crate) struct Strict<T>(pub(crate) T);

/// A body as it came, for an API that reads it with errors of its own. Wiped when dropped.
pub(crate) struct RawBody(pub(crate) Zeroizing<Vec<u8>>);

impl<S, T> FromRequest<S> for Body<T>
where
    S: Send + Sync + AsRef<Limits>,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        read(request, state.as_ref()).await.map(Self)
    }
}

impl<S, T> FromRequest<S> for Strict<T>
where
    S: Send + Sync + AsRef<Limits>,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        read(request, state.as_ref()).await.map(Self)
    }
}

impl<S> FromRequest<S> for RawBody
where
    S: Send + Sync + AsRef<Limits>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        read_bytes(request, state.as_ref()).await.map(Self)
    }
}

/// Refuses a body that is not sent as `application/json`.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), ErrorCode> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err(ErrorCode::UnsupportedMediaType)
    }
}

/// The bytes of a body that must be sent as `application/json`, for whoever reads them by rules of its own.
pub(crate) async fn json_bytes(request: Request, limits: &Limits) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    require_json(request.headers())?;
    read_bytes(request, limits).await
}

/// The same where there may be no body.
pub(crate) async fn json_bytes_if_any(
    request: Request,
    limits: &Limits,
) -> Result<Option<Zeroizing<Vec<u8>>>, ApiError> {
    let is_json = require_json(request.headers());
    let bytes = read_bytes(request, limits).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    is_json?;
    Ok(Some(bytes))
}

/// Reads and throws away the body of a call that has no use for one, within the limits. Left unread, it would make the
/// system cut the answer off as soon as the connection is closed.
pub(crate) async fn without_idle_body(request: Request, limits: &Limits) -> Result<Request, ApiError> {
    let idle = matches!(*request.method(), Method::GET | Method::HEAD) && !request.body().is_end_stream();
    if !idle {
        return Ok(request);
    }
    let (parts, _) = taken_apart(request, limits).await?;
    Ok(Request::from_parts(parts, HttpBody::empty()))
}

/// Reads the body of a caller who may call before the handler has it, whether the handler wants one or not: a handler
/// that answers with the body unread loses its answer when the rest of the body comes later than its head.
pub(crate) async fn whole_body<S>(State(state): State<S>, request: Request, next: Next) -> Response
where
    S: AsRef<Limits>,
{
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    match taken_apart(request, state.as_ref()).await {
        Ok((parts, bytes)) => {
            next.run(Request::from_parts(parts, HttpBody::from(Bytes::from_owner(bytes)))).await
        }
        Err(error) => error.into_response(),
    }
}

async fn taken_apart(request: Request, limits: &Limits) -> Result<(Parts, Zeroizing<Vec<u8>>), ApiError> {
    let (parts, body) = request.into_parts();
    let mut carrier = Request::new(body);
    carrier
        .headers_mut()
        .extend(parts.headers.get(header::CONTENT_LENGTH).cloned().map(|n| (header::CONTENT_LENGTH, n)));
    let bytes = read_bytes(carrier, limits).await?;
    Ok((parts, bytes))
}

async fn read<T: DeserializeOwned>(request: Request, limits: &Limits) -> Result<T, ApiError> {
    let bytes = read_bytes(request, limits).await?;
    let object: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    from_json_object(object).map_err(|_| ErrorCode::InvalidRequest.into())
}

async fn read_bytes(request: Request, limits: &Limits) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.max_body_bytes as u64) {
        return Err(ErrorCode::BodyTooLarge.into());
    }
    let reading = to_bytes(request.into_body(), limits.max_body_bytes);
    let bytes = tokio::time::timeout(Duration::from_secs(limits.body_timeout_seconds), reading)
        .await
        .map_err(|_| ErrorCode::Timeout)?
        .map_err(|error| {
            use std::error::Error as _;
            let source = error.source();
            let too_long =
                source.and_then(|source| source.downcast_ref::<http_body_util::LengthLimitError>()).is_some();
            if too_long { ErrorCode::BodyTooLarge } else { ErrorCode::InvalidRequest }
        })?;
    // The owner's password may be in here: the buffer is wiped when it is ours alone.
    let bytes = bytes.try_into_mut().map_or_else(|shared| shared.to_vec(), Vec::from);
    Ok(Zeroizing::new(bytes))
}
