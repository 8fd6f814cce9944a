//! `durward vault generate`

use clap::Args;
use durward_protocol::SecretString;
use durward_vault::{PasswordRules, PhraseRules, generate_password, generate_phrase};
use serde_json::json;
use zeroize::Zeroizing;

use super::access::explain;
use crate::command::agent::raw_value;
use crate::exit::{CommandResult, Exit};
use crate::os_rng;

/// Make a password, or a phrase of words, and print it. Needs no vault and keeps nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward vault generate\n  durward vault generate --length 32 --no-symbols\n  \
    durward vault generate --phrase --words 7 --separator ' '"
)]
pub(crate) struct GenerateArgs {
    /// Number of characters.
    #[arg(long, short, default_value_t = 20)]
    length: usize,
    /// Without a to z.
    #[arg(long)]
    no_lower: bool,
    /// Without A to Z.
    #[arg(long)]
    no_upper: bool,
    /// Without 0 to 9.
    #[arg(long)]
    no_digits: bool,
    /// Without punctuation.
    #[arg(long)]
    no_symbols: bool,
    /// Without what is easily misread: 0O 1lI| 5S 2Z 8B.
    #[arg(long)]
    no_ambiguous: bool,
    /// Words of the EFF large list instead of characters; 12.9 bits each.
    #[arg(long, conflicts_with_all = ["length", "no_lower", "no_upper", "no_digits", "no_symbols", "no_ambiguous"])]
    phrase: bool,
    /// Number of words.
    #[arg(long, default_value_t = 6, requires = "phrase")]
    words: usize,
    /// What stands between two words.
    #[arg(long, value_name = "TEXT", default_value = "-", requires = "phrase")]
    separator: String,
    /// Begin each word with a capital.
    #[arg(long, requires = "phrase")]
    capitalize: bool,
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &GenerateArgs) -> CommandResult {
    let made = make(args).map_err(|error| explain(error).json(args.json))?;
    if args.json {
        raw_value(&Zeroizing::new(json!({ "success": true, "password": made.expose_secret() }).to_string()));
    } else {
        raw_value(made.expose_secret());
    }
    Ok(Exit::success())
}

fn make(args: &GenerateArgs) -> Result<SecretString, durward_vault::Error> {
    if args.phrase {
        let rules =
            PhraseRules { words: args.words, separator: args.separator.clone(), capitalize: args.capitalize };
        return generate_phrase(&rules, &mut os_rng());
    }
    let rules = PasswordRules {
        length: args.length,
        lower: !args.no_lower,
        upper: !args.no_upper,
        digits: !args.no_digits,
        symbols: !args.no_symbols,
        no_ambiguous: args.no_ambiguous,
    };
    generate_password(&rules, &mut os_rng())
}
