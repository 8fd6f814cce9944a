//! What can go wrong, once for the libraries ([`Error`]) and once for the wire ([`ErrorCode`]).

use std::fmt;

/// Why the protocol refused something. Each has one wire code: see [`Error::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a host name in lower-case A-labels and not an IP address.
    #[error("not a domain: give a host name such as example.com, or an IP address, without port")]
    InvalidDomain,
    /// Not one of the field names.
    #[error("not a field: use username, password, totp, uri, notes or custom:NAME")]
    InvalidField,
    /// Not canonical, unpadded base64url of the right length.
    #[error("not canonical unpadded base64url")]
    InvalidBase64,
    /// Not an id of the expected kind.
    #[error("not an id of this kind")]
    InvalidId,
    /// Not 1..=64 of `[A-Za-z0-9._-]`.
    #[error("an agent id has 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
    InvalidAgentId,
    /// Empty, too long, or with characters that could deceive.
    #[error("an agent name has 1 to 64 characters and no control, direction or invisible ones")]
    InvalidAgentName,
    /// Not six digits.
    #[error("a code has six digits, 100000 to 999999; check the agent's screen")]
    InvalidCode,
    /// Not 1..=99.
    #[error("a pairing number is 1 to 99; it stands before the code on the agent's screen")]
    InvalidNumber,
    /// Empty, too long, or not usable as a file name.
    #[error("a device name has 1 to 64 letters, digits, blanks or . _ - ( )")]
    InvalidDeviceName,
    /// Not two words.
    #[error("a pairing tag is the two words above the code on the other screen, such as amber-otter")]
    InvalidTag,
    /// Signed by somebody else, or changed.
    #[error("the signature is not that device's")]
    BadSignature,
    /// Not a scope.
    #[error(
        "a scope is base64url of JSON with domains, max_uses and expires_in, each at most once and not empty"
    )]
    InvalidScope,
    /// The approver granted more than was asked for.
    #[error("the approver granted a wider scope than was asked for; the pairing was given up")]
    ScopeWidened,
    /// A SPAKE2 message that is no honest one.
    #[error("not a SPAKE2 message of the other side")]
    BadPakeMessage,
    /// The other end has another key.
    #[error("the confirmation does not match: the code typed was another one, or somebody is in between")]
    ConfirmationFailed,
    /// An envelope that does not open.
    #[error("the envelope does not open with this session's key")]
    BadEnvelope,
    /// An envelope of another protocol version.
    #[error("this version of the envelope is not known here; update the older side")]
    UnsupportedVersion,
    /// Too long to seal.
    #[error("the message is longer than an envelope can hold")]
    TooLarge,
    /// A timestamp too far from the clock here.
    #[error("the message's time is more than five minutes off; set the clocks of both machines")]
    StaleTimestamp,
    /// A nonce that was seen before.
    #[error("this message was received before")]
    Replayed,
    /// Too many messages to remember.
    #[error("too many messages; wait a few minutes")]
    RateLimited,
    /// A sealed message of a type this endpoint does not take.
    #[error("this endpoint does not take a message of this type")]
    WrongType,
    /// A sealed or plain message that lacks something or has too much.
    #[error("the message does not have the fields it should")]
    InvalidMessage,
    /// Sealed under another rest key, for another row, or damaged.
    #[error("the stored secret does not open with this rest key")]
    RestKeyMismatch,
    /// A receipt that is damaged, or that the approver it names did not sign.
    #[error("the receipt is damaged, or the approver it names did not sign it")]
    BadReceipt,
    /// A good receipt of another approver.
    #[error("another approver signed this receipt")]
    ReceiptOfAnother,
}

