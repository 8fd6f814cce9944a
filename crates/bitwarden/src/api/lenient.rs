//! Reading members whose case differs from server to server: the exact name, then the first letter in the other
//! case, then all lower, then all upper.

use serde_json::Value;

/// The member, unless absent or null.
pub(super) fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    let found = object
        .get(name)
        .or_else(|| object.get(&other_first(name)))
        .or_else(|| object.get(&name.to_lowercase()))
        .or_else(|| object.get(&name.to_uppercase()))?;
    (!found.is_null()).then_some(found)
}

/// A text, unless empty.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    get(value, name)?.as_str().filter(|t| !t.is_empty()).map(str::to_owned)
}

/// A number, also when it is written as text.
pub(super) fn number(value: &Value, name: &str) -> Option<u64> {
    let found = get(value, name)?;
    found.as_u64().or_else(|| found.as_str()?.parse().ok())
}

/// A truth, false when absent.
pub(super) fn flag(value: &Value, name: &str) -> bool {
    get(value, name).is_some_and(|v| v == &Value::Bool(true) || v.as_str() == Some("true"))
}

/// The members of an array.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    get(value, name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The member as it is, or null.
pub(super) fn any(value: &Value, name: &str) -> Value {
    get(value, name).cloned().unwrap_or_default()
}

/// The same value with every member's first letter in lower case.
pub(super) fn camel(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(k, v)| {
                    let k = if k.starts_with(|c: char| c.is_ascii_uppercase()) { other_first(&k) } else { k };
                    (k, camel(v))
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(camel).collect()),
        other => other,
    }
}

fn other_first(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(c) if c.is_ascii_lowercase() => c.to_ascii_uppercase().to_string() + chars.as_str(),
        Some(c) => c.to_ascii_lowercase().to_string() + chars.as_str(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn case_is_forgiven_in_the_official_order() {
        for name in ["kdfIterations", "KdfIterations", "kdfiterations", "KDFITERATIONS"] {
            assert_eq!(number(&json!({ name: 5 }), "kdfIterations"), Some(5), "{name}");
        }
        assert_eq!(number(&json!({"kdfIterations": 1, "KdfIterations": 2}), "kdfIterations"), Some(1));
        assert_eq!(number(&json!({"kdfIterations": null}), "kdfIterations"), None);
        assert_eq!(number(&json!({"kdfIterations": "7"}), "kdfIterations"), Some(7));
        assert_eq!(camel(json!({"A": [{"Bc": 1, "0": 2}]})), json!({"a": [{"bc": 1, "0": 2}]}));
    }
}
