//! The control plane, described.

use durward_broker::approval::AuditEntry;
use durward_protocol::ErrorCode as E;
use durward_protocol::wire::RevokeResponse;
use serde_json::json;

use super::document::{Document, Operation, info, prefer_wait};
use crate::control::api::{
    AcceptSuggestion, AuditPage, AuditVerdict, Decide, Decided, Done, EndGrant, EnterCode, Grants, Notice,
    Paired, Pairings, PausedAgents, PolicyStatus, RefusePairing, Requests, RevokeSession, Sessions, Status,
    SuggestionAccepted, Suggestions, SwitchAgent, Unlock, VaultStatus,
};

const ABOUT: &str = "What the owner's command line, screens, browser page and scripts call. On the Unix socket no \
    token is needed, but both ends must be the same user; on the port every call but `/health` needs a token whose \
    scope covers the address (`owner`: all; `pair`: `/pair/*`, `/devices`, `/status`; `spake`: `/spake/*`). `Host` \
    must be loopback with this port; `Origin` must be absent, this server's own or a browser extension's, and \
    `OPTIONS` from those needs no token (204). Bodies are read as JSON whatever their `Content-Type`. Every error \
    is `{error, message}` with a code of the schema `ErrorCode`. An address that does not exist answers 404 \
    `not_found`, another method 405 `method_not_allowed`, oversized headers 431.";

const ACT: [E; 3] = [E::Internal, E::StorageFailed, E::ShuttingDown];

/// The document of the control plane as this build would write it.
pub fn control_document() -> String {
    let mut document = Document::new(
        &[E::Unauthorized, E::WrongScope, E::OriginRefused, E::WrongHost],
        &[E::InvalidRequest, E::BodyTooLarge, E::Timeout],
    );
    server(&mut document);
    pairings(&mut document);
    agents(&mut document);
    policy(&mut document);
    suggestions(&mut document);
    requests(&mut document);
    vault(&mut document);
    audit(&mut document);
    super::spake::describe(&mut document);
    accounts(&mut document);
    super::devices::describe(&mut document);
    let components = json!({"parameters": {"PreferWait": prefer_wait()}, "securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A token from `durward token`."},
        "durwardToken": {"type": "apiKey", "in": "header", "name": "X-Durward-Token"},
        "wolfpackToken": {
            "type": "apiKey", "in": "header", "name": "X-Wolfpack-Token",
            "description": "The same token under an older header name.",
        },
    }});
    let security = json!([{"bearer": []}, {"durwardToken": []}, {"wolfpackToken": []}]);
    document.finish(info("Durward control plane", ABOUT), components, security)
}

fn server(document: &mut Document) {
    document.add(Operation::get("/health", "Whether the approver runs").without_token().answer_raw(
        200,
        "It runs.",
        "text/plain",
        json!({"const": "OK"}),
    ));
    document.add(Operation::get("/openapi.json", "This document").answer_raw(
        200,
        "This document.",
        "application/json",
        json!({"type": "object"}),
    ));
    document
        .add(Operation::get("/status", "What runs here").answer::<Status>(200, "The state of the approver."));
    document.add(Operation::post("/shutdown", "Stop the approver").answer::<Done>(200, "It is stopping."));
    let notice = document.schema::<Notice>();
    document.add(
        Operation::get("/events", "What happens, as server-sent events")
            .describe(
                "`hello` comes first, then a `notice` for each thing that happens, with a Notice as its data. \
                 `resync` says that some were missed: read the lists again. `devices` says that something about devices or \
                 their pairing changed: read `/devices` and `/pair/pending` again.",
            )
            .answer_raw(200, "A stream that ends when the approver stops.", "text/event-stream", notice),
    );
}

fn pairings(document: &mut Document) {
    document.add(Operation::get("/pairings", "Pairings that wait").answer::<Pairings>(200, "By number."));
    document.add(
        Operation::post("/pairings/enter", "Type a code")
            .describe("Held until the agent has confirmed or the pairing is over. A code works once.")
            .body::<EnterCode>()
            .answer::<Paired>(200, "Paired.")
            .errors(&[E::InvalidCode, E::InvalidScope, E::PairingNotFound, E::PairingNotWaiting])
            .errors(&[E::SeveralPairings, E::CodeAlreadyTyped, E::ConfirmationFailed, E::PairingRefused])
            .errors(&[E::RateLimited, E::NotFound, E::DeviceNotFound])
            .errors(&ACT),
    );
    document.add(
        Operation::post("/pairings/refuse", "Refuse one waiting pairing, or all")
            .body::<RefusePairing>()
            .answer::<Done>(200, "How many.")
            .errors(&[E::PairingNotFound])
            .errors(&ACT),
    );
    for (path, summary) in [("/pairings/open", "Let agents pair"), ("/pairings/close", "Let no agent pair")] {
        document.add(Operation::post(path, summary).answer::<Done>(200, "How many.").errors(&ACT));
    }
    document.add(Operation::get("/sessions", "Live sessions").answer::<Sessions>(200, "Oldest first."));
    let one = document.schema::<RevokeResponse>();
    let all = document.schema::<Done>();
    document.add(
        Operation::post("/session/revoke", "End one session, or all")
            .describe("Either `session_id` or `all`. The keys are gone before the answer.")
            .body::<RevokeSession>()
            .answer_raw(200, "The session, or how many.", "application/json", json!({"oneOf": [one, all]}))
            .errors(&[E::SessionNotFound])
            .errors(&ACT),
    );
}