impl Error {
    /// The wire code.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::InvalidAgentId => ErrorCode::InvalidAgentId,
            Self::InvalidAgentName => ErrorCode::InvalidAgentName,
            Self::InvalidCode | Self::InvalidNumber => ErrorCode::InvalidCode,
            Self::InvalidScope | Self::ScopeWidened => ErrorCode::InvalidScope,
            Self::BadPakeMessage => ErrorCode::BadPakeMessage,
            Self::ConfirmationFailed => ErrorCode::ConfirmationFailed,
            Self::InvalidDeviceName => ErrorCode::InvalidDeviceName,
            Self::BadSignature => ErrorCode::BadSignature,
            Self::BadEnvelope => ErrorCode::BadEnvelope,
            Self::UnsupportedVersion => ErrorCode::UnsupportedVersion,
            Self::TooLarge => ErrorCode::BodyTooLarge,
            Self::StaleTimestamp => ErrorCode::StaleTimestamp,
            Self::Replayed => ErrorCode::Replayed,
            Self::RateLimited => ErrorCode::RateLimited,
            Self::WrongType => ErrorCode::WrongType,
            Self::RestKeyMismatch => ErrorCode::Internal,
            Self::InvalidDomain
            | Self::InvalidField
            | Self::InvalidBase64
            | Self::InvalidId
            | Self::InvalidTag
            | Self::InvalidMessage
            | Self::BadReceipt
            | Self::ReceiptOfAnother => ErrorCode::InvalidRequest,
        }
    }
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $text:literal $message:literal;)*) => {
        /// Every error that an answer can carry. This table is the table in `docs/protocol.md`; a test compares them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[doc = $message] $name,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The `error` field: stable, snake_case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What happened and what to do.
            pub fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }

            /// The reverse of [`ErrorCode::as_str`].
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

