//! What both screens say. Everything that came from an agent passes through `harmless` first.

use std::fmt::Write as _;

use durward_broker::approval::{GrantView, Notice, PausedWhy, RequestView, SessionView};
use durward_protocol::{Field, Limits, Verdict};
use durward_server::control::api::{Away, Decided, Suggestion, SuggestionAccepted};
use time::OffsetDateTime;

use crate::terminal::harmless;

/// Columns of the plain texts.
pub(super) const WIDTH: usize = 72;

/// Everything an owner should know before a yes.
pub(crate) fn request(request: &RequestView) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "  Agent    {}  ({})", harmless(request.agent_name.as_str()), request.agent_id);
    let _ = writeln!(text, "  Domain   {}", request.domain);
    text.push_str(&wrapped("  Reason   ", &harmless(&request.reason)));
    let _ = writeln!(text, "  Fields   {}", fields(&request.fields));
    if let Some(item) = &request.item_id {
        let _ = writeln!(text, "  Item     {}", harmless(item));
    }
    let _ = writeln!(text, "  Scope    {}", scope(&request.scope));
    let _ = writeln!(text, "  Key      {}", request.fingerprint);
    if request.alike > 0 {
        let _ = writeln!(
            text,
            "  ! {} more like this wait. A yes releases this one, a no ends all.",
            request.alike
        );
    }
    if request.granted {
        text.push_str("  A grant covers this; only the vault password is missing.\n");
    }
    if let Some(device) = &request.approved_by {
        let _ = writeln!(text, "  Approved by {device}, vault locked: the next unlock releases it.");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Since when a request waits, for how long still, and the items to choose from, numbered.
pub(crate) fn waiting(request: &RequestView, now: OffsetDateTime) -> String {
    let (age, left) = (span(now - request.created_at), span(request.expires_at - now));
    let mut text = format!("  Asked    {age} ago, {left} left");
    for (n, choice) in request.choices.iter().enumerate() {
        let label = if n == 0 { "Items" } else { "" };
        let name =
            choice.username.as_deref().map(|name| format!(" ({})", harmless(name))).unwrap_or_default();
        let item = format!("{}{name}  {}", harmless(&choice.name), harmless(&choice.item_id));
        let _ = write!(text, "\n  {label:<8} {}  {item}", n + 1);
    }
    text
}

/// `50 s`, `9 min`, `3 h`, `2 days`: a length of time in the coarsest unit that helps.
pub(crate) fn span(length: time::Duration) -> String {
    let seconds = length.whole_seconds().max(0);
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A session, just paired.
pub(crate) fn paired(session: &SessionView) -> String {
    let on = session.runs_on.as_ref().map(|on| {
        let count = if on.may_answer { "count" } else { "do not count" };
        format!("\nIt runs on {}; answers given there {count} for it.", on.name)
    });
    format!(
        "Paired with {} ({}).\nBoth screens must show: {}{}",
        harmless(session.agent_name.as_str()),
        session.agent_id,
        session.fingerprint,
        on.unwrap_or_default()
    )
}

/// How a decision ended.
pub(crate) fn decided(decided: &Decided) -> String {
    match decided.verdict {
        Verdict::Approved => format!("Released: {}.", fields(&decided.fields)),
        Verdict::Denied => "Denied.".into(),
        Verdict::NotFound => match &decided.reason {
            Some(lacking) => format!("Released nothing: {}.", harmless(lacking)),
            None => "Nothing in the vault matches; the agent was told so.".into(),
        },
        other => format!("Ended: {other}."),
    }
}

/// The same for an owner who answers from afar: it names the request, because numbers in a list change hands.
pub(crate) fn answered(request: &RequestView, decided: &Decided) -> String {
    let whose = format!("{} for {}", request.agent_id, request.domain);
    match decided.verdict {
        Verdict::Approved => format!("Released to {whose}: {}.", fields(&decided.fields)),
        Verdict::Denied => format!("Denied {whose}: {}.", fields(&request.fields)),
        Verdict::NotFound => match &decided.reason {
            Some(lacking) => format!("Released nothing to {whose}: {}.", harmless(lacking)),
            None => {
                format!("Nothing in the vault matches {}; {} was told so.", request.domain, request.agent_id)
            }
        },
        other => format!("The request of {whose} had ended: {other}."),
    }
}

/// Fields in a row.
pub(crate) fn fields(fields: &[Field]) -> String {
    fields.iter().map(|field| harmless(&field.to_string())).collect::<Vec<_>>().join(", ")
}

/// What a notice says by itself. Waiting things are asked about instead.
pub(crate) fn notice(notice: &Notice) -> Option<String> {
    match notice {
        Notice::PairingOver { number, agent_id, why } => {
            Some(format!("Pairing {number} ({agent_id}) is over: {why}."))
        }
        Notice::SessionEnded { agent_id, why, .. } if why != "revoked_by_owner" => {
            Some(format!("The session of {agent_id} ended: {}.", why.replace('_', " ")))
        }
        Notice::RequestOver { agent_id, domain, verdict, by, .. } => match (verdict, by) {
            (Verdict::Approved, durward_broker::approval::Actor::Grant) => {
                Some(format!("Released to {agent_id} for {domain} under a grant."))
            }
            (Verdict::Approved, durward_broker::approval::Actor::Policy) => {
                Some(format!("Released to {agent_id} for {domain} by a rule of your policy."))
            }
            (Verdict::Cancelled, _) => Some(format!("{agent_id} gave up its request for {domain}.")),
            (Verdict::Expired, _) => Some(format!("The request of {agent_id} for {domain} expired.")),
            _ => None,
        },
        Notice::GrantCreated { grant } => {
            Some(format!("Grant for {}: {}.", grant.domain, grant_terms(grant)))
        }
        Notice::AgentSwitched { agent_id, paused: Some(paused) } if paused.why == PausedWhy::Denied => {
            Some(format!(
                "{agent_id} was denied three times in a row and is paused. `resume {agent_id}` lets it ask again."
            ))
        }
        Notice::DeviceAsks { device, asked } => Some(format!(
            "{device} asks for {} about {}: `durward requests --device`.",
            asked.agent_id, asked.domain
        )),
        Notice::HeadsDiffer { problem, .. } => Some(format!("! {}.", harmless(problem))),
        Notice::VaultSwitched { unlocked: false } => Some("The vault is locked.".into()),
        Notice::StorageFailed => {
            Some("The approver cannot write to its store; nothing is released until it can.".into())
        }
        _ => None,
    }
}

/// What the owner missed, in one line.
pub(crate) fn away(away: &Away) -> String {
    let mut parts = vec![format!("{} waiting", away.waiting)];
    let more = [
        (away.expired, "expired"),
        (away.released, "released by grants and rules"),
        (away.denied, "denied by rules"),
    ];
    parts.extend(more.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    format!("{} since {}", parts.join(", "), clock(away.since, OffsetDateTime::UNIX_EPOCH))
}

/// The same for an owner who comes back; nothing when nothing was missed.
pub(crate) fn missed(missed: &Away) -> Option<String> {
    let any = missed.waiting as u64 + missed.expired + missed.released + missed.denied > 0;
    any.then(|| format!("While you were away: {}.", away(missed)))
}

/// Why a rule is offered.
pub(crate) fn in_a_row(suggestion: &Suggestion) -> String {
    format!(
        "You have approved {} for {} to {} {} times in a row.",
        fields(&suggestion.fields),
        suggestion.domain,
        suggestion.agent_id,
        suggestion.approvals
    )
}

/// A rule was written.
pub(crate) fn accepted(accepted: &SuggestionAccepted) -> String {
    let counts = if accepted.applies {
        "It counts from now on."
    } else {
        "It counts for sessions that you pair with the word `rules`."
    };
    format!("Written to {}. {counts}", harmless(&accepted.path))
}

/// What is left of a grant.
pub(crate) fn grant_terms(grant: &GrantView) -> String {
    match (grant.uses_left, grant.expires_at) {
        (Some(left), _) => format!("{left} more"),
        (None, Some(end)) => format!("until {}", clock(end, grant.created_at)),
        (None, None) => "as long as the session".into(),
    }
}

/// A scope in words.
pub(crate) fn scope(limits: &Limits) -> String {
    let mut parts = Vec::new();
    if let Some(domains) = &limits.domains {
        parts.push(domains.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    if let Some(uses) = limits.max_uses {
        parts.push(format!("at most {uses} releases"));
    }
    if let Some(seconds) = limits.expires_in {
        parts.push(format!("ends {} min after pairing", seconds.div_ceil(60)));
    }
    if parts.is_empty() { "any domain; every request asks".into() } else { parts.join("; ") }
}

/// Hours and minutes, UTC, with the day when it is another one.
pub(crate) fn clock(moment: OffsetDateTime, reference: OffsetDateTime) -> String {
    let day = if moment.date() == reference.date() { String::new() } else { format!("{} ", moment.date()) };
    format!("{day}{:02}:{:02} UTC", moment.hour(), moment.minute())
}

/// Breaks a long text at blanks, with the continuation under its start.
fn wrapped(label: &str, text: &str) -> String {
    let mut out = label.to_owned();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH - label.len() {
            out.push('\n');
            out.push_str(&" ".repeat(label.len()));
            column = 0;
        }
        if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let shown = |seconds| span(time::Duration::seconds(seconds));
        for (seconds, text) in [
            (-5, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(shown(seconds), text);
        }
    }
}
