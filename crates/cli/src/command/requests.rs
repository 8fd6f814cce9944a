//! `durward requests`

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use durward_broker::approval::{Decision, GrantSpec};
use durward_protocol::{AgentId, Domain, Field, RequestId, Verdict};
use durward_server::Clock;
use durward_server::control::api;
use serde::Serialize;
use time::OffsetDateTime;

use super::device::{AskedVerb, asked, elsewhere};
use super::owner::{OutputArgs, print, with_control};
use super::table::Fitted;
use crate::approver;
use crate::control::{Control, Failure, SecretBody};
use crate::duration::parse_seconds;
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::{self, PasswordArgs};
use crate::terminal::{self, harmless};

/// Requests that wait for you: list, show, approve, deny.
///
/// With --device those that wait on other devices, which let this one approve (`durward devices approver` there): a yes
/// releases that one request and nothing more, and never carries a vault password.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward requests\n  durward requests approve 1\n  \
    durward requests approve 1 --for 15m --password-stdin < password.txt\n  durward requests deny 1 --reason \"Not now\"\n  \
    durward requests --device\n  durward requests approve 1 --device --fields username")]
pub(crate) struct RequestsArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Requests that wait on other devices.
    #[arg(long, global = true)]
    device: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Those that wait, oldest first (the default).
    #[command(after_help = "Examples:\n  durward requests list\n  durward requests list --json")]
    List,
    /// One of them, whole.
    #[command(after_help = "Examples:\n  durward requests show 1")]
    Show {
        /// Number in the list, or request id.
        which: String,
    },
    Approve(ApproveArgs),
    /// Release nothing.
    #[command(
        after_help = "Examples:\n  durward requests deny 1\n  durward requests deny 1 --reason \"Not now\""
    )]
    Deny {
        /// Number in the list, or request id.
        which: String,
        /// Words for the agent.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Release the credential.
///
/// A number is a place in the list, and the list changes: on a terminal the request is shown again and asked about.
/// Scripts name the request id, which `durward requests --json` says.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward requests approve 1\n  durward requests approve 1 --field username --yes\n  \
    durward requests approve 1 --for 15m --password-stdin < password.txt\n  durward requests approve 1 --item 2"
)]
struct ApproveArgs {
    /// Number in the list, or request id.
    which: String,
    /// Approve what has this number now, without showing it first.
    #[arg(long)]
    yes: bool,
    /// And approve the same for so long.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_seconds, group = "grant")]
    seconds: Option<u64>,
    /// And approve the same as long as the session lives.
    #[arg(long, group = "grant")]
    session: bool,
    /// And approve the same so many times more.
    #[arg(long, value_name = "N", group = "grant")]
    uses: Option<u64>,
    /// The item to release, when several match: its id, or its number in `requests show`.
    #[arg(long, value_name = "ITEM")]
    item: Option<String>,
    /// Release only this field. May be repeated.
    #[arg(long, value_name = "FIELD")]
    field: Vec<Field>,
    /// Release only these fields: --fields username,password.
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    fields: Vec<Field>,
    #[command(flatten)]
    password: PasswordArgs,
}

pub(crate) fn run(args: RequestsArgs) -> CommandResult {
    let output = args.output;
    if args.device {
        let verb = on_device(args.verb).map_err(|error| error.json(output.json))?;
        return with_control(output, |control| async move { asked(&control, output, verb).await });
    }
    with_control(output, |control| async move {
        let list: api::Requests = control.get("/requests").await?;
        match args.verb.unwrap_or(Verb::List) {
            Verb::List => {
                let elsewhere = if output.json { None } else { elsewhere(&control).await };
                print(output, &list, |list| {
                    let more = elsewhere.map(|line| format!("\n{line}"));
                    let now = Clock::system().now().wall;
                    format!("{}{}", table(&list.requests, now), more.unwrap_or_default())
                })
            }
            Verb::Show { which } => print(output, find(&list.requests, &which)?, |request| {
                let now = Clock::system().now().wall;
                format!("{}\n{}", approver::request(request), approver::waiting(request, now))
            }),
            Verb::Approve(approve) => {
                let request = find(&list.requests, &approve.which)?;
                approve_request(&control, output, request, &approve).await
            }
            Verb::Deny { which, reason } => {
                let request = find(&list.requests, &which)?;
                let body = body(request, &Decision::Deny { reason });
                let decided: api::Decided = control.post("/requests/decide", body).await?;
                answer(output, request, &decided)
            }
        }
    })
}