error_codes! {
    InvalidRequest = 400 "invalid_request" "The request does not have the fields it should; see docs/protocol.md.";
    InvalidAgentId = 400 "invalid_agent_id" "agent_id must have 1 to 64 of the characters A-Z a-z 0-9 . _ -";
    InvalidAgentName = 400 "invalid_agent_name" "agent_name must have 1 to 64 characters and no control, direction or invisible ones.";
    InvalidScope = 400 "invalid_scope" "scope must be base64url of JSON with domains, max_uses and expires_in, each at most once and not empty.";
    InvalidCode = 400 "invalid_code" "A code has six digits; type what the agent shows, for example 12-847293.";
    CodeMustNotBeSent = 400 "code_must_not_be_sent" "The pairing code must never be sent: show it, and let the owner type it at the approver.";
    BadPakeMessage = 400 "bad_pake_message" "pake_message is not a SPAKE2 message of the displaying side.";
    UnsupportedVersion = 400 "unsupported_version" "This envelope version is not known here; update the older side.";
    BadEnvelope = 400 "bad_envelope" "encrypted_payload does not open with this session's key.";
    StaleTimestamp = 400 "stale_timestamp" "The message's time is more than five minutes off; set the clocks of both machines.";
    WrongType = 400 "wrong_type" "This endpoint does not take a sealed message of this type.";
    InvalidDeviceName = 400 "invalid_device_name" "A device name has 1 to 64 letters, digits, blanks or . _ - ( )";
    Unauthorized = 401 "unauthorized" "A token is needed: send it as `Authorization: Bearer` or `X-Durward-Token`.";
    EnvelopeRequired = 401 "envelope_required" "A session id alone proves nothing: send the order sealed as encrypted_payload.";
    BadSignature = 401 "bad_signature" "The signature is not that of a peer of this device.";
    PairingClosed = 403 "pairing_closed" "The owner has closed pairing; ask them to run `durward pairing open`.";
    PairingRefused = 403 "pairing_refused" "The owner refused this pairing.";
    ConfirmationFailed = 403 "confirmation_failed" "The confirmation does not match: the code was wrong or somebody is in between. This pairing is over; start a new one.";
    OutOfScope = 403 "out_of_scope" "This session was not paired for that; ask within its scope or pair again.";
    AgentPaused = 403 "agent_paused" "The owner paused this agent after repeated denials; they can resume it.";
    WrongScope = 403 "wrong_scope" "This token may not make that call: use one of a wider scope, such as the owner's.";
    OriginRefused = 403 "origin_refused" "Requests from web pages are not taken here.";
    WrongPassword = 403 "wrong_password" "The vault password is wrong; nothing was released.";
    NotFound = 404 "not_found" "There is nothing at this address.";
    PairingNotFound = 404 "pairing_not_found" "This pairing is unknown or over; start a new one.";
    SessionNotFound = 404 "session_not_found" "There is no such session; it may have expired or been revoked.";
    RequestNotFound = 404 "request_not_found" "There is no such request; it may have been answered or expired.";
    GrantNotFound = 404 "grant_not_found" "There is no such grant; it may have ended.";
    SuggestionNotFound = 404 "suggestion_not_found" "There is no such suggestion; it may have been taken or be out of date.";
    VaultNotFound = 404 "vault_not_found" "There is no vault yet; create one with `durward vault init`.";
    ItemNotFound = 404 "item_not_found" "The vault has no such item.";
    DeviceNotFound = 404 "device_not_found" "There is no such device here; `durward devices` lists all.";
    MessageNotFound = 404 "message_not_found" "There is no such message in the inbox; `durward inbox` lists all.";
    MethodNotAllowed = 405 "method_not_allowed" "This address takes another method.";
    Timeout = 408 "timeout" "The request did not arrive in time.";
    PairingUsed = 409 "pairing_used" "This pairing has had its exchange; start a new one.";
    PairingNotWaiting = 409 "pairing_not_waiting" "The agent is not waiting for a code on this pairing now.";
    CodeAlreadyTyped = 409 "code_already_typed" "This code was already tried; a code works once, on one pairing. Ask the agent for a new one.";
    SeveralPairings = 409 "several_pairings" "Several agents are waiting: type the number before the code, for example 12-847293.";
    Replayed = 409 "replayed" "This message was received before.";
    RequestIdConflict = 409 "request_id_conflict" "A request with this id and other content exists; use a new id.";
    RequestNotPending = 409 "request_not_pending" "This request has been decided already.";
    SeveralItems = 409 "several_items" "Several items match; choose one.";
    PairingBusy = 409 "pairing_busy" "A device pairing is under way here; wait for its end or cancel it.";
    NameTaken = 409 "name_taken" "Another device has this name; choose another.";
    DeviceKnown = 409 "device_known" "This device's keys are known here already, as another device or as this one.";
    BodyTooLarge = 413 "body_too_large" "The body is larger than this address takes.";
    UnsupportedMediaType = 415 "unsupported_media_type" "Send JSON as `Content-Type: application/json`.";
    WrongHost = 421 "wrong_host" "The Host header does not name this server.";
    VaultLocked = 423 "vault_locked" "The vault is locked; give the vault password.";
    TooManyPairings = 429 "too_many_pairings" "Too many pairings are waiting; try again shortly.";
    PairingPaused = 429 "pairing_paused" "Five codes failed within an hour: somebody may be guessing. Wait before pairing again.";
    RateLimited = 429 "rate_limited" "Too many messages; slow down and try again.";
    OutboxFull = 429 "outbox_full" "Too much waits for this device; it takes more once it has been reached.";
    HeadersTooLarge = 431 "headers_too_large" "The headers are larger than this server takes.";
    Internal = 500 "internal" "Something failed here; the approver's log says what.";
    DeviceUnreachable = 502 "device_unreachable" "The other device cannot be reached; check that its daemon runs, the address and the firewall.";
    StorageFailed = 503 "storage_failed" "The approver could not write to its store, so nothing was done; try again.";
    VaultUnavailable = 503 "vault_unavailable" "The vault could not be read; the approver's log says why.";
    ShuttingDown = 503 "shutting_down" "The approver is stopping; try again when it runs.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_parse() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
            assert!((400..=599).contains(&code.status()));
            assert!(code.message().len() > 10);
        }
        assert_eq!(ErrorCode::parse("nonsense"), None);
    }
}
