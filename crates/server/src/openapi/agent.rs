//! The agent plane, described.

use durward_protocol::ErrorCode as E;
use durward_protocol::wire::{
    CancelPairingRequest, CancelPairingResponse, CancelResponse, ConfirmRequest, ConfirmResponse,
    CredentialAnswer, ExchangeRequest, ExchangeResponse, Health, InitiateRequest, InitiateResponse,
    RevokeResponse, SealedRequest, SessionStatus,
};
use serde_json::json;

use super::document::{Document, Operation, info, prefer_wait};

const ABOUT: &str = "What agents call. Pairing bodies refuse unknown fields. Bodies are JSON and must say so in \
    `Content-Type`; every error is `{error, message}` with a code of the schema `ErrorCode`. `Host` must name this \
    server, and `Origin` is refused unless the owner allowed it. An address that does not exist answers 404 \
    `not_found`, another method 405 `method_not_allowed`, oversized headers 431. Everything outside an envelope is \
    a hint: the sealed answer decides. `docs/protocol.md` describes the cryptography. Calls of `/auth/*` have codes \
    of their own beside it and `success: false`; `docs/passphrase-key-exchange.md` describes them. A server may run \
    without accounts: then there is no `/auth/*`.";

/// Errors of any call that changes something.
const ACT: [E; 3] = [E::Internal, E::StorageFailed, E::ShuttingDown];

/// Errors of an envelope.
const ENVELOPE: [E; 8] = [
    E::EnvelopeRequired,
    E::SessionNotFound,
    E::UnsupportedVersion,
    E::BadEnvelope,
    E::StaleTimestamp,
    E::WrongType,
    E::Replayed,
    E::RateLimited,
];

/// The document of the agent plane as this build would write it.
pub fn agent_document() -> String {
    let mut document = Document::new(
        &[E::OriginRefused, E::WrongHost, E::RateLimited],
        &[E::InvalidRequest, E::UnsupportedMediaType, E::BodyTooLarge, E::Timeout],
    );
    pairing(&mut document);
    sealed(&mut document);
    plain(&mut document);
    super::auth::describe(&mut document);
    super::devices::describe_wire(&mut document);
    let components = json!({
        "parameters": {"PreferWait": prefer_wait()},
        "securitySchemes": super::auth::keys(),
    });
    document.finish(info("Durward agent plane", ABOUT), components, json!([]))
}

fn pairing(document: &mut Document) {
    document.add(
        Operation::post("/pairing/initiate", "Start a pairing")
            .describe("The agent shows `number` and its own code, `12-847293`. The code is never sent.")
            .body::<InitiateRequest>()
            .answer::<InitiateResponse>(200, "The pairing exists.")
            .errors(&[E::InvalidAgentId, E::InvalidAgentName, E::InvalidScope, E::CodeMustNotBeSent])
            .errors(&[E::PairingClosed, E::TooManyPairings])
            .errors(&ACT),
    );
    document.add(
        Operation::post("/pairing/exchange", "Exchange SPAKE2 messages")
            .describe("Held until the owner has typed the code. The same body again gets the same answer.")
            .held()
            .body::<ExchangeRequest>()
            .answer::<ExchangeResponse>(200, "The owner has typed the code.")
            .answer_raw(
                202,
                "Not typed yet: send the same body again.",
                "application/json",
                json!({"type": "object", "properties": {"status": {"const": "pending"}}, "required": ["status"]}),
            )
            .errors(&[E::BadPakeMessage, E::CodeMustNotBeSent, E::PairingNotFound, E::PairingUsed])
            .errors(&[E::PairingRefused, E::TooManyPairings, E::RateLimited])
            .errors(&ACT),
    );
    document.add(
        Operation::post("/pairing/confirm", "Prove the key; the session is live")
            .body::<ConfirmRequest>()
            .answer::<ConfirmResponse>(200, "The session is live.")
            .errors(&[E::ConfirmationFailed, E::SessionNotFound, E::RateLimited])
            .errors(&ACT),
    );
    document.add(
        Operation::post("/pairing/cancel", "Give a pairing up")
            .body::<CancelPairingRequest>()
            .answer::<CancelPairingResponse>(200, "It is over, or was.")
            .errors(&ACT),
    );
}

fn sealed(document: &mut Document) {
    document.add(
        Operation::post("/credential/request", "Ask for a credential")
            .describe(
                "The envelope holds a `credential.request`. Held until there is a verdict. The same `id` with the \
                 same content joins the same request.",
            )
            .held()
            .body::<SealedRequest>()
            .answer::<CredentialAnswer>(200, "The verdict, sealed in `encrypted_payload`.")
            .answer::<CredentialAnswer>(202, "No verdict yet: ask again with the same `id`.")
            .errors(&[E::OutOfScope, E::AgentPaused, E::RequestIdConflict])
            .errors(&ENVELOPE)
            .errors(&ACT),
    );
    document.add(
        Operation::post("/credential/cancel", "Give a request up")
            .describe("The envelope holds a `credential.cancel`.")
            .body::<SealedRequest>()
            .answer::<CancelResponse>(200, "It is over, or was.")
            .errors(&ENVELOPE)
            .errors(&ACT),
    );
    document.add(
        Operation::post("/session/revoke", "End the session")
            .describe("The envelope holds a `session.revoke`. The keys are gone before the answer.")
            .body::<SealedRequest>()
            .answer::<RevokeResponse>(200, "The session is over.")
            .errors(&ENVELOPE)
            .errors(&ACT),
    );
}

fn plain(document: &mut Document) {
    document.add(
        Operation::get("/session/status", "Whether a session lives")
            .describe("A hint. Asking does not keep the session alive.")
            .query("session_id", true, "The session.", &json!({"type": "string"}))
            .answer::<SessionStatus>(200, "It lives.")
            .errors(&[E::InvalidRequest, E::SessionNotFound]),
    );
    document.add(Operation::get("/health", "Whether the approver runs").answer::<Health>(200, "It runs."));
    document.add(Operation::get("/openapi.json", "This document").answer_raw(
        200,
        "This document.",
        "application/json",
        json!({"type": "object"}),
    ));
}
