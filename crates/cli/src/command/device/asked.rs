//! `durward requests --device`: requests that wait on other devices, decided here.

use std::fmt::Write as _;

use durward_protocol::Field;
use durward_protocol::device::api::{DecidePeerRequest, PeerRequest, PeerRequestDecided, PeerRequests};
use durward_protocol::device::{AskedState, DecisionWord};

use super::no_daemon;
use crate::command::owner::{OutputArgs, print};
use crate::command::table::plain_table;
use crate::control::{Control, SecretBody};
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal::harmless;

/// How long it is watched what comes of a decision.
const HELD_SECONDS: u64 = 15;

/// What to do with requests of other devices.
#[derive(Debug)]
pub(crate) enum AskedVerb {
    List,
    Show { which: String },
    Approve { which: String, fields: Option<Vec<Field>> },
    Deny { which: String },
}

pub(crate) async fn asked(control: &Control, output: OutputArgs, verb: AskedVerb) -> CommandResult {
    let list: PeerRequests =
        control.get("/devices/requests").await.map_err(|failure| no_daemon(failure.into()))?;
    match verb {
        AskedVerb::List => print(output, &list, |list| table(&list.requests)),
        AskedVerb::Show { which } => print(output, find(&list.requests, &which)?, shown),
        AskedVerb::Approve { which, fields } => {
            decide(control, output, find(&list.requests, &which)?, DecisionWord::Approve, fields).await
        }
        AskedVerb::Deny { which } => {
            decide(control, output, find(&list.requests, &which)?, DecisionWord::Deny, None).await
        }
    }
}

/// A line about them under the list of this device's own; nothing where there are none.
pub(crate) async fn elsewhere(control: &Control) -> Option<String> {
    // Where devices are switched off there are none.
    let list: PeerRequests = control.get("/devices/requests").await.ok()?;
    let waiting = list.requests.len();
    (waiting > 0).then(|| format!("{waiting} on other devices: `durward requests --device` lists them."))
}

async fn decide(
    control: &Control,
    output: OutputArgs,
    request: &PeerRequest,
    decision: DecisionWord,
    fields: Option<Vec<Field>>,
) -> CommandResult {
    if let Some(fields) = &fields
        && let Some(more) = fields.iter().find(|field| !request.asked.fields.contains(field))
    {
        let text = format!("{} was not asked for", harmless(&more.to_string()));
        return Err(CliError::new(Exit::Usage, "usage", text));
    }
    let body = DecidePeerRequest {
        device_id: request.device_id,
        session_id: request.asked.session_id,
        request_id: request.asked.request_id,
        decision,
        fields,
    };
    let body = SecretBody::new(body);
    let decided: PeerRequestDecided =
        control.post_held("/devices/requests/decide", body, HELD_SECONDS).await?;
    let device = &request.device;
    let by = decided.by.as_ref().map_or_else(String::new, |by| format!(" (decided on {by})"));
    let refused = |exit, code: &str, text: String| Err(CliError::new(exit, code, text));
    match decided.state {
        Some(AskedState::TooLate | AskedState::Withdrawn | AskedState::Expired | AskedState::Cancelled) => {
            let text = format!("too late: the request on {device} was answered or is over{by}");
            refused(Exit::Refused, "too_late", text)
        }
        Some(AskedState::Refused) => {
            let text = format!("{device} does not count answers of this device for that request");
            refused(Exit::Refused, "refused", text)
        }
        Some(AskedState::Failed) => {
            refused(Exit::Other, "failed", format!("{device} could not act on it; it waits as before"))
        }
        Some(AskedState::ChooseItem) => {
            let text = format!("several items match; choose one on {device}");
            refused(Exit::Usage, "several_items", text)
        }
        _ => print(output, &decided, |decided| outcome(request, decided)),
    }
}

fn outcome(request: &PeerRequest, decided: &PeerRequestDecided) -> String {
    let device = &request.device;
    match decided.state {
        Some(AskedState::Approved) => format!("Released on {device}."),
        Some(AskedState::Denied) => "Denied.".into(),
        Some(AskedState::NotFound) => format!("Nothing in the vault of {device} matches."),
        Some(AskedState::VaultLocked) => {
            format!("Approved. The vault of {device} is locked: its next unlock there releases it.")
        }
        _ => {
            let why = decided.reason.as_deref().map(|why| format!(" ({})", harmless(why)));
            format!(
                "Signed. It counts once {device} has it, if it still waits there then{}.",
                why.unwrap_or_default()
            )
        }
    }
}

fn find<'a>(requests: &'a [PeerRequest], which: &str) -> Result<&'a PeerRequest, CliError> {
    let by_number = which.parse::<usize>().ok().and_then(|n| requests.get(n.checked_sub(1)?));
    let by_id = || requests.iter().find(|request| request.asked.request_id.to_string() == which);
    by_number.or_else(by_id).ok_or_else(|| {
        let text = format!("there is no request {} on another device", harmless(which));
        CliError::new(Exit::NotFound, "request_not_found", text)
            .hint("`durward requests --device` lists them")
    })
}

fn table(requests: &[PeerRequest]) -> String {
    if requests.is_empty() {
        return "Nothing waits on other devices.".into();
    }
    let mut table = plain_table(&["#", "DEVICE", "AGENT", "DOMAIN", "FIELDS", "REASON", "EXPIRES", "STATE"]);
    for (i, request) in requests.iter().enumerate() {
        let asked = &request.asked;
        let reason: String = harmless(&asked.reason).chars().take(60).collect();
        let expires = request.expires_at.get();
        table.add_row([
            (i + 1).to_string(),
            request.device.to_string(),
            asked.agent_id.to_string(),
            asked.domain.to_string(),
            names(&asked.fields),
            reason,
            format!("{:02}:{:02}Z", expires.hour(), expires.minute()),
            state(request),
        ]);
    }
    table.trim_fmt()
}

fn names(fields: &[Field]) -> String {
    let names: Vec<String> = fields.iter().map(|field| harmless(&field.to_string())).collect();
    names.join(", ")
}

fn state(request: &PeerRequest) -> String {
    match (request.state, &request.approved_by, request.answer) {
        (Some(AskedState::VaultLocked), Some(by), _) => format!("approved on {by}, vault locked"),
        (Some(AskedState::VaultLocked), None, _) => "approved, vault locked".into(),
        (Some(AskedState::ChooseItem), ..) => "several items: choose there".into(),
        (Some(AskedState::Refused), ..) => "not for this device to answer".into(),
        (Some(_), ..) => "failed there; waits".into(),
        (None, _, Some(DecisionWord::Approve)) => "approved here, on its way".into(),
        (None, _, Some(DecisionWord::Deny)) => "denied here, on its way".into(),
        (None, _, None) => "waits".into(),
    }
}

/// Everything an owner should know before a yes.
fn shown(request: &PeerRequest) -> String {
    let asked = &request.asked;
    let mut text = format!("  Device   {}\n", request.device);
    let _ = writeln!(text, "  Agent    {}  ({})", harmless(asked.agent_name.as_str()), asked.agent_id);
    let _ = writeln!(text, "  Domain   {}", asked.domain);
    let _ = writeln!(text, "  Reason   {}", harmless(&asked.reason));
    let _ = writeln!(text, "  Fields   {}", names(&asked.fields));
    if let Some(item) = &asked.item_id {
        let _ = writeln!(text, "  Item     {}", harmless(item));
    }
    let _ = write!(text, "  State    {}", state(request));
    text
}
