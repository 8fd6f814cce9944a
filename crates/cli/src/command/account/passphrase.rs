//! Choosing a passphrase: typed twice, from a script, or suggested.

use clap::Args;
use durward_broker::accounts::suggest_phrase;
use durward_protocol::SecretString;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::Value;

use crate::exit::CliError;
use crate::prompt::{self, PasswordArgs};
use crate::terminal;

/// Where a new passphrase comes from.
#[derive(Debug, Args)]
pub(super) struct PhraseArgs {
    /// Take a phrase of six random words, and print it.
    #[arg(long, conflicts_with_all = ["password_stdin", "password_file", "password_env"])]
    suggest: bool,
    #[command(flatten)]
    given: PasswordArgs,
}

/// A passphrase, and whether it has to be shown.
pub(super) struct Chosen {
    phrase: SecretString,
    suggested: bool,
}

const TWINS: &str = "--suggest, --password-stdin, --password-file FILE or --password-env VAR";

/// Asks, unless the arguments say it all.
pub(super) fn choose(args: &PhraseArgs) -> Result<Chosen, CliError> {
    if args.suggest {
        return Ok(Chosen { phrase: suggestion(), suggested: true });
    }
    let given = args.given.given()?;
    if given.is_none() && terminal::interactive() {
        terminal::note(&format!(
            "At least five words or 24 characters. A suggestion: {}",
            suggestion().expose_secret()
        ));
    }
    let phrase = prompt::new_password("Choose the passphrase: ", given, TWINS)?;
    Ok(Chosen { phrase, suggested: false })
}

impl Chosen {
    pub(super) fn phrase(&self) -> &SecretString {
        &self.phrase
    }

    /// Prints a suggested phrase; one that was typed is known.
    pub(super) fn show(&self) {
        if self.suggested {
            terminal::note("Passphrase, shown only now:");
            terminal::out(self.phrase.expose_secret());
        }
    }

    pub(super) fn add_to(&self, answer: &mut Value) {
        if self.suggested
            && let Some(map) = answer.as_object_mut()
        {
            map.insert("passphrase".into(), self.phrase.expose_secret().into());
        }
    }
}

fn suggestion() -> SecretString {
    suggest_phrase(&mut UnwrapErr(SysRng))
}
