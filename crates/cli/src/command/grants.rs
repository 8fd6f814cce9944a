//! `durward grants`

use clap::{Args, Subcommand};
use durward_server::control::api;

use super::owner::{OutputArgs, print, with_control};
use super::table::{Fitted, minutes};
use crate::approver;
use crate::control::SecretBody;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal::harmless;

/// List or end standing approvals.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward grants\n  durward grants end 1")]
pub(crate) struct GrantsArgs {
    #[command(subcommand)]
    verb: Option<GrantsVerb>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum GrantsVerb {
    /// Live grants (the default).
    #[command(after_help = "Examples:\n  durward grants list --json")]
    List,
    /// End one.
    #[command(after_help = "Examples:\n  durward grants end 1")]
    End {
        /// Number in the list, or grant id.
        which: String,
    },
}

pub(crate) fn grants(args: GrantsArgs) -> CommandResult {
    let output = args.output;
    with_control(output, |control| async move {
        let list: api::Grants = control.get("/grants").await?;
        match args.verb.unwrap_or(GrantsVerb::List) {
            GrantsVerb::List => print(output, &list, |list| grants_table(&list.grants)),
            GrantsVerb::End { which } => {
                let grant = find_grant(&list.grants, &which)?;
                let body = SecretBody::new(api::EndGrant { grant_id: grant.grant_id });
                let done: api::Done = control.post("/grants/end", body).await?;
                print(output, &done, |_| {
                    let fields = approver::fields(&grant.fields);
                    format!("Ended the grant of {} for {}: {fields}.", grant.agent_id, grant.domain)
                })
            }
        }
    })
}

fn find_grant<'a>(grants: &'a [api::GrantView], which: &str) -> Result<&'a api::GrantView, CliError> {
    let by_number = which.parse::<usize>().ok().and_then(|n| grants.get(n.checked_sub(1)?));
    let found = by_number.or_else(|| grants.iter().find(|grant| grant.grant_id.to_string() == which));
    found.ok_or_else(|| {
        CliError::new(Exit::NotFound, "grant_not_found", format!("there is no grant {}", harmless(which)))
            .hint("`durward grants` lists them")
    })
}

fn grants_table(grants: &[api::GrantView]) -> String {
    if grants.is_empty() {
        return "No grants.".into();
    }
    let mut table = Fitted::new(&["#", "AGENT", "DOMAIN", "FIELDS", "UNTIL", "USES LEFT", "USED"]);
    for (i, g) in grants.iter().enumerate() {
        table.add_row([
            (i + 1).to_string(),
            g.agent_id.to_string(),
            g.domain.to_string(),
            approver::fields(&g.fields),
            g.expires_at.map_or_else(|| "session".into(), minutes),
            g.uses_left.map_or_else(|| "any".into(), |n| n.to_string()),
            g.uses.to_string(),
        ]);
    }
    table.text(&["FIELDS", "DOMAIN"])
}
