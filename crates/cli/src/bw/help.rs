//! Help texts, laid out like the official ones. Rendered only when somebody asks.

use std::fmt::Write as _;

use crate::spec::{COMMANDS, Command, GLOBAL, Opt, VERSION, Value};

/// The help of a command, or of the program.
pub(crate) fn render(command: Option<&Command>) -> String {
    let mut text = String::new();
    match command {
        Some(command) => one(&mut text, command),
        None => all(&mut text),
    }
    text
}

fn all(text: &mut String) {
    text.push_str("Usage: bw [options] [command]\n\nOptions:\n");
    let mut rows: Vec<(String, String)> = GLOBAL.iter().map(row).collect();
    rows.push(("-v, --version".to_owned(), "output the version number".to_owned()));
    rows.push(("-h, --help".to_owned(), "display help for command".to_owned()));
    let commands: Vec<(String, String)> =
        COMMANDS.iter().filter(|c| c.here).map(|c| (synopsis(c), c.about.to_owned())).collect();
    let width = rows.iter().chain(&commands).map(|(l, _)| l.len()).max().unwrap_or(0);
    table(text, &rows, width);
    text.push_str("\nCommands:\n");
    table(text, &commands, width);
    let _ = write!(
        text,
        "\n  A password or a session key on the command line can be seen by other users of this machine:\n  \
         prefer prompts, --passwordfile, --passwordenv and BW_SESSION.\n\n  \
         This is Durward's bw. It reads and writes what Bitwarden's own bw {VERSION} does; of that one's commands it\n  \
         has not: {}.\n",
        COMMANDS.iter().filter(|c| !c.here).map(|c| c.name).collect::<Vec<_>>().join(", ")
    );
}

fn one(text: &mut String, command: &Command) {
    let options = if command.options.is_empty() { " [options]" } else { "" };
    let mut synopsis = synopsis(command);
    if !options.is_empty() {
        synopsis.insert_str(command.name.len(), options);
    }
    let _ = write!(text, "Usage: bw {synopsis}\n\n{}\n", command.about);
    let args: Vec<(String, String)> = command
        .args
        .iter()
        .filter(|a| !a.about.is_empty())
        .map(|a| (a.name.to_owned(), a.about.to_owned()))
        .collect();
    let mut options: Vec<(String, String)> = command.options.iter().map(row).collect();
    options.push(("-h, --help".to_owned(), "display help for command".to_owned()));
    let width = args.iter().chain(&options).map(|(l, _)| l.len()).max().unwrap_or(0);
    if !args.is_empty() {
        text.push_str("\nArguments:\n");
        table(text, &args, width);
    }
    text.push_str("\nOptions:\n");
    table(text, &options, width);
    if !command.here {
        let _ = write!(text, "\n  {}\n", elsewhere(command));
    }
    section(text, "Notes", command.notes, "\n\n");
    section(text, "Examples", command.examples, "\n");
}

fn section(text: &mut String, title: &str, lines: &[&str], between: &str) {
    if !lines.is_empty() {
        let lines: Vec<String> = lines.iter().map(|l| format!("    {l}")).collect();
        let _ = write!(text, "\n  {title}:\n\n{}\n", lines.join(between));
    }
}

/// Says where a command is to be had.
pub(crate) fn elsewhere(command: &Command) -> String {
    format!(
        "`bw {}` is not part of this program. Use Bitwarden's own command line for it (npm install -g @bitwarden/cli); \
         it works on the same data folder and session.",
        command.name
    )
}

fn synopsis(command: &Command) -> String {
    let mut text = command.name.to_owned();
    if !command.options.is_empty() {
        text.push_str(" [options]");
    }
    for arg in command.args {
        let _ = if arg.required { write!(text, " <{}>", arg.name) } else { write!(text, " [{}]", arg.name) };
    }
    text
}

fn row(option: &Opt) -> (String, String) {
    let mut left = option.short.map_or_else(String::new, |c| format!("-{c}, "));
    let _ = write!(left, "--{}", option.long);
    let _ = match option.value {
        Value::None => Ok(()),
        Value::Required(name) => write!(left, " <{name}>"),
        Value::Optional(name) => write!(left, " [{name}]"),
    };
    (left, option.about.to_owned())
}

fn table(text: &mut String, rows: &[(String, String)], width: usize) {
    for (left, right) in rows {
        let _ = writeln!(text, "  {left:width$}  {right}");
    }
}
