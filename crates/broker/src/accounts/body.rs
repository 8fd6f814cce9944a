//! Bodies that do not read: which field, and what it takes.

use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Fields of all bodies, and what to say when one is missing or wrong. `device` before its own fields would hide them.
const FIELDS: [(&str, &str); 15] = [
    ("device.type", DEVICE_TYPE),
    ("device.name", "device.name: 1 to 64 characters, no control characters"),
    ("device.fingerprint", "device.fingerprint: 1 to 128 characters, no control characters"),
    ("device", "device: an object with type, name and, if there is one, fingerprint"),
    ("user", "user: 1 to 64 letters, digits, dots, dashes or underscores"),
    ("challenge", "challenge: the text that /auth/knock answered"),
    ("passphrase", "passphrase: a text"),
    ("current_passphrase", "current_passphrase: a text"),
    ("new_passphrase", "new_passphrase: a text"),
    ("recovery_code", "recovery_code: a text"),
    ("start_login_request", "start_login_request: the OPAQUE client's first message, a text"),
    ("login_id", "login_id: the text that /auth/opaque/start answered"),
    ("finish_login_request", "finish_login_request: the OPAQUE client's last message, a text"),
    ("device_id", "device_id: a text, as GET /auth/devices lists it"),
    ("name", "name: 1 to 64 characters, no control characters"),
];

/// What a wrong device type is told: the nine.
pub(super) const DEVICE_TYPE: &str =
    "device.type: one of terminal, phone, watch, ring, ar_glasses, robot, browser, iot, other";

/// Reads a body, or names the field that is missing or wrong.
pub fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let value = read.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => ApiError::InvalidRequest(explain(&path, &inner.to_string())),
            _ => ApiError::InvalidRequest("The body is not JSON"),
        }
    })?;
    reader.end().map_err(|_| ApiError::InvalidRequest("The body is not JSON"))?;
    Ok(value)
}

/// serde names a missing field in its text only; its path is that of the object around it.
fn explain(path: &str, text: &str) -> &'static str {
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = match (path, missing) {
        (".", Some(missing)) => missing.to_owned(),
        (around, Some(missing)) => format!("{around}.{missing}"),
        (path, None) => path.to_owned(),
    };
    let known = FIELDS.iter().find(|(name, _)| *name == field);
    known.map_or("The body lacks a field or a field has a wrong value: see the documentation", |(_, text)| {
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::wire::{ExchangeRequest, KnockRequest, RecoverRequest, RenameRequest};
    use super::*;

    fn refusal<T: DeserializeOwned + std::fmt::Debug>(body: &str) -> String {
        parse_body::<T>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (body, field) in [
            ("{}", "device: "),
            (r#"{"device": 5}"#, "device: "),
            (r#"{"device": {"name": "x"}}"#, "device.type: "),
            (r#"{"device": {"type": "toaster", "name": "x"}}"#, "device.type: "),
            (r#"{"device": {"type": 7, "name": "x"}}"#, "device.type: "),
            (r#"{"device": {"type": "phone"}}"#, "device.name: "),
            (r#"{"device": {"type": "phone", "name": ""}}"#, "device.name: "),
            (r#"{"device": {"type": "phone", "name": "x", "fingerprint": 1}}"#, "device.fingerprint: "),
        ] {
            assert!(
                refusal::<KnockRequest>(body).starts_with(field),
                "{body}: {}",
                refusal::<KnockRequest>(body)
            );
        }
        let types = refusal::<KnockRequest>(r#"{"device": {"type": "toaster", "name": "x"}}"#);
        for kind in super::super::DeviceType::ALL {
            assert!(types.contains(kind.as_str()), "{types}");
        }
        let device = r#""device": {"type": "phone", "name": "x"}"#;
        let exchange = format!(r#"{{"challenge": "c", {device}}}"#);
        assert_eq!(refusal::<ExchangeRequest>(&exchange), "passphrase: a text");
        let exchange = format!(r#"{{"challenge": "c", {device}, "passphrase": "p", "user": "ö"}}"#);
        assert!(refusal::<ExchangeRequest>(&exchange).starts_with("user: "));
        assert_eq!(refusal::<RecoverRequest>(r#"{"challenge": "c"}"#), "recovery_code: a text");
        assert!(refusal::<RenameRequest>("{}").starts_with("name: "));
        assert_eq!(refusal::<KnockRequest>("{"), "The body is not JSON");
        assert_eq!(refusal::<RenameRequest>(r#"{"name": "x"} y"#), "The body is not JSON");
    }
}
