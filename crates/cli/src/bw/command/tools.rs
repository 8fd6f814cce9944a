//! `generate`, `encode`, `completion`: no account is needed, no network is used.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use durward_bitwarden::generate::{GeneratorPolicy, Kind, PassphraseRules, PasswordRules, Wish};
use durward_bitwarden::{Error, Result};
use secrecy::SecretString;

use crate::context::Context;
use crate::output::Response;
use crate::spec::{COMMANDS, GLOBAL, Opt};

/// A password or a passphrase; whoever is logged in gets what the organisations allow.
pub(super) fn generate(context: &Context) -> Result<Response> {
    let mut wish = wish(context);
    if let Some(folder) = context.folder_if_any()?
        && let Some(account) = folder.read()?.account()?
    {
        GeneratorPolicy::of(account)?.apply(&mut wish);
    }
    Ok(Response::Text(SecretString::from(wish.fulfil()?.as_str())))
}

fn wish(context: &Context) -> Wish {
    let options = &context.invocation;
    let number = |name: &str, default: usize| options.value(name).and_then(integer).unwrap_or(default);
    let passphrase = PassphraseRules {
        words: number("words", 6),
        separator: match options.value("separator") {
            None => "-".to_owned(),
            Some("space") => " ".to_owned(),
            Some("empty") => String::new(),
            Some(other) => other.chars().take(1).collect(),
        },
        capitalize: options.has("capitalize"),
        include_number: options.has("includeNumber"),
    };
    let classes = ["uppercase", "lowercase", "number", "special"].map(|name| options.has(name));
    let none = classes == [false; 4];
    let password = PasswordRules {
        uppercase: classes[0] || none,
        lowercase: classes[1] || none,
        number: classes[2] || none,
        special: classes[3],
        length: number("length", 14),
        min_number: number("minNumber", 1),
        min_special: number("minSpecial", 0),
        avoid_ambiguous: options.has("ambiguous"),
    };
    let kind = if options.has("passphrase") { Kind::Passphrase } else { Kind::Password };
    Wish { kind, password, passphrase }
}

/// A number as JavaScript's `parseInt` reads it: the digits in front count, whatever follows. Less than nothing is
/// nothing, which is below every least value; what is too large is above every greatest.
fn integer(text: &str) -> Option<usize> {
    let text = text.trim_start();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let digits = text.get(..end).filter(|digits| !digits.is_empty())?;
    Some(if negative { 0 } else { digits.parse().unwrap_or(usize::MAX) })
}

/// Standard input in base64.
pub(super) fn encode() -> Result<Response> {
    if std::io::stdin().is_terminal() {
        return Ok(Response::failure("No stdin was piped in."));
    }
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|e| Error::Configuration(format!("Standard input could not be read: {e}")))?;
    Ok(Response::string(STANDARD.encode(bytes)))
}

/// Completions for a shell.
pub(super) fn completion(context: &Context) -> Response {
    let script = match context.invocation.value("shell") {
        None | Some("") => return Response::failure("`shell` option was not provided."),
        Some("zsh") => zsh(),
        Some("bash") => bash(),
        Some("fish") => fish(),
        Some(_) => return Response::failure("Unsupported shell."),
    };
    Response::string(script)
}

fn longs(options: &[Opt]) -> String {
    options.iter().map(|o| format!("--{}", o.long)).collect::<Vec<_>>().join(" ")
}

fn zsh() -> String {
    let mut text = "#compdef _bw bw\n\nfunction _bw {\n  local -a commands\n  _arguments -C \\\n".to_owned();
    for option in GLOBAL {
        let _ = writeln!(text, "    '--{}[{}]' \\", option.long, option.about.replace('\'', "'\"'\"'"));
    }
    text.push_str("    '(-h --help)'{-h,--help}'[output usage information]' \\\n    \"1: :->cmnds\" \\\n    \"*::arg:->args\"\n  case $state in\n    cmnds)\n      commands=(\n");
    for command in COMMANDS.iter().filter(|c| c.here) {
        let _ = writeln!(text, "        \"{}:{}\"", command.name, command.about.replace('"', "'"));
    }
    text.push_str(
        "      )\n      _describe \"command\" commands\n      ;;\n  esac\n  case \"$words[1]\" in\n",
    );
    for command in COMMANDS.iter().filter(|c| c.here && !c.options.is_empty()) {
        let _ = writeln!(text, "    {}) _values -w option {} ;;", command.name, longs(command.options));
    }
    text.push_str("  esac\n}\n");
    text
}

fn bash() -> String {
    let names: Vec<&str> = COMMANDS.iter().filter(|c| c.here).map(|c| c.name).collect();
    let mut text = format!(
        "_bw() {{\n  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" options=\"{} --help\"\n  if [ \"$COMP_CWORD\" -eq 1 ]; then options=\"{} $options\"; fi\n  case \"${{COMP_WORDS[1]}}\" in\n",
        longs(GLOBAL),
        names.join(" ")
    );
    for command in COMMANDS.iter().filter(|c| c.here && !c.options.is_empty()) {
        let _ = writeln!(text, "    {}) options=\"{} $options\" ;;", command.name, longs(command.options));
    }
    text.push_str("  esac\n  COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n}\ncomplete -F _bw bw\n");
    text
}

fn fish() -> String {
    let mut text = String::new();
    let quote = |t: &str| t.replace('\'', "\\'");
    for option in GLOBAL {
        let _ = writeln!(text, "complete -c bw -l {} -d '{}'", option.long, quote(option.about));
    }
    for command in COMMANDS.iter().filter(|c| c.here) {
        let _ = writeln!(
            text,
            "complete -c bw -n __fish_use_subcommand -a {} -d '{}'",
            command.name,
            quote(command.about)
        );
        for option in command.options {
            let _ = writeln!(
                text,
                "complete -c bw -n '__fish_seen_subcommand_from {}' -l {} -d '{}'",
                command.name,
                option.long,
                quote(option.about)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::integer;

    #[test]
    fn numbers_are_read_like_the_official_program_reads_them() {
        for (text, number) in [
            ("25", Some(25)),
            (" 25abc", Some(25)),
            ("20.7", Some(20)),
            ("+7", Some(7)),
            ("-5", Some(0)),
            ("99999999999999999999999", Some(usize::MAX)),
            ("", None),
            ("-", None),
            ("abc", None),
        ] {
            assert_eq!(integer(text), number, "{text}");
        }
    }
}
