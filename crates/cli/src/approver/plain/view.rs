//! The questions and lists of the plain prompts.

use std::fmt::Write as _;

use durward_broker::approval::{GrantView, ItemChoice, PairingView, RequestView, SessionView};
use durward_server::control::api::Suggestion;
use time::OffsetDateTime;

use super::state::{Asked, Mode, State};
use crate::approver::words::{self, WIDTH, clock, grant_terms, scope};
use crate::terminal::harmless;

pub(super) const HELP: &str = "\
  y            approve once             y 15m  y 2h    and for that long
  y session    and for this session     y 3x           and three times more
  n [reason]   deny                     r              deny and revoke the session
  s  sessions (revoke by number)   g  grants   l  lock the vault   q  quit
  pause AGENT  refuse its requests      resume AGENT   let it ask again
  CODE on DEVICE [may answer]   the agent runs on that paired device; its answers do not count for it";

/// The question to print now; nothing when it is on the screen already.
pub(super) fn prompt(state: &mut State) -> Option<String> {
    let (asked, text) = question(state);
    if state.asked.as_ref() == Some(&asked) {
        return None;
    }
    state.asked = Some(asked);
    Some(text)
}

fn question(state: &State) -> (Asked, String) {
    match &state.mode {
        Mode::Password { request, .. } => {
            let why = if request.granted { "A grant covers this; the vault is locked.\n" } else { "" };
            (Asked::Password(request.request_id.to_string()), format!("{why}Vault password: "))
        }
        Mode::Item { request, .. } => (Asked::Item(request.request_id.to_string()), "Which one? ".into()),
        Mode::Sessions(_) => (Asked::Sessions, "Revoke which? (number, or Enter for none) ".into()),
        Mode::Grants(_) => (Asked::Grants, "End which? (number, or Enter for none) ".into()),
        Mode::Deciding { .. } => (Asked::Deciding, String::new()),
        Mode::Queue => {
            if let Some(pairing) = state.known.waiting_pairings().next() {
                let several = state.known.waiting_pairings().count() > 1;
                let asked = Asked::Pairing(pairing.pairing_id.to_string(), several);
                return (asked, pairing_question(pairing, several));
            }
            if let Some(request) = state.known.waiting_requests().next() {
                let waiting = state.known.requests.len();
                let asked = Asked::Request(request.request_id.to_string(), (request.alike + 1).ilog2());
                return (asked, request_question(request, waiting));
            }
            (Asked::Nothing, "Waiting for agents.  s sessions · g grants · ? help · q quit\n".into())
        }
    }
}

fn pairing_question(pairing: &PairingView, several: bool) -> String {
    let mut text = rule("Pairing");
    let _ = writeln!(text, "  Agent    {}  ({})", harmless(pairing.agent_name.as_str()), pairing.agent_id);
    let _ = writeln!(text, "  Number   {}", pairing.number);
    let _ = writeln!(text, "  Scope    {}", scope(&pairing.scope));
    if pairing.duplicate_claim {
        text.push_str(
            "  ! Another waiting agent claims the same name or id. Only the code tells them apart.\n",
        );
    }
    if pairing.replaces.is_some() {
        text.push_str("  ! This agent id has a live session. A good code replaces it.\n");
    }
    if !pairing.rules.is_empty() {
        text.push_str(
            "  ! Rules of your policy name this agent id. An id is only a claim: they count if you\n",
        );
        text.push_str("    put the word `rules` after the code. Without it only their denials count.\n");
        for rule in &pairing.rules {
            let _ = writeln!(text, "      {rule}");
        }
    }
    let example = if several { format!("{}-", pairing.number) } else { String::new() };
    let _ = write!(text, "Type the code from the agent's screen ({example}six digits), or n to refuse: ");
    text
}

fn request_question(request: &RequestView, waiting: usize) -> String {
    let mut text = rule(if waiting > 1 { "Request (more are waiting)" } else { "Request" });
    text.push_str(&words::request(request));
    text.push_str("\nRelease it? [Y]es, [N]o, [R]evoke session, ? help: ");
    text
}

/// A rule that would spare questions.
pub(super) fn offer(suggestion: &Suggestion) -> String {
    let mut text = format!(
        "{}\nType `rule {}` to let exactly that through for 7 days, written into your policy; say nothing to go on \
         being asked.",
        words::in_a_row(suggestion),
        suggestion.id
    );
    if !suggestion.rules.is_empty() {
        text.push_str(
            "\nOther rules name this agent id; the new one counts with them, once you let them count.",
        );
    }
    text
}

/// The sessions, numbered.
pub(super) fn sessions(sessions: &[SessionView]) -> String {
    if sessions.is_empty() {
        return "No sessions.".into();
    }
    let mut text = rule("Sessions");
    let now = sessions.iter().map(|s| s.last_used_at).max().unwrap_or(OffsetDateTime::UNIX_EPOCH);
    for (i, session) in sessions.iter().enumerate() {
        let _ = writeln!(
            text,
            "  {}  {}  ({})  last used {}, idles out {}, ends {}, {} released{}",
            i + 1,
            harmless(session.agent_name.as_str()),
            session.agent_id,
            clock(session.last_used_at, now),
            clock(session.idle_at, now),
            clock(session.expires_at, now),
            session.uses,
            if session.paused { ", paused" } else { "" },
        );
    }
    text.truncate(text.trim_end().len());
    text
}

/// The grants, numbered.
pub(super) fn grants(grants: &[GrantView]) -> String {
    if grants.is_empty() {
        return "No grants.".into();
    }
    let mut text = rule("Grants");
    for (i, grant) in grants.iter().enumerate() {
        let fields: Vec<String> = grant.fields.iter().map(|field| harmless(&field.to_string())).collect();
        let _ = writeln!(
            text,
            "  {}  {}  {}  ({})  {}",
            i + 1,
            grant.agent_id,
            grant.domain,
            fields.join(", "),
            grant_terms(grant)
        );
    }
    text.truncate(text.trim_end().len());
    text
}

/// Items to choose from, numbered.
pub(super) fn choices(choices: &[ItemChoice]) -> String {
    let mut text = "Several items match:\n".to_owned();
    for (i, choice) in choices.iter().enumerate() {
        let username =
            choice.username.as_deref().map(|name| format!("  ({})", harmless(name))).unwrap_or_default();
        let _ = writeln!(text, "  {}  {}{username}", i + 1, harmless(&choice.name));
    }
    text.truncate(text.trim_end().len());
    text
}

fn rule(title: &str) -> String {
    format!("\n── {title} {}\n", "─".repeat(WIDTH.saturating_sub(title.chars().count() + 4)))
}
