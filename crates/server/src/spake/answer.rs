//! How the domain's answers and refusals go out.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use durward_broker::spake::Error;
use serde::Serialize;

/// An answer of the domain.
pub(super) struct Answer<T>(pub(super) Result<T, Error>);

#[derive(Serialize)]
struct Refusal {
    error: &'static str,
    message: &'static str,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = match self.0 {
            Ok(answer) => Json(answer).into_response(),
            Err(error) => refusal(error),
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn refusal(error: Error) -> Response {
    let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::error!(code = error.code(), "spake call failed");
    } else {
        tracing::debug!(code = error.code(), "spake call refused");
    }
    let body = Refusal { error: error.code(), message: error.message() };
    let mut response = (status, Json(body)).into_response();
    if let Error::Full { retry_after } = error {
        tracing::warn!("the spake table is full of open sessions");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}