fn agents(document: &mut Document) {
    document.add(
        Operation::get("/agents/paused", "Agents whose new requests are refused")
            .answer::<PausedAgents>(200, "By id."),
    );
    document.add(
        Operation::post("/agents/pause", "Refuse an agent's new requests")
            .describe("By agent id, across sessions, until it is resumed. What it had asked is denied.")
            .body::<SwitchAgent>()
            .answer::<Done>(200, "0 if it was paused already.")
            .errors(&ACT),
    );
    document.add(
        Operation::post("/agents/resume", "Let a paused agent ask again")
            .body::<SwitchAgent>()
            .answer::<Done>(200, "0 if it was not paused.")
            .errors(&ACT),
    );
}

fn policy(document: &mut Document) {
    document.add(
        Operation::get("/policy", "The owner's standing rules")
            .answer::<PolicyStatus>(200, "Those in force."),
    );
    document.add(
        Operation::post("/policy/reload", "Read the policy file now")
            .describe(
                "With a mistake in the file the rules stay as they were, and the message says where it is.",
            )
            .answer::<PolicyStatus>(200, "In force.")
            .errors(&[E::InvalidRequest])
            .errors(&ACT),
    );
}

fn suggestions(document: &mut Document) {
    document.add(
        Operation::get("/policy/suggestions", "Rules that would have spared questions")
            .describe(
                "After three identical approvals in a row: the narrowest rule that gives exactly those. None where a \
                 rule says `ask`.",
            )
            .answer::<Suggestions>(200, "By id."),
    );
    document.add(
        Operation::post("/policy/suggestions/{id}/accept", "Write a suggested rule into the policy file")
            .path_part("id", "Of the suggestion.")
            .body::<AcceptSuggestion>()
            .answer::<SuggestionAccepted>(200, "Written, and in force.")
            .errors(&[E::SuggestionNotFound, E::InvalidRequest])
            .errors(&ACT),
    );
}

fn requests(document: &mut Document) {
    document.add(
        Operation::get("/requests", "Requests that wait for the owner")
            .describe(
                "Requests that look alike (session, domain, fields, item) are one, with a count: an approval \
                 releases the one shown, a denial ends them all.",
            )
            .query("all", false, "Each by itself.", &json!({"type": "boolean", "default": false}))
            .answer::<Requests>(200, "Oldest first.")
            .errors(&[E::InvalidRequest]),
    );
    document.add(
        Operation::post("/requests/decide", "Approve or deny a request")
            .describe(
                "A wrong password leaves the request waiting. With `several_items` the error carries `choices`: \
                 decide again with an `item_id`.",
            )
            .body::<Decide>()
            .answer::<Decided>(200, "The verdict took effect.")
            .errors(&[E::RequestNotFound, E::RequestNotPending, E::SessionNotFound, E::GrantNotFound])
            .errors(&[E::OutOfScope, E::RateLimited, E::WrongPassword, E::VaultLocked, E::VaultNotFound])
            .errors(&[E::VaultUnavailable, E::ItemNotFound, E::SeveralItems])
            .errors(&ACT),
    );
    document.add(Operation::get("/grants", "Live grants").answer::<Grants>(200, "Oldest first."));
    document.add(
        Operation::post("/grants/end", "End a grant")
            .body::<EndGrant>()
            .answer::<Done>(200, "It is over.")
            .errors(&[E::GrantNotFound])
            .errors(&ACT),
    );
}

fn vault(document: &mut Document) {
    document.add(
        Operation::get("/vault", "The vault in use")
            .answer::<VaultStatus>(200, "Whether it is there and open."),
    );
    document.add(
        Operation::post("/vault/unlock", "Keep the vault open for a while")
            .describe("`seconds` is 1 to 86400.")
            .body::<Unlock>()
            .answer::<VaultStatus>(200, "It is open.")
            .errors(&[E::WrongPassword, E::VaultNotFound, E::VaultUnavailable]),
    );
    document.add(Operation::post("/vault/lock", "Lock the vault").answer::<Done>(200, "1 if it was open."));
}

