//! An OpenAPI 3.1 document, built operation by operation. Schemas come from the types that the handlers
//! read and write; errors come from the one table.

use std::collections::BTreeMap;

use durward_protocol::ErrorCode;
use durward_protocol::wire::ErrorBody;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One method of one address.
pub(super) struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    open: bool,
    parameters: Vec<Value>,
    body: Option<Body>,
    answers: Vec<(u16, &'static str, Content)>,
    errors: Vec<ErrorCode>,
    other_errors: Vec<(u16, &'static str)>,
}

enum Body {
    Typed(SchemaOf),
    Raw { schema: Value, required: bool },
}

enum Content {
    Json(SchemaOf),
    Raw(&'static str, Value),
}

impl Operation {
    pub(super) fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new("get", path, summary)
    }

    pub(super) fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new("post", path, summary)
    }

    pub(super) fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new("delete", path, summary)
    }

    pub(super) fn patch(path: &'static str, summary: &'static str) -> Self {
        Self::new("patch", path, summary)
    }

    fn new(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            summary,
            description: None,
            open: false,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            errors: Vec::new(),
            other_errors: Vec::new(),
        }
    }

    /// A JSON body whose shape is given by hand.
    pub(super) fn body_raw(mut self, required: bool, schema: Value) -> Self {
        self.body = Some(Body::Raw { schema, required });
        self
    }

    /// What the summary does not say.
    pub(super) fn describe(mut self, text: &'static str) -> Self {
        self.description = Some(text);
        self
    }

    /// No token is needed, though the plane wants one elsewhere.
    pub(super) fn without_token(mut self) -> Self {
        self.open = true;
        self
    }

    /// A parameter of the query.
    pub(super) fn query(mut self, name: &str, required: bool, what: &str, schema: &Value) -> Self {
        self.parameters.push(
            json!({"name": name, "in": "query", "required": required, "description": what, "schema": schema}),
        );
        self
    }

    /// A part of the path.
    pub(super) fn path_part(mut self, name: &str, what: &str) -> Self {
        self.parameters.push(
            json!({"name": name, "in": "path", "required": true, "description": what, "schema": {"type": "string"}}),
        );
        self
    }

    /// The call is held; `Prefer: wait=N` says for how long.
    pub(super) fn held(mut self) -> Self {
        self.parameters.push(json!({"$ref": "#/components/parameters/PreferWait"}));
        self
    }

    /// A JSON body.
    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Body::Typed(SchemaGenerator::subschema_for::<T>));
        self
    }

    /// A JSON answer.
    pub(super) fn answer<T: JsonSchema>(mut self, status: u16, what: &'static str) -> Self {
        self.answers.push((status, what, Content::Json(SchemaGenerator::subschema_for::<T>)));
        self
    }

    /// An answer of another media type, or of a shape without a type.
    pub(super) fn answer_raw(
        mut self,
        status: u16,
        what: &'static str,
        media: &'static str,
        schema: Value,
    ) -> Self {
        self.answers.push((status, what, Content::Raw(media, schema)));
        self
    }

    /// Errors of this operation.
    pub(super) fn errors(mut self, codes: &[ErrorCode]) -> Self {
        self.errors.extend_from_slice(codes);
        self
    }

    /// Errors with a table of their own: status and code.
    pub(super) fn other_errors(mut self, codes: &[(u16, &'static str)]) -> Self {
        self.other_errors.extend_from_slice(codes);
        self
    }
}

/// A document that grows.
pub(super) struct Document {
    read: SchemaGenerator,
    written: SchemaGenerator,
    paths: BTreeMap<&'static str, Map<String, Value>>,
    every: Vec<ErrorCode>,
    with_body: Vec<ErrorCode>,
}

impl Document {
    /// Starts one. `every` can come from any operation, `with_body` from those that take a body.
    pub(super) fn new(every: &[ErrorCode], with_body: &[ErrorCode]) -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
            paths: BTreeMap::new(),
            every: every.to_vec(),
            with_body: with_body.to_vec(),
        }
    }

    /// Makes sure that a type without an operation of its own is there.
    pub(super) fn schema<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// Adds an operation.
    pub(super) fn add(&mut self, operation: Operation) {
        let mut codes = operation.errors;
        codes.extend_from_slice(&self.every);
        let mut rendered = json!({
            "operationId": operation_id(operation.method, operation.path),
            "summary": operation.summary,
        });
        if let Some(text) = operation.description {
            rendered["description"] = text.into();
        }
        if !operation.parameters.is_empty() {
            rendered["parameters"] = operation.parameters.into();
        }
        if operation.open {
            rendered["security"] = json!([]);
        }
        if let Some(body) = operation.body {
            codes.extend_from_slice(&self.with_body);
            let (schema, required) = match body {
                Body::Typed(schema) => (schema(&mut self.read).to_value(), true),
                Body::Raw { schema, required } => (schema, required),
            };
            rendered["requestBody"] =
                json!({"required": required, "content": {"application/json": {"schema": schema}}});
        }
        let mut responses = self.errors(&codes, &operation.other_errors);
        for (status, what, content) in operation.answers {
            let (media, schema) = match content {
                Content::Json(schema) => ("application/json", schema(&mut self.written).to_value()),
                Content::Raw(media, schema) => (media, schema),
            };
            responses.insert(
                status.to_string(),
                json!({"description": what, "content": {media: {"schema": schema}}}),
            );
        }
        rendered["responses"] = responses.into();
        self.paths.entry(operation.path).or_default().insert(operation.method.to_owned(), rendered);
    }

    /// One response for each status, with the codes it can carry.
    fn errors(&mut self, codes: &[ErrorCode], others: &[(u16, &'static str)]) -> Map<String, Value> {
        let schema = self.schema::<ErrorBody>();
        let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
        for code in ErrorCode::ALL.iter().filter(|code| codes.contains(code)) {
            by_status.entry(code.status()).or_default().push(code.as_str());
        }
        for (status, code) in others {
            let known = by_status.entry(*status).or_default();
            if !known.contains(code) {
                known.push(code);
            }
        }
        let render = |(status, codes): (u16, Vec<&'static str>)| {
            let listed: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
            let content = json!({"schema": {
                "allOf": [schema.clone(), {"properties": {"error": {"enum": codes}}}],
            }});
            let mut response =
                json!({"description": listed.join(", "), "content": {"application/json": content}});
            if matches!(status, 429 | 503) {
                response["headers"] = json!({"Retry-After": {"$ref": "#/components/headers/RetryAfter"}});
            }
            (status.to_string(), response)
        };
        by_status.into_iter().map(render).collect()
    }

    /// The whole text, as it is committed.
    pub(super) fn finish(mut self, info: Value, mut components: Value, security: Value) -> String {
        let mut schemas = self.written.take_definitions(true);
        for (name, schema) in self.read.take_definitions(true) {
            // A type that goes both ways is described as it is written, where the two differ.
            schemas.entry(name).or_insert(schema);
        }
        schemas.insert("ErrorCode".into(), error_codes());
        schemas.sort_keys();
        components["schemas"] = schemas.into();
        components["headers"] = json!({"RetryAfter": {
            "description": "Seconds after which a repeat may succeed.",
            "schema": {"type": "integer", "minimum": 1},
        }});
        let mut document = json!({
            "openapi": "3.1.1",
            "info": info,
            "paths": self.paths,
            "components": components,
            "security": security,
        });
        drop_rust_formats(&mut document);
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// `PreferWait`, for planes that hold calls.
pub(super) fn prefer_wait() -> Value {
    json!({
        "name": "Prefer",
        "in": "header",
        "required": false,
        "description": "`wait=N` (RFC 7240): seconds the call is held, 60 by default, 300 at most.",
        "schema": {"type": "string", "pattern": "^wait=[0-9]+$"},
        "example": "wait=30",
    })
}

/// `info`, with what all of Durward's documents share.
pub(super) fn info(title: &str, description: &str) -> Value {
    json!({
        "title": title,
        "version": env!("CARGO_PKG_VERSION"),
        "description": description,
        "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
    })
}

fn error_codes() -> Value {
    let row = |code: &ErrorCode| json!({"const": code.as_str(), "title": code.status().to_string(), "description": code.message()});
    json!({
        "description": "Every error code, with its status as title and its text. Clients must expect new ones.",
        "oneOf": ErrorCode::ALL.iter().map(row).collect::<Vec<_>>(),
    })
}

fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| format!("{id}_{word}"))
}

/// `uint64` and the like are no formats that OpenAPI knows.
fn drop_rust_formats(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(drop_rust_formats);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_rust_formats),
        _ => {}
    }
}
