//! The endpoints of a committed OpenAPI document, and values by its schemas: mostly right, sometimes bent.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

/// One call that a document describes.
pub(super) struct Endpoint {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<String>,
    body: Option<Value>,
    /// The statuses it may answer, each with its codes.
    pub(super) answers: BTreeMap<u16, BTreeSet<String>>,
}

/// A document and what it describes.
pub(super) struct Document {
    root: Value,
    pub(super) endpoints: Vec<Endpoint>,
}

/// Strings that were seen in answers or made before: ids that exist, envelopes that open.
pub(super) struct Pool {
    strings: Vec<String>,
}

impl Pool {
    const ROOM: usize = 1_024;

    pub(super) fn of(strings: Vec<String>) -> Self {
        Self { strings }
    }

    pub(super) fn put(&mut self, text: String, rng: &mut StdRng) {
        if self.strings.len() < Self::ROOM {
            self.strings.push(text);
        } else {
            let at = rng.random_range(0..Self::ROOM);
            self.strings[at] = text;
        }
    }

    /// Every string of an answer.
    pub(super) fn learn(&mut self, answer: &Value, rng: &mut StdRng) {
        match answer {
            Value::String(text) if (4..2_000).contains(&text.len()) && !text.contains(' ') => {
                self.put(text.clone(), rng);
            }
            Value::Array(all) => all.iter().take(8).for_each(|one| self.learn(one, rng)),
            Value::Object(all) => all.values().for_each(|one| self.learn(one, rng)),
            _ => {}
        }
    }

    pub(super) fn any(&self, rng: &mut StdRng) -> String {
        self.strings.choose(rng).cloned().unwrap_or_default()
    }
}

impl Document {
    pub(super) fn parse(text: &str) -> Self {
        let root: Value = serde_json::from_str(text).unwrap();
        let mut endpoints = Vec::new();
        for (path, methods) in root["paths"].as_object().unwrap() {
            for (method, call) in methods.as_object().unwrap() {
                let method = method.to_uppercase();
                if ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                    endpoints.push(endpoint(&root, method, path, call));
                }
            }
        }
        Self { root, endpoints }
    }

    /// A body for a call; none where none is described.
    pub(super) fn body(&self, endpoint: &Endpoint, pool: &Pool, rng: &mut StdRng) -> Vec<u8> {
        let value = match &endpoint.body {
            Some(schema) => self.value(schema, pool, rng, 0),
            None if rng.random_bool(0.8) => return Vec::new(),
            None => junk(pool, rng, 0),
        };
        let mut bytes = value.to_string().into_bytes();
        match rng.random_range(0..100) {
            0..12 => bend(&mut bytes, rng),
            12..14 => bytes = (0..rng.random_range(0..70_000)).map(|_| rng.random()).collect(),
            14..15 => bytes = "[".repeat(rng.random_range(0..60_000)).into_bytes(),
            _ => {}
        }
        bytes
    }

    fn value(&self, schema: &Value, pool: &Pool, rng: &mut StdRng, depth: usize) -> Value {
        if depth > 8 || rng.random_bool(0.03) {
            return junk(pool, rng, depth);
        }
        if let Some(name) = schema["$ref"].as_str() {
            let pointer = name.trim_start_matches('#');
            return self.value(self.root.pointer(pointer).unwrap(), pool, rng, depth + 1);
        }
        if !schema["const"].is_null() {
            return schema["const"].clone();
        }
        if let Some(chosen) = schema["enum"].as_array().and_then(|all| all.choose(rng)) {
            return chosen.clone();
        }
        let mut value = Value::Null;
        for choice in ["oneOf", "anyOf"] {
            if let Some(chosen) = schema[choice].as_array().and_then(|all| all.choose(rng)) {
                value = self.value(chosen, pool, rng, depth + 1);
            }
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            merge(&mut value, self.value(part, pool, rng, depth + 1));
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.choose(rng).and_then(Value::as_str),
            one => one.as_str(),
        };
        match kind {
            Some("object") => merge(&mut value, self.object(schema, pool, rng, depth)),
            Some("array") => {
                let count = rng.random_range(0..4);
                value = (0..count).map(|_| self.value(&schema["items"], pool, rng, depth + 1)).collect();
            }
            Some("string") => value = Value::String(string(schema, pool, rng)),
            Some("integer" | "number") => value = integer(schema, rng),
            Some("boolean") => value = rng.random::<bool>().into(),
            _ if schema["properties"].is_object() => {
                merge(&mut value, self.object(schema, pool, rng, depth));
            }
            _ => {}
        }
        value
    }

    fn object(&self, schema: &Value, pool: &Pool, rng: &mut StdRng, depth: usize) -> Value {
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if rng.random_bool(if required.contains(name.as_str()) { 0.97 } else { 0.4 }) {
                object.insert(name.clone(), self.value(property, pool, rng, depth + 1));
            }
        }
        if rng.random_bool(0.03) {
            object.insert(pool.any(rng), junk(pool, rng, depth + 1));
        }
        Value::Object(object)
    }
}