fn audit(document: &mut Document) {
    document.add(
        Operation::get("/audit", "Records of the audit log")
            .query(
                "after",
                false,
                "Records after this number; absent: the newest.",
                &json!({"type": "integer"}),
            )
            .query(
                "limit",
                false,
                "At most so many.",
                &json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
            )
            .answer::<AuditPage>(200, "Ascending.")
            .errors(&[E::InvalidRequest, E::Internal]),
    );
    document.add(
        Operation::post("/audit", "Write down what local mode released")
            .describe("On the socket only: the port answers 404. Answered when the record is on disk.")
            .body::<AuditEntry>()
            .answer::<Done>(200, "It is written.")
            .errors(&[E::NotFound, E::StorageFailed]),
    );
    document.add(
        Operation::get("/audit/verify", "Check the chain of the audit log")
            .describe("Against itself, and against what agents say they have seen of it.")
            .answer::<AuditVerdict>(200, "Whether it holds.")
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::post("/audit/acknowledge", "Forget what agents have seen of the log")
            .describe(
                "For an owner who knows why records are missing: what agents say next is the beginning.",
            )
            .answer::<Done>(200, "How many agents.")
            .errors(&ACT),
    );
}

fn accounts(document: &mut Document) {
    let user = json!({"type": "string"});
    let verb = |name: &str, extra: serde_json::Value, required: serde_json::Value| {
        let mut schema = json!({
            "type": "object", "properties": {"verb": {"const": name}},
            "required": required, "additionalProperties": false,
        });
        if let (Some(all), Some(extra)) = (schema["properties"].as_object_mut(), extra.as_object()) {
            all.extend(extra.clone());
        }
        schema
    };
    let phrase = json!({"type": "string", "description": "At least five words or 24 characters."});
    let commands = json!({"oneOf": [
        verb("add", json!({"user": user, "passphrase": phrase}), json!(["verb", "user", "passphrase"])),
        verb("list", json!({}), json!(["verb"])),
        verb("remove", json!({"user": user}), json!(["verb", "user"])),
        verb("devices", json!({"user": user}), json!(["verb", "user"])),
        verb(
            "revoke",
            json!({"user": user, "device": {"type": "string"}}),
            json!(["verb", "user", "device"]),
        ),
        verb("unlock", json!({"user": user}), json!(["verb", "user"])),
        verb(
            "passphrase",
            json!({"user": user, "passphrase": phrase, "revoke_all": {"type": "boolean", "default": false}}),
            json!(["verb", "user", "passphrase"]),
        ),
        verb("recovery", json!({"user": user}), json!(["verb", "user"])),
        verb(
            "import-key",
            json!({
                "user": user, "name": {"type": "string"}, "key": {"type": "string"},
                "expires_at": {"type": "string", "format": "date-time"},
            }),
            json!(["verb", "user", "name", "key", "expires_at"]),
        ),
    ]});
    let time = json!({"type": "string", "format": "date-time"});
    let account = json!({
        "type": "object",
        "properties": {
            "user": user, "active_devices": {"type": "integer"}, "recovery_codes": {"type": "integer"},
            "opaque": {"type": "boolean"}, "failures": {"type": "integer"},
            "locked": {"type": "array", "items": {
                "type": "object",
                "properties": {"address": {"type": "string"}, "until": time},
                "required": ["address", "until"],
            }},
        },
        "required": ["user", "active_devices", "recovery_codes", "opaque", "failures", "locked"],
    });
    let maybe_time = json!({"type": ["string", "null"], "format": "date-time"});
    let device = json!({
        "type": "object",
        "properties": {
            "device_id": {"type": "string"}, "type": {"type": "string"}, "name": {"type": "string"},
            "issued_at": time, "last_used": maybe_time, "expires_at": maybe_time,
            "imported": {"type": "boolean"},
        },
        "required": ["device_id", "type", "name", "issued_at", "last_used", "expires_at", "imported"],
    });
    let reply = json!({"type": "object", "properties": {
        "accounts": {"type": "array", "items": account},
        "devices": {"type": "array", "items": device},
        "recovery_codes": {"type": "array", "items": {"type": "string"}},
        "device_id": {"type": "string"},
    }});
    document.add(
        Operation::post("/accounts", "Make, list, change and remove accounts")
            .describe("On the socket only, and where accounts are not switched off; elsewhere 404.")
            .body_raw(true, commands)
            .answer_raw(200, "Done.", "application/json", reply)
            .errors(&[E::NotFound])
            .errors(&ACT),
    );
}
