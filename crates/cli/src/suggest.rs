//! The command that was probably meant: words that other programs use for what Durward calls differently.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What people type, and what it is called here.
const WORDS: &[(&str, &str)] = &[
    ("add", "durward vault add NAME"),
    ("allow", "durward approve"),
    ("approve-all", "durward approve"),
    ("ask", "durward request DOMAIN --reason TEXT"),
    ("attach", "durward approve"),
    ("check", "durward doctor"),
    ("code", "durward pairing enter"),
    ("connect", "durward pairing enter"),
    ("create", "durward vault init"),
    ("credential", "durward request DOMAIN --reason TEXT"),
    ("deny", "durward requests deny NUMBER"),
    ("disconnect", "durward sessions revoke NUMBER"),
    ("edit", "durward vault edit ITEM"),
    ("enter", "durward pairing enter"),
    ("env", "durward run --domain DOMAIN --env VAR=field -- COMMAND"),
    ("exec", "durward run --domain DOMAIN --env VAR=field -- COMMAND"),
    ("export", "durward vault export FILE"),
    ("fetch", "durward request DOMAIN --reason TEXT"),
    ("forget", "durward agent forget"),
    ("generate", "durward vault generate"),
    ("get", "durward request DOMAIN --reason TEXT"),
    ("grant", "durward grants"),
    ("health", "durward doctor"),
    ("history", "durward audit"),
    ("import", "durward vault import FILE"),
    ("init", "durward vault init"),
    ("install", "durward service install"),
    ("kill", "durward down"),
    ("list", "durward vault list"),
    ("log", "durward audit"),
    ("login", "durward key get --user NAME"),
    ("logout", "durward agent forget"),
    ("logs", "durward audit"),
    ("ls", "durward vault list"),
    ("new", "durward vault add NAME"),
    ("password", "durward vault generate"),
    ("quit", "durward down"),
    ("reject", "durward requests deny NUMBER"),
    ("remove", "durward vault remove ITEM"),
    ("revoke", "durward sessions revoke NUMBER"),
    ("rm", "durward vault remove ITEM"),
    ("rules", "durward policy show"),
    ("server", "durward serve"),
    ("set", "durward config set KEY VALUE"),
    ("settings", "durward config show"),
    ("setup", "durward up"),
    ("show", "durward vault show ITEM"),
    ("start", "durward up"),
    ("stop", "durward down"),
    ("template", "durward inject --reason TEXT"),
    ("uninstall", "durward service remove"),
];

/// What to say to somebody whose command line clap refused.
pub(crate) fn hint(instead: Option<&'static str>, error: &clap::Error) -> Option<String> {
    instead.map(|command| format!("did you mean `{command}`?")).or_else(|| command_without_dashes(error))
}

/// `durward run true`: whose options would the options behind be?
fn command_without_dashes(error: &clap::Error) -> Option<String> {
    let (ErrorKind::UnknownArgument, Some(ContextValue::StyledStr(usage))) =
        (error.kind(), error.get(ContextKind::Usage))
    else {
        return None;
    };
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    let of_run = usage.to_string().contains("durward run ") && !word.starts_with('-');
    let word = crate::terminal::harmless(word);
    of_run.then(|| format!("put `--` before the command: durward run … -- {word} …"))
}

/// `durward help COMMAND …` as `durward COMMAND … --help`.
pub(crate) fn help_last(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    if arguments.get(1).is_some_and(|word| word == "help") {
        arguments.remove(1);
        // What stands behind dashes is another program's command line.
        let own = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
        arguments.truncate(own);
        arguments.push("--help".into());
    }
    arguments
}

/// For a first word that is no command: the one that does what it says elsewhere.
pub(crate) fn instead(error: &clap::Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    // A word inside `durward vault …` is that command's business.
    if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage)
        && !usage.to_string().contains("durward <")
        && !usage.to_string().contains("durward [")
    {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let typed = typed.to_lowercase();
    WORDS.iter().find(|(word, _)| *word == typed).map(|(_, command)| *command)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::command::Cli;

    fn of(words: &[&str]) -> Option<&'static str> {
        instead(&Cli::try_parse_from(words).unwrap_err())
    }

    #[test]
    fn other_programs_words() {
        assert_eq!(of(&["durward", "get", "x"]), Some("durward request DOMAIN --reason TEXT"));
        assert_eq!(of(&["durward", "APPROVE-ALL"]), Some("durward approve"));
        assert_eq!(of(&["durward", "nonsense"]), None);
        let help = |words: &[&str]| help_last(words.iter().map(OsString::from));
        assert_eq!(help(&["durward", "help", "vault", "add"]), ["durward", "vault", "add", "--help"]);
        assert_eq!(help(&["durward", "help"]), ["durward", "--help"]);
        assert_eq!(help(&["durward", "help", "run", "--", "true"]), ["durward", "run", "--help"]);
        assert_eq!(help(&["durward", "vault", "help"]), ["durward", "vault", "help"]);
        assert_eq!(of(&["durward", "vault", "get"]), None);
        assert_eq!(of(&["durward", "status", "--nonsense"]), None);
    }

    #[test]
    fn the_command_of_run_stands_behind_dashes() {
        let of = |words: &[&str]| {
            let error = Cli::try_parse_from(words).unwrap_err();
            hint(instead(&error), &error)
        };
        let said = of(&["durward", "run", "--domain", "a.example", "--env", "A=password", "true"]);
        assert_eq!(said.as_deref(), Some("put `--` before the command: durward run … -- true …"));
        assert_eq!(of(&["durward", "run", "--nonsense", "--", "true"]), None);
        assert_eq!(of(&["durward", "request", "a.example", "b.example"]), None);
        assert_eq!(
            of(&["durward", "get"]).as_deref(),
            Some("did you mean `durward request DOMAIN --reason TEXT`?")
        );
    }

    #[test]
    fn each_word_is_no_command_and_leads_to_one() {
        let cli = Cli::command();
        for (word, instead) in WORDS {
            assert!(cli.find_subcommand(word).is_none(), "{word} is a command");
            let mut at = &cli;
            for part in
                instead.split(' ').skip(1).take_while(|part| part.bytes().all(|b| b.is_ascii_lowercase()))
            {
                at = at.find_subcommand(part).unwrap_or_else(|| panic!("{instead}: no {part}"));
            }
            assert!(at.get_name() != cli.get_name(), "{instead}");
        }
        assert!(WORDS.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted, each once");
    }
}
