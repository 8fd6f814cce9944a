//! What a command says, and how: message, string, JSON, envelope; which stream, which exit code.
//!
//! Where the stream is no terminal, the last line has no line end: `$(bw unlock --raw)` users rely on it.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use durward_bitwarden::Error;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::context::Context;

/// A command's result.
#[derive(Debug)]
pub(crate) enum Response {
    /// A title, more text, and what `--raw` prints.
    Message { title: &'static str, message: Option<SecretString>, raw: Option<SecretString> },
    /// A value.
    Text(SecretString),
    /// Objects as JSON, as they are and as they stand in an envelope.
    Json { compact: Zeroizing<String>, pretty: Zeroizing<String>, kind: Kind },
    /// A value that there is none of: nothing to print, null in an envelope.
    NoText,
    /// What went wrong; ids of an ambiguous search beside it.
    Failure { message: String, ids: Option<Vec<String>> },
}

/// How JSON stands in an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A list.
    List,
    /// A template, such as the status.
    Template,
    /// The object itself.
    Object,
}

impl Response {
    /// A message with a title only.
    pub(crate) fn title(title: &'static str) -> Self {
        Self::Message { title, message: None, raw: None }
    }

    /// A value.
    pub(crate) fn string(text: impl Into<String>) -> Self {
        Self::Text(SecretString::from(text.into()))
    }

    /// Objects.
    pub(crate) fn json(value: &impl Serialize, kind: Kind) -> Self {
        let compact = Zeroizing::new(serde_json::to_string(value).unwrap_or_default());
        let pretty = Zeroizing::new(serde_json::to_string_pretty(value).unwrap_or_default());
        Self::Json { compact, pretty, kind }
    }

    /// A failure.
    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self::Failure { message: message.into(), ids: None }
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let message = match &error {
            Error::InsecureUrl => format!("Error: {error}"),
            _ => error.to_string(),
        };
        let ids = if let Error::Ambiguous(ids) = error { Some(ids) } else { None };
        Self::Failure { message, ids }
    }
}

