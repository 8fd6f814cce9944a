//! `durward policy suggestions`

use clap::{Args, Subcommand};
use durward_server::control::api;

use crate::approver;
use crate::command::owner::{OutputArgs, print, with_control};
use crate::control::SecretBody;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal::harmless;

/// Suggested rules.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward policy suggestions\n  durward policy suggestions accept 1 --days 14"
)]
pub(super) struct SuggestionsArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Those that the approvals of the last 30 days suggest (the default).
    #[command(after_help = "Examples:\n  durward policy suggestions list")]
    List,
    /// Write one into the policy file.
    #[command(after_help = "Examples:\n  durward policy suggestions accept 1 --days 14")]
    Accept {
        /// Its number in the list, or its id.
        which: String,
        /// How long the rule holds, 1 to 30.
        #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=30))]
        days: u32,
        /// Let rules that name the agent count for its session although other rules name it too.
        #[arg(long)]
        apply_rules: bool,
    },
}

pub(super) fn run(output: OutputArgs, args: SuggestionsArgs) -> CommandResult {
    with_control(output, |control| async move {
        let list: api::Suggestions = control.get("/policy/suggestions").await?;
        match args.verb.unwrap_or(Verb::List) {
            Verb::List => print(output, &list, |list| text(&list.suggestions)),
            Verb::Accept { which, days, apply_rules } => {
                let number =
                    which.parse::<usize>().ok().and_then(|n| list.suggestions.get(n.checked_sub(1)?));
                let found = number.or_else(|| list.suggestions.iter().find(|s| s.id == which));
                let found = found.ok_or_else(|| {
                    let text = format!("there is no suggestion {}", harmless(&which));
                    CliError::new(Exit::NotFound, "suggestion_not_found", text)
                        .hint("`durward policy suggestions` lists them")
                })?;
                let body = SecretBody::new(api::AcceptSuggestion { days: Some(days), apply_rules });
                let path = format!("/policy/suggestions/{}/accept", found.id);
                let accepted: api::SuggestionAccepted = control.post(&path, body).await?;
                print(output, &accepted, |accepted| {
                    format!("{}\n{}", accepted.rule, approver::accepted(accepted))
                })
            }
        }
    })
}

fn text(list: &[api::Suggestion]) -> String {
    if list.is_empty() {
        return "Nothing is suggested: no three identical approvals in a row, or a rule says already.".into();
    }
    let line = |(i, suggestion): (usize, &api::Suggestion)| {
        let fields: Vec<String> =
            suggestion.fields.iter().map(|field| harmless(&field.to_string())).collect();
        format!(
            "{:>3}  {}  {} only  {}  approved {} times  {}",
            i + 1,
            suggestion.agent_id,
            suggestion.domain,
            fields.join(", "),
            suggestion.approvals,
            suggestion.id
        )
    };
    list.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}
