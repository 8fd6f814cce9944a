//! Everything an `/auth/*` call can answer but success: one table of code, status and text.

use serde::Serialize;

/// Why a call was refused. The table [`ApiError::row`] gives each its status, code and default text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ApiError {
    /// The body does not have the shape of the call; the text says which part.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The new passphrase is too short.
    #[error("Passphrase too weak: use at least 5 words or 24 characters")]
    WeakPassphrase,
    /// Nobody was named and the server has not exactly one account.
    #[error("Name the account in the field user: this server has not exactly one")]
    UserRequired,
    /// Wrong passphrase, or no such account: one text for both.
    #[error("Passphrase not recognized")]
    InvalidPassphrase,
    /// Wrong or spent recovery code, or no such account.
    #[error("Recovery code not recognized")]
    InvalidRecoveryCode,
    /// Unknown, used, expired or another device's: one text, so that nobody learns which.
    #[error("Challenge not valid: knock again and use the new challenge with the same device, once")]
    InvalidChallenge,
    /// No key, or one that is unknown, revoked or expired.
    #[error("API key not valid: obtain one with your passphrase")]
    InvalidApiKey,
    /// The account has no such device with a live key.
    #[error("No active device of that id: list yours with GET /auth/devices")]
    UnknownDevice,
    /// Too many calls; nothing was counted against the account.
    #[error("Too many requests: wait as long as Retry-After says")]
    RateLimited,
    /// Too many failures for this account; nothing was checked.
    #[error("Too many failed attempts: wait as long as Retry-After says")]
    LockedOut,
}

impl ApiError {
    /// HTTP status and stable code.
    pub fn row(self) -> (u16, &'static str) {
        match self {
            Self::InvalidRequest(_) => (400, "invalid_request"),
            Self::WeakPassphrase => (400, "weak_passphrase"),
            Self::UserRequired => (400, "user_required"),
            // A recovery code stands in for the passphrase; the page's one code covers both.
            Self::InvalidPassphrase | Self::InvalidRecoveryCode => (401, "invalid_passphrase"),
            Self::InvalidChallenge => (401, "invalid_challenge"),
            Self::InvalidApiKey => (401, "invalid_api_key"),
            Self::UnknownDevice => (404, "unknown_device"),
            Self::RateLimited => (429, "rate_limited"),
            Self::LockedOut => (429, "locked_out"),
        }
    }
}

/// A refusal with what goes beside it; serialises as the body, [`Refusal::retry_after`] is the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub error: ApiError,
    /// How many more failures before the next lock; after a counted failure only.
    pub attempts_remaining: Option<u32>,
    /// Seconds for the header `Retry-After`; always there with status 429.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// A refusal after a counted failure.
    #[must_use]
    pub fn counted(error: ApiError, attempts_remaining: u32) -> Self {
        Self { error, attempts_remaining: Some(attempts_remaining), retry_after: None }
    }

    /// A 429 that says when to come back.
    #[must_use]
    pub fn wait(error: ApiError, seconds: u32) -> Self {
        Self { error, attempts_remaining: None, retry_after: Some(seconds) }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.error.row().0
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error, attempts_remaining: None, retry_after: None }
    }
}

impl Serialize for Refusal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            success: bool,
            error: &'a str,
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            attempts_remaining: Option<u32>,
        }
        Body {
            success: false,
            error: self.error.row().1,
            message: self.error.to_string(),
            attempts_remaining: self.attempts_remaining,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_reads_as_documented() {
        let body = serde_json::to_value(Refusal::counted(ApiError::InvalidPassphrase, 2)).unwrap();
        let expected = serde_json::json!({
            "success": false,
            "error": "invalid_passphrase",
            "message": "Passphrase not recognized",
            "attempts_remaining": 2
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_locked_answer_carries_no_count() {
        let refusal = Refusal::wait(ApiError::LockedOut, 900);
        assert_eq!((refusal.status(), refusal.retry_after), (429, Some(900)));
        assert!(serde_json::to_value(refusal).unwrap().get("attempts_remaining").is_none());
    }
}
