//! `durward policy test`

use std::path::PathBuf;

use clap::Args;
use durward_broker::approval::{Explanation, Past, PolicyQuestion, PolicyVerdict, RuleRole};
use durward_protocol::{AgentId, Domain, Field};
use durward_server::Clock;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::command::owner::{OutputArgs, print};
use crate::exit::{CliError, CommandResult, Exit};

/// What is asked of the policy.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward policy test --agent ci-7 --domain git.example\n  \
    durward policy test draft.toml --agent ci-7 --domain git.example --at 2026-11-23T23:30:00+01:00")]
pub(super) struct TestArgs {
    /// The policy [default: policy.toml in the configuration folder].
    file: Option<PathBuf>,
    /// The agent's id.
    #[arg(long, value_name = "AGENT")]
    agent: String,
    /// The domain asked for.
    #[arg(long)]
    domain: String,
    /// A field asked for; may be repeated [default: username and password].
    #[arg(long, value_name = "FIELD")]
    field: Vec<Field>,
    /// When, as 2026-11-23T23:30:00+01:00 [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<OffsetDateTime>,
    /// As for a session for which you did not say that rules which name agents count.
    #[arg(long)]
    without_yes: bool,
    /// As for the first such request of a session.
    #[arg(long)]
    first_use: bool,
    /// As after so many releases in this hour.
    #[arg(long, value_name = "N", default_value_t = 0)]
    released: u32,
    /// Show the rules that do not match, too.
    #[arg(long)]
    all: bool,
}

/// What is assumed about the past.
pub(super) struct Assumed {
    pub(super) released: u32,
    pub(super) approved: bool,
}

impl Past for Assumed {
    fn releases_in_hour(&self, _rule: &str) -> u32 {
        self.released
    }

    fn approved_before(&self, _domain: &Domain, _fields: &[Field]) -> bool {
        self.approved
    }
}

pub(super) fn run(output: OutputArgs, args: &TestArgs) -> CommandResult {
    let usage = |code, error: durward_protocol::Error| CliError::new(Exit::Usage, code, error.to_string());
    let agent_id = AgentId::parse(&args.agent).map_err(|error| usage("invalid_agent_id", error))?;
    let domain = Domain::from_input(&args.domain).map_err(|error| usage("invalid_domain", error))?;
    let mut fields = if args.field.is_empty() { Field::default_set() } else { args.field.clone() };
    fields.sort();
    fields.dedup();
    let (_, policy) = super::read(args.file.clone())?;
    let past = Assumed { released: args.released, approved: !args.first_use };
    let explained = policy.explain(PolicyQuestion {
        agent_id: &agent_id,
        named_rules_apply: !args.without_yes,
        domain: &domain,
        fields: &fields,
        at: args.at.unwrap_or_else(|| Clock::system().now().wall),
        past: &past,
    });
    print(output, &explained, |explained| text(explained, args.all))
}

fn text(explained: &Explanation, all: bool) -> String {
    let verdict = match explained.verdict {
        PolicyVerdict::Allow => "Released without a question, while the vault is open",
        PolicyVerdict::Ask => "Asks the owner",
        PolicyVerdict::Deny => "Denied",
    };
    let no_rule = explained.verdict == PolicyVerdict::Ask && explained.rule.is_none();
    let why = if no_rule { "no rule matches" } else { &explained.why };
    let mut lines = vec![format!("{verdict}: {why}.")];
    for rule in explained.rules.iter().filter(|rule| all || rule.role != RuleRole::NoMatch) {
        let role = match rule.role {
            RuleRole::Decides => "decides",
            RuleRole::Later => "matches, comes later",
            RuleRole::PassedOver => "matches, passed over",
            RuleRole::NoMatch => "does not match",
        };
        let note = rule.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        lines.push(format!("{:>3}  {}  [{role}{note}]", rule.n, rule.rule));
    }
    lines.join("\n")
}

fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "write a time as 2026-11-23T23:30:00+01:00".to_owned())
}