/// Prints a response and says how to exit.
pub(crate) fn finish(context: &Context, response: &Response) -> ExitCode {
    let failed = matches!(response, Response::Failure { .. });
    if context.response {
        if !(failed && context.quiet) {
            out(&envelope(context, response));
        }
    } else if let Response::Failure { message, .. } = response {
        if !context.quiet {
            err(&red(message));
        }
    } else if !context.quiet
        && let Some(text) = plain_text(context, response)
    {
        out(&text);
    }
    if failed && !context.clean_exit { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn plain_text(context: &Context, response: &Response) -> Option<Zeroizing<String>> {
    match response {
        Response::Message { raw, .. } if context.raw => {
            Some(Zeroizing::new(raw.as_ref()?.expose_secret().to_owned()))
        }
        Response::Message { title, message, .. } => {
            let mut text = Zeroizing::new(green(title));
            if let Some(message) = message {
                text.push('\n');
                text.push_str(message.expose_secret());
            }
            Some(text)
        }
        Response::Text(text) => Some(Zeroizing::new(text.expose_secret().to_owned())),
        Response::Json { compact, pretty, .. } => {
            Some(if context.pretty { pretty.clone() } else { compact.clone() })
        }
        Response::NoText | Response::Failure { .. } => None,
    }
}

fn envelope(context: &Context, response: &Response) -> Zeroizing<String> {
    let whole = match response {
        Response::Failure { message, ids } => {
            let mut map = vec![("success", json!(false)), ("message", json!(message))];
            if let Some(ids) = ids {
                map.push(("data", json!(ids)));
            }
            return render(context, &Members(map));
        }
        Response::Message { title, message, raw } => {
            let mut map = vec![
                ("noColor", json!(false)),
                ("object", json!("message")),
                ("title", json!(title)),
                ("message", json!(message.as_ref().map(SecretString::expose_secret))),
            ];
            if let Some(raw) = raw {
                map.push(("raw", json!(raw.expose_secret())));
            }
            serde_json::to_string(&Members(map)).unwrap_or_default()
        }
        Response::Text(text) => {
            let map = vec![("object", json!("string")), ("data", json!(text.expose_secret()))];
            serde_json::to_string(&Members(map)).unwrap_or_default()
        }
        Response::NoText => r#"{"object":"string","data":null}"#.to_owned(),
        Response::Json { compact, kind: Kind::List, .. } => {
            format!("{{\"object\":\"list\",\"data\":{}}}", **compact)
        }
        Response::Json { compact, kind: Kind::Template, .. } => {
            format!("{{\"object\":\"template\",\"template\":{}}}", **compact)
        }
        Response::Json { compact, kind: Kind::Object, .. } => compact.to_string(),
    };
    let whole = Zeroizing::new(format!("{{\"success\":true,\"data\":{whole}}}"));
    if context.pretty { indent(&whole) } else { whole }
}

fn render(context: &Context, value: &impl Serialize) -> Zeroizing<String> {
    let text =
        if context.pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    Zeroizing::new(text.unwrap_or_default())
}

/// Indents JSON without touching the order of its members.
fn indent(text: &str) -> Zeroizing<String> {
    let mut done = Zeroizing::new(String::with_capacity(text.len() * 2));
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if quoted {
            done.push(c);
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' | '[' => {
                done.push(c);
                if matches!(chars.peek(), Some('}' | ']')) {
                    done.extend(chars.next());
                } else {
                    depth += 1;
                    newline(&mut done, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                newline(&mut done, depth);
                done.push(c);
            }
            ',' => {
                done.push(c);
                newline(&mut done, depth);
            }
            ':' => done.push_str(": "),
            c => {
                quoted = c == '"';
                done.push(c);
            }
        }
    }
    done
}

fn newline(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

/// An object whose members keep their order.
struct Members(Vec<(&'static str, Value)>);

impl Serialize for Members {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}

/// Prints the version, with a line end wherever it goes: the official program's parser prints it, not the program.
pub(crate) fn version() -> ExitCode {
    let _ = writeln!(std::io::stdout().lock(), "{}", crate::spec::VERSION);
    ExitCode::SUCCESS
}

/// Prints help.
pub(crate) fn text(text: &str) -> ExitCode {
    out(text.trim_end());
    ExitCode::SUCCESS
}

/// Prints a mistake of the command line's own words.
pub(crate) fn usage(message: &str) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{message}");
    ExitCode::FAILURE
}

/// Two lines, the first in red.
pub(crate) fn refusal(first: &str, second: &str) -> ExitCode {
    err(&format!("{}\n{second}", red(first)));
    ExitCode::FAILURE
}

/// A remark on standard error that is not the command's result.
pub(crate) fn note(message: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{message}");
}

fn out(text: &str) {
    let stdout = std::io::stdout();
    let terminal = stdout.is_terminal();
    let mut lock = stdout.lock();
    // A closed pipe is the reader's choice.
    let _ = lock.write_all(text.as_bytes());
    if terminal || cfg!(windows) {
        let _ = lock.write_all(b"\n");
    }
    let _ = lock.flush();
}

fn err(text: &str) {
    let stderr = std::io::stderr();
    let terminal = stderr.is_terminal();
    let mut lock = stderr.lock();
    let _ = lock.write_all(text.as_bytes());
    if terminal || cfg!(windows) {
        let _ = lock.write_all(b"\n");
    }
}

fn red(text: &str) -> String {
    coloured(text, "91", std::io::stderr().is_terminal())
}

fn green(text: &str) -> String {
    coloured(text, "92", std::io::stdout().is_terminal())
}

fn coloured(text: &str, code: &str, terminal: bool) -> String {
    if terminal && crate::env::get(crate::env::NO_COLOR).is_none() {
        format!("\u{1b}[{code}m{text}\u{1b}[39m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn indentation_is_that_of_a_serialiser() {
        let value = serde_json::json!({"a": [1, {"b": "x:{,}\"\\"}], "c": [], "d": {}, "e": null});
        let compact = serde_json::to_string(&value).unwrap();
        assert_eq!(*indent(&compact), serde_json::to_string_pretty(&value).unwrap());
    }
}
