//! How a flight ends when it does not arrive: a sentence for people and a code for scripts.

use std::fmt;

use durward_client::Error;
use durward_protocol::ErrorCode;

/// An end before the flights are on the screen. Exit codes are those of `durward`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// For scripts.
    pub exit: u8,
    /// For people: what happened, and what to do.
    pub sentence: String,
}

impl Ending {
    /// Something that has no code of its own.
    pub fn other(sentence: impl Into<String>) -> Self {
        Self::new(1, sentence)
    }

    /// A wrong argument or file.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::new(64, sentence)
    }

    pub(crate) fn new(exit: u8, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: sentence.into() }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Ending {}

/// The SDK's errors in this agent's words.
impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        let why = error.to_string();
        match error {
            Error::Denied { reason } if reason.as_deref() == Some("policy") => {
                Self::new(9, "A rule of the owner denies this. Nothing was typed into the airline's page.")
            }
            Error::Denied { reason } => {
                let words = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                Self::new(6, format!("The owner said no{words}. Nothing was typed into the airline's page."))
            }
            Error::SessionRevoked => revoked(),
            Error::Refused { code: Some(ErrorCode::SessionNotFound), .. } => Self::new(
                3,
                "The approver does not know this agent's session: it expired or was revoked. \
                 Run again with --pair to ask the owner for a new one.",
            ),
            Error::NotFound { .. } => Self::new(
                4,
                "The owner's vault has no login for this airline. Add one with `durward vault add`.",
            ),
            Error::Expired | Error::CodeExpired | Error::Timeout => {
                Self::new(7, format!("Nothing came in time: {why}. Run again."))
            }
            Error::WrongCode | Error::ApproverChanged { .. } => {
                Self::new(5, format!("Pairing failed: {why}. Run again only when you know why."))
            }
            Error::PairingRefused | Error::PairingEnded | Error::PairingBusy | Error::RestKeyLost => {
                Self::new(3, format!("Not paired: {why}."))
            }
            Error::CannotConnect { .. } | Error::ConnectionLost { .. } => {
                Self::new(2, format!("The approver cannot be reached: {why}. Start it with `durward up`."))
            }
            Error::PairingPaused { .. } => Self::new(10, format!("Not paired: {why}.")),
            Error::Cancelled => Self::new(12, "The request was cancelled."),
            _ => Self::other(format!("The owner could not be asked: {why}.")),
        }
    }
}

/// The owner ended the session.
pub(crate) fn revoked() -> Ending {
    Ending::new(
        3,
        "The owner revoked this agent's session. It stopped at once; nothing more was typed, and its browser is closed.",
    )
}
