//! The one way errors become answers.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use durward_broker::approval::{Answer, ItemChoice};
use durward_protocol::wire::ErrorBody;
use durward_protocol::{ErrorCode, Timestamp};

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    approver_time: Option<Timestamp>,
    /// Seconds to wait, where they are known better than the code tells.
    retry_after: Option<u32>,
    /// For the owner only: the agent plane drops it.
    detail: Option<String>,
    /// Items to choose from, with `several_items`. For the owner only.
    choices: Vec<ItemChoice>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode) -> Self {
        Self { code, approver_time: None, retry_after: None, detail: None, choices: Vec::new() }
    }

    /// Says when to come back.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Says more, to the owner.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A refusal by the machine, as an agent may see it.
    pub(crate) fn for_agent(answer: Answer) -> Self {
        Self { detail: None, choices: Vec::new(), ..Self::for_owner(answer) }
    }

    /// A refusal by the machine, with everything the owner may know.
    pub(crate) fn for_owner(answer: Answer) -> Self {
        match answer {
            Answer::Error { code, approver_time, detail } => {
                Self { approver_time, detail, ..Self::new(code) }
            }
            Answer::Choose(choices) => Self { choices, ..Self::new(ErrorCode::SeveralItems) },
            other => {
                tracing::error!(?other, "an answer that does not belong to this call");
                Self::new(ErrorCode::Internal)
            }
        }
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl From<durward_protocol::Error> for ApiError {
    fn from(error: durward_protocol::Error) -> Self {
        Self::new(error.code())
    }
}

#[derive(serde::Serialize)]
struct Rendered {
    #[serde(flatten)]
    body: ErrorBody,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    choices: Vec<ItemChoice>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = ErrorBody::new(self.code);
        body.approver_time = self.approver_time;
        if let Some(detail) = self.detail {
            body.message = format!("{} ({detail})", body.message);
        }
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(Rendered { body, choices: self.choices })).into_response();
        let retry_after = match self.code {
            ErrorCode::TooManyPairings | ErrorCode::StorageFailed | ErrorCode::ShuttingDown => Some("5"),
            ErrorCode::RateLimited => Some("60"),
            ErrorCode::PairingPaused => Some("3600"),
            _ => None,
        };
        let told = self.retry_after.map(HeaderValue::from);
        if let Some(seconds) = told.or_else(|| retry_after.map(HeaderValue::from_static)) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
