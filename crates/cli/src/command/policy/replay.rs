//! `durward policy replay`

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use durward_broker::approval::{Actor, AuditEntry, AuditEvent, Policy, PolicyQuestion, PolicyVerdict};
use durward_protocol::{AgentId, Domain, Field, RequestId, SessionId, Verdict};
use durward_server::Clock;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::question::Assumed;
use crate::command::audit::Log;
use crate::command::owner::{OutputArgs, print};
use crate::duration::parse_since;
use crate::exit::{CliError, CommandResult};

/// Requests that are listed; more are only counted.
const MAX_LISTED: usize = 1_000;

/// What is replayed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward policy replay\n  durward policy replay --since 12h draft.toml")]
pub(super) struct ReplayArgs {
    /// The policy to try [default: policy.toml in the configuration folder].
    file: Option<PathBuf>,
    /// How far back: 12h, 30d.
    #[arg(long, value_name = "TIME", value_parser = parse_since, default_value = "30d")]
    since: Duration,
}

/// A request of the past that would go another way.
#[derive(Debug, Serialize)]
struct Changed {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    agent_id: AgentId,
    domain: Domain,
    fields: Vec<Field>,
    /// How it went.
    was: &'static str,
    /// How it would go.
    now: &'static str,
    /// Which rule would decide.
    rule: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Replayed {
    requests: usize,
    changed: usize,
    list: Vec<Changed>,
}

/// A request in the log.
struct Asked {
    at: OffsetDateTime,
    agent_id: AgentId,
    domain: Domain,
    fields: Vec<Field>,
    named_rules: bool,
    outcome: Option<&'static str>,
}

pub(super) fn run(output: OutputArgs, args: &ReplayArgs) -> CommandResult {
    let (_, policy) = super::read(args.file.clone())?;
    let since = Clock::system().now().wall - args.since;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| anyhow::anyhow!("cannot start: {error}"))?;
    let asked = runtime.block_on(read(since))?;
    let mut replayed = Replayed { requests: asked.len(), changed: 0, list: Vec::new() };
    for request in asked {
        let Some(changed) = compare(&policy, request) else { continue };
        replayed.changed += 1;
        if replayed.list.len() < MAX_LISTED {
            replayed.list.push(changed);
        }
    }
    print(output, &replayed, text)
}

/// Every request since then that has come to an end, in order.
async fn read(since: OffsetDateTime) -> Result<Vec<Asked>, CliError> {
    let log = Log::open().await?;
    let mut named: HashMap<SessionId, bool> = HashMap::new();
    let mut at: HashMap<(SessionId, RequestId), usize> = HashMap::new();
    let mut asked: Vec<Asked> = Vec::new();
    let mut after = 0;
    loop {
        let page = log.page(after).await?;
        let Some(last) = page.last() else { break };
        after = last.n;
        for entry in page.iter().filter_map(durward_broker::approval::AuditRecord::entry) {
            let Some(session_id) = entry.session_id else { continue };
            match entry.event {
                AuditEvent::PairingConfirmed => {
                    named.insert(session_id, entry.detail.is_some());
                }
                AuditEvent::Other if entry.outcome.as_deref() == Some("rules_apply") => {
                    named.insert(session_id, true);
                }
                AuditEvent::RequestReceived if entry.at >= since => {
                    let key = entry.request_id.map(|id| (session_id, id));
                    let named_rules = named.get(&session_id).copied().unwrap_or_default();
                    if let (Some(key), Some(agent_id), Some(domain)) = (key, entry.agent_id, entry.domain) {
                        at.insert(key, asked.len());
                        let (at, fields) = (entry.at, entry.fields);
                        asked.push(Asked { at, agent_id, domain, fields, named_rules, outcome: None });
                    }
                }
                AuditEvent::CredentialReleased | AuditEvent::RequestEnded => {
                    let found = entry.request_id.and_then(|id| at.get(&(session_id, id)));
                    if let Some(request) = found.and_then(|at| asked.get_mut(*at)) {
                        request.outcome = outcome(&entry);
                    }
                }
                _ => {}
            }
        }
    }
    asked.retain(|request| request.outcome.is_some());
    Ok(asked)
}

/// How it went, as far as a policy could have made it another way: what ran out, was given up or was not
/// found is no decision.
fn outcome(entry: &AuditEntry) -> Option<&'static str> {
    let denied = entry.outcome.as_deref() == Some(Verdict::Denied.as_str());
    match (entry.event, entry.actor) {
        (AuditEvent::CredentialReleased, Actor::Owner) => Some("approved by the owner"),
        (AuditEvent::CredentialReleased, Actor::Grant) => Some("released under a grant"),
        (AuditEvent::CredentialReleased, Actor::Policy) => Some("released by a rule"),
        (AuditEvent::RequestEnded, Actor::Owner) if denied => Some("denied by the owner"),
        (AuditEvent::RequestEnded, Actor::Policy) if denied => Some("denied by a rule"),
        _ => None,
    }
}

fn compare(policy: &Policy, request: Asked) -> Option<Changed> {
    // A rule that asks at first use, or too often, may ask: assumed is the quiet case.
    let past = Assumed { released: 0, approved: true };
    let ruling = policy.judge(PolicyQuestion {
        agent_id: &request.agent_id,
        named_rules_apply: request.named_rules,
        domain: &request.domain,
        fields: &request.fields,
        at: request.at,
        past: &past,
    });
    let was = request.outcome?;
    let now = match (ruling.verdict, was) {
        (PolicyVerdict::Allow, "approved by the owner" | "denied by the owner" | "denied by a rule") => {
            "released by a rule"
        }
        (PolicyVerdict::Deny, "denied by a rule") | (PolicyVerdict::Allow, _) => return None,
        (PolicyVerdict::Deny, _) => "denied by a rule",
        (PolicyVerdict::Ask, "released by a rule" | "denied by a rule") => "asks the owner",
        (PolicyVerdict::Ask, _) => return None,
    };
    let Asked { at, agent_id, domain, fields, .. } = request;
    Some(Changed { at, agent_id, domain, fields, was, now, rule: ruling.rule })
}

fn text(replayed: &Replayed) -> String {
    let mut lines: Vec<String> = replayed.list.iter().map(line).collect();
    lines.push(format!("{} requests, {} would go another way.", replayed.requests, replayed.changed));
    lines.join("\n")
}

fn line(changed: &Changed) -> String {
    let fields: Vec<String> =
        changed.fields.iter().map(|field| crate::terminal::harmless(&field.to_string())).collect();
    let rule = changed.rule.map(|n| format!(" (rule {n})")).unwrap_or_default();
    format!(
        "{} {:02}:{:02}Z  {}  {}  {}  {} -> {}{rule}",
        changed.at.date(),
        changed.at.hour(),
        changed.at.minute(),
        changed.agent_id,
        changed.domain,
        fields.join(","),
        changed.was,
        changed.now
    )
}
