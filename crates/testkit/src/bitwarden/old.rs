//! Answers as Vaultwarden gave them up to 2024: members in Pascal case, no `MasterPasswordUnlock`, no `AccountKeys`,
//! the older path for the prelogin, errors with `ErrorModel`. People run such servers for years.

use axum::body::to_bytes;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::handlers::answer;

/// Paths that came later.
const LATER: &[&str] = &["/identity/accounts/prelogin/password", "/api/accounts/key-management/user-key-id"];

/// The same answer in the older dress.
pub(super) async fn dress(path: &str, response: Response) -> Response {
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    let (status, body) = dressed(path, status, serde_json::from_slice(&bytes).unwrap_or_default());
    answer(status, body)
}

fn dressed(path: &str, status: u16, body: Value) -> (u16, Value) {
    if LATER.contains(&path) || (status == 404 && body.is_null()) {
        let description = "The requested resource could not be found.";
        return (404, json!({"error": {"code": 404, "reason": "Not Found", "description": description}}));
    }
    if let Some(message) = body["errorModel"]["message"].as_str() {
        return (status, refusal(message));
    }
    let mut body = body;
    for later in ["AccountKeys", "accountKeys", "userDecryption", "kdfSettings", "salt"] {
        if let Some(object) = body.as_object_mut() {
            object.remove(later);
        }
    }
    if let Some(options) = body.get_mut("UserDecryptionOptions").and_then(Value::as_object_mut) {
        options.retain(|name, _| matches!(name.as_str(), "HasMasterPassword" | "Object"));
    }
    if let Some(profile) = body.get_mut("profile").and_then(Value::as_object_mut) {
        profile.remove("accountKeys");
    }
    // Beside its own object, each item stood once more as `data`.
    for cipher in body.get_mut("ciphers").and_then(Value::as_array_mut).into_iter().flatten() {
        let data = cipher["login"].clone();
        cipher["data"] = data;
    }
    let camel = !path.starts_with("/api/") || path == "/api/config" || path == "/api/accounts/prelogin";
    (status, if camel { body } else { pascal(body) })
}

fn refusal(message: &str) -> Value {
    json!({
        "ErrorModel": {"Message": message, "Object": "error"}, "ExceptionMessage": null,
        "ExceptionStackTrace": null, "InnerExceptionMessage": null, "Message": message, "Object": "error",
        "ValidationErrors": {"": [message]}, "error": "", "error_description": "",
    })
}

fn pascal(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            Value::Object(object.into_iter().map(|(k, v)| (first(&k), pascal(v))).collect::<Map<_, _>>())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(pascal).collect()),
        other => other,
    }
}

fn first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}
