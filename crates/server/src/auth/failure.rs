//! How `/auth/*` says no.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use durward_broker::accounts::{ApiError, HashError, OpaqueError, Refusal};
use durward_protocol::ErrorCode;
use durward_store::Error as StoreError;

use crate::http;

/// A refusal of the domain, or trouble here.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The domain's answer.
    Refusal(Refusal),
    /// The body cannot be read at all, in the words of the agent plane.
    Http(http::ApiError),
    /// More wait for the pool than it takes.
    Busy,
    /// The store did not do it.
    Store(StoreError),
    /// Something stored does not read. The text is for the log.
    Internal(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refusal(error.into())
    }
}

impl From<http::ApiError> for Failure {
    fn from(error: http::ApiError) -> Self {
        Self::Http(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<HashError> for Failure {
    fn from(error: HashError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<OpaqueError> for Failure {
    fn from(error: OpaqueError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refusal(refusal) => {
                let status =
                    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = (status, Json(refusal)).into_response();
                if let Some(seconds) = refusal.retry_after {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                private(response)
            }
            Self::Http(error) => error.into_response(),
            Self::Busy => unavailable("The server has too many logins to check: try again in a moment"),
            Self::Store(error) => {
                tracing::error!(%error, "an account could not be read or written");
                unavailable("The server could not write to its store: try again in a moment")
            }
            Self::Internal(error) => {
                tracing::error!(error, "something stored about accounts does not read");
                http::ApiError::new(ErrorCode::Internal).into_response()
            }
        }
    }
}

fn unavailable(message: &str) -> Response {
    let body = serde_json::json!({ "success": false, "error": "unavailable", "message": message });
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    private(response)
}

/// Answers may hold keys: no cache keeps them.
pub(super) fn private(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A good answer.
pub(super) fn good(body: impl serde::Serialize) -> Response {
    private(Json(body).into_response())
}
