//! `/auth/*` of the agent plane, described. Its bodies are those of `docs/passphrase-key-exchange.md`.

use durward_broker::accounts::{ApiError, DeviceType};
use durward_protocol::ErrorCode as E;
use serde_json::{Value, json};

use super::document::{Document, Operation};

/// The ways to carry a key.
pub(super) fn keys() -> Value {
    json!({
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
    })
}

/// Adds the operations.
pub(super) fn describe(document: &mut Document) {
    without_key(document);
    with_key(document);
}

const INVALID: ApiError = ApiError::InvalidRequest("");
const UNAVAILABLE: (u16, &str) = (503, "unavailable");

fn refusals(of: &[ApiError]) -> Vec<(u16, &'static str)> {
    of.iter().map(|error| error.row()).chain([UNAVAILABLE]).collect()
}

fn without_key(document: &mut Document) {
    let login = [INVALID, ApiError::UserRequired, ApiError::InvalidPassphrase, ApiError::InvalidChallenge];
    let limits = [ApiError::RateLimited, ApiError::LockedOut];
    document.add(
        Operation::post("/auth/knock", "Ask for a challenge")
            .body_raw(true, object(&[("device", device(), true)]))
            .answer_raw(
                200,
                "A challenge, good for one attempt.",
                JSON,
                object(&[
                    ("challenge", text(), true),
                    ("expires_in", json!({"type": "integer"}), true),
                    ("message", text(), true),
                ]),
            )
            .other_errors(&refusals(&[INVALID, ApiError::RateLimited]))
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::post("/auth/exchange", "Trade passphrase and challenge for a key")
            .body_raw(
                true,
                object(&[
                    ("challenge", text(), true),
                    ("passphrase", text(), true),
                    ("device", device(), true),
                    ("user", text(), false),
                ]),
            )
            .answer_raw(200, "The key, shown once.", JSON, key())
            .other_errors(&refusals(&login))
            .other_errors(&refusals(&limits))
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::post("/auth/opaque/start", "Begin a login that does not send the phrase")
            .body_raw(
                true,
                object(&[
                    ("challenge", text(), true),
                    ("start_login_request", text(), true),
                    ("device", device(), true),
                    ("user", text(), false),
                ]),
            )
            .answer_raw(
                200,
                "The server's message.",
                JSON,
                object(&[
                    ("login_id", text(), true),
                    ("login_response", text(), true),
                    ("user", text(), true),
                    ("expires_in", json!({"type": "integer"}), true),
                    ("attempts_remaining", json!({"type": "integer"}), true),
                ]),
            )
            .other_errors(&refusals(&login))
            .other_errors(&refusals(&limits))
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::post("/auth/opaque/finish", "End it: the key")
            .body_raw(true, object(&[("login_id", text(), true), ("finish_login_request", text(), true)]))
            .answer_raw(200, "The key, shown once.", JSON, key())
            .other_errors(&refusals(&login))
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::post("/auth/recover", "Set a new passphrase with a recovery code")
            .body_raw(
                true,
                object(&[
                    ("challenge", text(), true),
                    ("user", text(), false),
                    ("recovery_code", text(), true),
                    ("new_passphrase", text(), true),
                ]),
            )
            .answer_raw(
                200,
                "The phrase is changed.",
                JSON,
                object(&[
                    ("success", json!({"const": true}), true),
                    ("message", text(), true),
                    ("recovery_codes_remaining", json!({"type": "integer"}), true),
                ]),
            )
            .other_errors(&refusals(&login))
            .other_errors(&refusals(&limits))
            .other_errors(&refusals(&[ApiError::WeakPassphrase]))
            .errors(&[E::Internal]),
    );
}

