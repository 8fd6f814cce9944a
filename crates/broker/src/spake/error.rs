//! What the service refuses, with the one table of codes, statuses and texts.

/// Why the service refused a call. `Display` is the text for the person who reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The body of `initiate` is not JSON of the expected shape.
    InvalidInitiate,
    /// The body of `exchange` is not JSON of the expected shape.
    InvalidExchange,
    /// The body of `confirm` is not JSON of the expected shape.
    InvalidConfirm,
    /// The session id breaks its limits (see [`super::SessionId`]).
    InvalidSessionId,
    /// The password is empty or too long; for `p256-sha256-raw`: not 32 to 64 bytes of hex, or zero modulo the
    /// group order.
    InvalidPassword,
    /// `id_a` or `id_b` is too long.
    InvalidIdentity,
    /// No suite of that name.
    UnknownSuite,
    /// `role` is neither `a` nor `b`.
    UnknownRole,
    /// The peer's public key is not hex, has the wrong length or side, or is no valid point. The session is spent.
    BadPublicKey,
    /// The peer's confirmation does not verify. The session is spent, nothing was released.
    ConfirmationFailed,
    /// The same after the exchange, in `confirm`: the secret is out and must not be used.
    ConfirmationLate,
    /// No such session: never made, expired, cleaned up, or dropped after it ended to make room.
    NotFound,
    /// The session id is in use.
    Exists,
    /// The session has had its one exchange, good or bad.
    Completed,
    /// There is nothing to confirm yet.
    NotExchanged,
    /// As many open sessions as the table holds.
    Full {
        /// Whole seconds until the oldest session ends; goes into `Retry-After`.
        retry_after: u64,
    },
    /// The cryptographic library failed where it cannot.
    Internal,
}

impl Error {
    /// The stable code, `snake_case`.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn http_status(self) -> u16 {
        self.row().1
    }

    /// What happened and what to do, without any part of the request in it.
    pub fn message(self) -> &'static str {
        self.row().2
    }

    /// The table: code, status, message. `docs/spake-service.md` repeats it and a test compares the two.
    fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidInitiate => (
                "invalid_request",
                400,
                "The body must be a JSON object with the strings session_id and password, and if wanted suite, \
                 role, id_a, id_b, and nothing else.",
            ),
            Self::InvalidExchange => (
                "invalid_request",
                400,
                "The body must be a JSON object with the strings session_id and client_public_key, and if wanted \
                 client_confirmation, and nothing else.",
            ),
            Self::InvalidConfirm => (
                "invalid_request",
                400,
                "The body must be a JSON object with the strings session_id and client_confirmation, and nothing \
                 else.",
            ),
            Self::InvalidSessionId => (
                "invalid_session_id",
                400,
                "A session_id has 1 to 128 characters of A-Z a-z 0-9 . _ ~ - and does not begin with a dot.",
            ),
            Self::InvalidPassword => (
                "invalid_password",
                400,
                "A password has 1 to 1024 bytes; for p256-sha256-raw it is the stretched value, 32 to 64 bytes in \
                 hex, not zero modulo the group order.",
            ),
            Self::InvalidIdentity => ("invalid_identity", 400, "id_a and id_b have at most 256 bytes each."),
            Self::UnknownSuite => {
                ("unknown_suite", 400, "Use suite p256-sha256, p256-sha256-raw or spake2-ed25519.")
            }
            Self::UnknownRole => ("unknown_role", 400, "Use role b (the service is B, the default) or a."),
            Self::BadPublicKey => (
                "bad_public_key",
                400,
                "client_public_key is not a valid public key of this suite. The session is spent: initiate a new \
                 one.",
            ),
            Self::ConfirmationFailed => (
                "confirmation_failed",
                400,
                "client_confirmation does not match: the passwords or identities differ, or somebody is in \
                 between. Nothing was released and the session is spent: initiate a new one.",
            ),
            Self::ConfirmationLate => (
                "confirmation_failed",
                400,
                "client_confirmation does not match: the passwords or identities differ, or somebody is in \
                 between. Do not use this session's secret: initiate a new one.",
            ),
            Self::NotFound => (
                "session_not_found",
                404,
                "There is no such session: it was never initiated, has expired, or was cleaned up.",
            ),
            Self::Exists => (
                "session_exists",
                409,
                "There is a session with this id already: take another id, or clean the old session up first.",
            ),
            Self::Completed => (
                "session_completed",
                409,
                "This session has had its one exchange: initiate a new one under another id.",
            ),
            Self::NotExchanged => {
                ("session_not_exchanged", 409, "This session has had no exchange yet: call exchange first.")
            }
            Self::Full { .. } => (
                "too_many_sessions",
                429,
                "All sessions are taken: clean up those you have finished with, or try again later.",
            ),
            Self::Internal => (
                "internal_error",
                500,
                "The exchange failed inside the service: initiate a new session and report this if it repeats.",
            ),
        }
    }

    /// One of each, for tables and tests.
    #[cfg(test)]
    pub(super) const ALL: [Self; 17] = [
        Self::InvalidInitiate,
        Self::InvalidExchange,
        Self::InvalidConfirm,
        Self::InvalidSessionId,
        Self::InvalidPassword,
        Self::InvalidIdentity,
        Self::UnknownSuite,
        Self::UnknownRole,
        Self::BadPublicKey,
        Self::ConfirmationFailed,
        Self::ConfirmationLate,
        Self::NotFound,
        Self::Exists,
        Self::Completed,
        Self::NotExchanged,
        Self::Full { retry_after: 1 },
        Self::Internal,
    ];
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_carry_the_same_table() {
        let docs = include_str!("../../../../docs/spake-service.md");
        for error in Error::ALL {
            let row = format!("| `{}` | {} | {} |", error.code(), error.http_status(), error.message());
            assert!(docs.contains(&row), "docs/spake-service.md lacks the row\n{row}");
        }
    }
}
