//! The SPAKE service, described. It has an error table of its own, `durward_broker::spake::Error`.

use durward_broker::spake::{
    CleanupResponse, ConfirmRequest, ConfirmResponse, ExchangeRequest, ExchangeResponse, InitiateRequest,
    InitiateResponse, SessionList, SessionStatus,
};

use super::document::{Document, Operation};

const UNKNOWN: [(u16, &str); 2] = [(400, "invalid_session_id"), (404, "session_not_found")];

pub(super) fn describe(document: &mut Document) {
    document.add(
        Operation::post("/spake/initiate", "Start a SPAKE2 exchange")
            .body::<InitiateRequest>()
            .answer::<InitiateResponse>(200, "The service's public key.")
            .other_errors(&[
                (400, "invalid_session_id"),
                (400, "invalid_password"),
                (400, "invalid_identity"),
            ])
            .other_errors(&[(400, "unknown_suite"), (400, "unknown_role"), (409, "session_exists")])
            .other_errors(&[(429, "too_many_sessions"), (500, "internal_error")]),
    );
    document.add(
        Operation::post("/spake/exchange", "Give the peer's public key, get the secret")
            .describe("One exchange a session, good or bad.")
            .body::<ExchangeRequest>()
            .answer::<ExchangeResponse>(200, "The secret.")
            .other_errors(&[
                (400, "bad_public_key"),
                (400, "confirmation_failed"),
                (409, "session_completed"),
            ])
            .other_errors(&[(500, "internal_error")])
            .other_errors(&UNKNOWN),
    );
    document.add(
        Operation::post("/spake/confirm", "Give the peer's confirmation after the exchange")
            .body::<ConfirmRequest>()
            .answer::<ConfirmResponse>(200, "The peer has the same secret.")
            .other_errors(&[
                (400, "confirmation_failed"),
                (409, "session_completed"),
                (409, "session_not_exchanged"),
            ])
            .other_errors(&UNKNOWN),
    );
    document.add(
        Operation::get("/spake/status/{id}", "Where a session stands")
            .path_part("id", "The session.")
            .answer::<SessionStatus>(200, "Its status.")
            .other_errors(&UNKNOWN),
    );
    document.add(
        Operation::delete("/spake/cleanup/{id}", "Wipe a session")
            .path_part("id", "The session.")
            .answer::<CleanupResponse>(200, "It is gone.")
            .other_errors(&UNKNOWN),
    );
    document
        .add(Operation::get("/spake/sessions", "All sessions").answer::<SessionList>(200, "Oldest first."));
}