fn with_key(document: &mut Document) {
    let keyed = refusals(&[ApiError::InvalidApiKey]);
    let device_rows = refusals(&[INVALID, ApiError::InvalidApiKey, ApiError::UnknownDevice]);
    document.add(
        Operation::get("/auth/verify", "Whether a key is good, for reverse proxies")
            .describe("200 carries `Remote-User`, `Remote-Device` and `Remote-Device-Type`, and no body.")
            .answer_raw(200, "It is.", "text/plain", json!({"const": ""}))
            .other_errors(&keyed)
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::get("/auth/whoami", "Account and device of the key")
            .answer_raw(
                200,
                "The device, and `user`.",
                JSON,
                json!({"allOf": [entry(), object(&[("user", text(), true)])]}),
            )
            .other_errors(&keyed)
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::get("/auth/devices", "Devices with a live key")
            .answer_raw(
                200,
                "Newest first.",
                JSON,
                object(&[
                    ("user", text(), true),
                    ("devices", json!({"type": "array", "items": entry()}), true),
                ]),
            )
            .other_errors(&keyed)
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::patch("/auth/devices/{id}", "Rename a device")
            .path_part("id", "The device.")
            .body_raw(true, object(&[("name", text(), true)]))
            .answer_raw(200, "The device.", JSON, entry())
            .other_errors(&device_rows)
            .errors(&[E::Internal]),
    );
    for (path, by_body) in [("/auth/revoke", true), ("/auth/revoke/{id}", false)] {
        let operation = Operation::post(path, "Revoke a device's key")
            .describe("The key is dead before the answer leaves, on every server of the database.");
        let operation = if by_body {
            operation.body_raw(true, object(&[("device_id", text(), true)]))
        } else {
            operation.path_part("id", "The device.")
        };
        document.add(
            operation
                .answer_raw(
                    200,
                    "It is revoked.",
                    JSON,
                    object(&[
                        ("success", json!({"const": true}), true),
                        ("revoked", text(), true),
                        ("message", text(), true),
                    ]),
                )
                .other_errors(&device_rows)
                .errors(&[E::Internal]),
        );
    }
    document.add(
        Operation::post("/auth/rotate", "A new key for the caller's device")
            .body_raw(
                false,
                object(&[(
                    "grace_seconds",
                    json!({"type": "integer", "minimum": 0, "maximum": 86400}),
                    false,
                )]),
            )
            .answer_raw(
                200,
                "The key, shown once.",
                JSON,
                object(&[
                    ("success", json!({"const": true}), true),
                    ("api_key", text(), true),
                    ("device_id", text(), true),
                    ("issued_at", time(), true),
                    ("old_key_valid_until", time(), true),
                    ("expires_at", maybe_time(), true),
                ]),
            )
            .other_errors(&refusals(&[INVALID, ApiError::InvalidApiKey]))
            .errors(&[E::Internal]),
    );
    document.add(
        Operation::post("/auth/passphrase/change", "Change the passphrase")
            .body_raw(
                true,
                object(&[
                    ("current_passphrase", text(), true),
                    ("new_passphrase", text(), true),
                    ("revoke_all_devices", json!({"type": "boolean", "default": false}), false),
                ]),
            )
            .answer_raw(
                200,
                "It is changed.",
                JSON,
                object(&[
                    ("success", json!({"const": true}), true),
                    ("message", text(), true),
                    ("tip", text(), false),
                ]),
            )
            .other_errors(&refusals(&[INVALID, ApiError::WeakPassphrase, ApiError::InvalidApiKey]))
            .other_errors(&refusals(&[
                ApiError::InvalidPassphrase,
                ApiError::RateLimited,
                ApiError::LockedOut,
            ]))
            .errors(&[E::Internal]),
    );
}

const JSON: &str = "application/json";

fn object(fields: &[(&str, Value, bool)]) -> Value {
    let properties: serde_json::Map<_, _> =
        fields.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<_> = fields.iter().filter(|field| field.2).map(|field| field.0).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn maybe_time() -> Value {
    json!({"type": ["string", "null"], "format": "date-time"})
}

fn device() -> Value {
    let kinds: Vec<_> = DeviceType::ALL.iter().map(|kind| kind.as_str()).collect();
    object(&[
        ("type", json!({"type": "string", "enum": kinds}), true),
        ("name", json!({"type": "string", "minLength": 1, "maxLength": 64}), true),
        ("fingerprint", json!({"type": ["string", "null"], "minLength": 1, "maxLength": 128}), false),
    ])
}

fn key() -> Value {
    object(&[
        ("success", json!({"const": true}), true),
        ("api_key", text(), true),
        ("device_id", text(), true),
        ("user", text(), true),
        ("issued_at", time(), true),
        ("expires_at", maybe_time(), true),
        ("revoke_endpoint", text(), true),
    ])
}

fn entry() -> Value {
    let kinds: Vec<_> = DeviceType::ALL.iter().map(|kind| kind.as_str()).collect();
    object(&[
        ("device_id", text(), true),
        ("type", json!({"type": "string", "enum": kinds}), true),
        ("name", text(), true),
        ("issued_at", time(), true),
        ("last_used", maybe_time(), true),
        ("active", json!({"type": "boolean"}), true),
        ("expires_at", time(), false),
    ])
}