fn endpoint(root: &Value, method: String, path: &str, call: &Value) -> Endpoint {
    let resolved = |value: &Value| match value["$ref"].as_str() {
        Some(name) => root.pointer(name.trim_start_matches('#')).cloned().unwrap_or_default(),
        None => value.clone(),
    };
    let parameters: Vec<Value> = call["parameters"].as_array().into_iter().flatten().map(resolved).collect();
    let query = parameters.iter().filter(|one| one["in"] == "query");
    let body = &call["requestBody"]["content"]["application/json"]["schema"];
    let answers = call["responses"].as_object().unwrap().iter().filter_map(|(status, answer)| {
        let mut codes = BTreeSet::new();
        error_codes(answer, &mut codes);
        Some((status.parse().ok()?, codes))
    });
    Endpoint {
        method,
        path: path.to_owned(),
        query: query.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect(),
        body: (!body.is_null()).then(|| body.clone()),
        answers: answers.collect(),
    }
}

/// The `enum` of each `error`.
fn error_codes(value: &Value, codes: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            for (name, one) in all {
                if name == "error" {
                    let listed = one["enum"].as_array().into_iter().flatten();
                    codes.extend(listed.chain([&one["const"]]).filter_map(Value::as_str).map(str::to_owned));
                }
                error_codes(one, codes);
            }
        }
        Value::Array(all) => all.iter().for_each(|one| error_codes(one, codes)),
        _ => {}
    }
}

fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(all), Value::Object(more)) => all.extend(more),
        (value, more) => *value = more,
    }
}

fn string(schema: &Value, pool: &Pool, rng: &mut StdRng) -> String {
    let random = |rng: &mut StdRng, bytes: usize| {
        let mut random = vec![0; bytes];
        rng.fill(&mut random[..]);
        BASE64_URL_SAFE_NO_PAD.encode(random)
    };
    if schema["format"] == "date-time" && rng.random_bool(0.8) {
        return format!("20{:02}-{:02}-01T00:00:00Z", rng.random_range(0..99), rng.random_range(0..14));
    }
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    if let Some(prefix) = ["pair_", "sess_"].iter().find(|prefix| pattern.contains(**prefix))
        && rng.random_bool(0.4)
    {
        return format!("{prefix}{}", random(rng, 16));
    }
    match rng.random_range(0..100) {
        0..55 => pool.any(rng),
        55..63 => format!("{:06}", rng.random_range(0..1_000_000)),
        63..71 => random(rng, 16),
        71..77 => {
            let length = [32, 33, 96, 280, 536][rng.random_range(0..5)];
            random(rng, length)
        }
        77..85 => (0..rng.random_range(0..40)).map(|_| rng.random::<char>()).collect(),
        85..88 => "ä\u{202e}\u{0}\n\u{feff}".repeat(rng.random_range(1..40)),
        88..90 => "A".repeat(rng.random_range(0..60_000)),
        90..92 => String::new(),
        92..96 => format!("host-{}.example", rng.random_range(0..9)),
        _ => {
            let mut bytes = pool.any(rng).into_bytes();
            bend(&mut bytes, rng);
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

fn integer(schema: &Value, rng: &mut StdRng) -> Value {
    let least = schema["minimum"].as_i64().unwrap_or(0);
    let most = schema["maximum"].as_i64().unwrap_or(1_000).max(least);
    match rng.random_range(0..10) {
        0..6 => rng.random_range(least..=most).into(),
        6 => least.into(),
        7 => most.into(),
        8 => [json!(-1), json!(i64::MIN), json!(u64::MAX), json!(most.saturating_add(1)), json!(1.5)]
            .choose(rng)
            .cloned()
            .unwrap_or_default(),
        _ => rng.random::<i64>().into(),
    }
}

fn junk(pool: &Pool, rng: &mut StdRng, depth: usize) -> Value {
    match rng.random_range(0..if depth > 8 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => rng.random::<bool>().into(),
        2 => rng.random::<i64>().into(),
        3 => json!(rng.random::<f64>()),
        4 => pool.any(rng).into(),
        5 => (0..rng.random_range(0..4)).map(|_| junk(pool, rng, depth + 1)).collect(),
        _ => {
            let pairs = (0..rng.random_range(0..4)).map(|_| (pool.any(rng), junk(pool, rng, depth + 1)));
            Value::Object(pairs.collect())
        }
    }
}

/// Changes, cuts, doubles or drops bytes at a few places.
fn bend(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..4) {
        let Some(last) = bytes.len().checked_sub(1) else { return };
        let at = rng.random_range(0..=last);
        match rng.random_range(0..5) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => bytes.truncate(at),
            3 => {
                let part = bytes[at..bytes.len().min(at + 40)].to_vec();
                bytes.extend(part);
            }
            _ => drop(bytes.drain(at..bytes.len().min(at + 5))),
        }
    }
}