/// What of the command makes sense for requests of other devices.
fn on_device(verb: Option<Verb>) -> Result<AskedVerb, CliError> {
    let here = |what: &str| {
        let text = format!("{what} can be given only on the device where the request waits");
        Err(CliError::new(Exit::Usage, "usage", text))
    };
    Ok(match verb.unwrap_or(Verb::List) {
        Verb::List => AskedVerb::List,
        Verb::Show { which } => AskedVerb::Show { which },
        Verb::Deny { reason: Some(_), .. } => return here("a reason"),
        Verb::Deny { which, reason: None } => AskedVerb::Deny { which },
        Verb::Approve(args) => {
            if args.seconds.is_some() || args.session || args.uses.is_some() {
                return here("a grant");
            }
            if args.item.is_some() {
                return here("an item");
            }
            if args.password.is_given() {
                return here("a vault password");
            }
            let fields = args.chosen_fields();
            AskedVerb::Approve { which: args.which, fields }
        }
    })
}

impl ApproveArgs {
    fn chosen_fields(&self) -> Option<Vec<Field>> {
        Some([self.field.as_slice(), &self.fields].concat()).filter(|fields| !fields.is_empty())
    }
}

async fn approve_request(
    control: &Control,
    output: OutputArgs,
    request: &api::RequestView,
    args: &ApproveArgs,
) -> CommandResult {
    let fields = args.chosen_fields();
    if let Some(other) = fields.iter().flatten().find(|field| !request.fields.contains(field)) {
        let other = harmless(&other.to_string());
        let text = format!("{} does not ask for {other}", request.agent_id);
        return Err(CliError::new(Exit::Usage, "field_not_asked", text)
            .hint(format!("it asks for {}", approver::fields(&request.fields))));
    }
    let grant = match (args.seconds, args.session, args.uses) {
        (Some(seconds), _, _) => Some(GrantSpec::For { seconds }),
        (_, true, _) => Some(GrantSpec::Session),
        (_, _, Some(uses)) => Some(GrantSpec::Uses { uses }),
        _ => None,
    };
    let item_id = args.item.as_deref().map(|item| item_id(request, item)).transpose()?;
    confirm(request, args)?;
    let decision = Decision::Approve { grant, item_id, fields };
    let vault: api::VaultStatus = control.get("/vault").await?;
    let mut body = body(request, &decision);
    if vault.needs_password && vault.exists && vault.open_until.is_none() {
        body = body.secret("password", &prompt::password("Vault password: ", &args.password)?);
    }
    match control.post::<api::Decided>("/requests/decide", body).await {
        Ok(decided) => answer(output, request, &decided),
        Err(Failure::Refused(refusal)) if !refusal.choices.is_empty() => {
            let names: Vec<String> = refusal
                .choices
                .iter()
                .enumerate()
                .map(|(n, choice)| {
                    let user = choice.username.as_deref().map(|name| format!(" ({})", harmless(name)));
                    let name = format!("{}{}", harmless(&choice.name), user.unwrap_or_default());
                    format!("  --item {}  {name}  {}", n + 1, harmless(&choice.item_id))
                })
                .collect();
            Err(CliError::new(Exit::Usage, refusal.error, refusal.message)
                .hint(format!("choose:\n{}", names.join("\n"))))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// A number may have gone to another request since the list was read: a person sees which one it is now.
fn confirm(request: &api::RequestView, args: &ApproveArgs) -> Result<(), CliError> {
    let named = args.which == request.request_id.to_string();
    if named || args.yes || !terminal::interactive() {
        return Ok(());
    }
    terminal::note(&approver::request(request));
    if prompt::confirm("Release it?", false)? {
        return Ok(());
    }
    Err(CliError::new(Exit::Cancelled, "cancelled", "nothing was released; the request keeps waiting"))
}

/// What became of a request: in words, as JSON, and as an exit code that tells a release from none.
fn answer(output: OutputArgs, request: &api::RequestView, decided: &api::Decided) -> CommandResult {
    #[derive(Serialize)]
    struct Answered<'a> {
        #[serde(flatten)]
        decided: &'a api::Decided,
        request_id: &'a RequestId,
        agent_id: &'a AgentId,
        domain: &'a Domain,
    }
    let text = approver::answered(request, decided);
    let failed = |exit, code: &str| Err(CliError::new(exit, code, text.trim_end_matches('.')));
    match decided.verdict {
        Verdict::Approved | Verdict::Denied => {
            let (request_id, agent_id, domain) = (&request.request_id, &request.agent_id, &request.domain);
            print(output, &Answered { decided, request_id, agent_id, domain }, |_| text)
        }
        Verdict::NotFound if decided.reason.is_some() => failed(Exit::NotFound, "field_not_found"),
        Verdict::NotFound => failed(Exit::NotFound, "not_found"),
        Verdict::Expired => failed(Exit::TimedOut, "expired"),
        Verdict::Cancelled => failed(Exit::Cancelled, "cancelled"),
    }
}

/// An item by its number among those to choose from, or by its id. Once they are known, no other is taken: an approval of
/// an item that is not there would end the request.
fn item_id(request: &api::RequestView, item: &str) -> Result<String, CliError> {
    let choices = &request.choices;
    let numbered = item.parse::<usize>().ok().and_then(|n| choices.get(n.checked_sub(1)?));
    let known = numbered.or_else(|| choices.iter().find(|choice| choice.item_id == item));
    match known {
        Some(choice) => Ok(choice.item_id.clone()),
        None if choices.is_empty() => Ok(item.to_owned()),
        None => {
            let text = format!("no item {} is among those that match", harmless(item));
            Err(CliError::new(Exit::NotFound, "item_not_found", text)
                .hint("`durward requests show` lists them"))
        }
    }
}

fn body(request: &api::RequestView, decision: &Decision) -> SecretBody {
    SecretBody::new(decision).set("session_id", request.session_id).set("request_id", request.request_id)
}

fn find<'a>(requests: &'a [api::RequestView], which: &str) -> Result<&'a api::RequestView, CliError> {
    let by_number = which.parse::<usize>().ok().and_then(|n| requests.get(n.checked_sub(1)?));
    by_number.or_else(|| requests.iter().find(|request| request.request_id.to_string() == which)).ok_or_else(
        || {
            CliError::new(
                Exit::NotFound,
                "request_not_found",
                format!("there is no request {}", harmless(which)),
            )
            .hint("`durward requests` lists them")
        },
    )
}

fn table(requests: &[api::RequestView], now: OffsetDateTime) -> String {
    if requests.is_empty() {
        return "Nothing waits.".into();
    }
    let mut table = Fitted::new(&["#", "AGENT", "DOMAIN", "FIELDS", "AGE", "LEFT", "REASON"]);
    for (i, r) in requests.iter().enumerate() {
        table.add_row([
            (i + 1).to_string(),
            r.agent_id.to_string(),
            if r.alike > 0 { format!("{} (+{} alike)", r.domain, r.alike) } else { r.domain.to_string() },
            approver::fields(&r.fields),
            approver::span(now - r.created_at),
            approver::span(r.expires_at - now),
            harmless(&r.reason),
        ]);
    }
    let mut text = table.text(&["REASON", "FIELDS", "DOMAIN"]);
    for (i, request) in requests.iter().enumerate() {
        if let Some(device) = &request.approved_by {
            let _ =
                write!(text, "\n{}: approved by {device}, vault locked; the next unlock releases it.", i + 1);
        }
    }
    text
}
