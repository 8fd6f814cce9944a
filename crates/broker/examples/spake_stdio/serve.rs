//! The loop of the example, apart from its streams.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use durward_broker::spake::{
    ConfirmRequest, Error, ExchangeRequest, Health, InitiateRequest, Limits, SessionId, Sessions,
};
use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Answers each line of `requests` with one of `answers` until there are no more.
pub(crate) fn serve(requests: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    let mut sessions = Sessions::new(Limits::default());
    // Only differences count, so any start does; this clock never goes back.
    let started = Instant::now();
    for line in requests.lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let now = OffsetDateTime::UNIX_EPOCH + started.elapsed();
        let (status, body) = match answer(&mut sessions, &request, now) {
            Ok(body) => (200, body),
            Err(error) => (error.http_status(), json!({"error": error.code(), "message": error.message()})),
        };
        writeln!(answers, "{}", json!({"status": status, "body": body}))?;
        answers.flush()?;
    }
    Ok(())
}

fn answer(sessions: &mut Sessions, request: &Value, now: OffsetDateTime) -> Result<Value, Error> {
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    let body = request.get("body").map(Value::to_string).unwrap_or_default();
    let (method, path) = (text("method"), text("path"));
    let call = (method, path);
    Ok(if call == ("GET", "/health") {
        json!(Health::HEALTHY)
    } else if call == ("POST", "/spake/initiate") {
        let request = InitiateRequest::from_json(body.as_bytes())?;
        json!(sessions.initiate(request, now, &mut UnwrapErr(SysRng))?)
    } else if call == ("POST", "/spake/exchange") {
        json!(sessions.exchange(ExchangeRequest::from_json(body.as_bytes())?, now)?)
    } else if call == ("POST", "/spake/confirm") {
        json!(sessions.confirm(ConfirmRequest::from_json(body.as_bytes())?, now)?)
    } else if call == ("GET", "/spake/sessions") {
        json!(sessions.list(now))
    } else if let ("GET", Some(id)) = (method, path.strip_prefix("/spake/status/")) {
        json!(sessions.status(&id.parse::<SessionId>()?, now)?)
    } else if let ("DELETE", Some(id)) = (method, path.strip_prefix("/spake/cleanup/")) {
        json!(sessions.cleanup(&id.parse::<SessionId>()?, now)?)
    } else {
        return Err(Error::NotFound);
    })
}
