//! `durward service`: the approver as a service of the user.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};
use etcetera::{BaseStrategy as _, choose_base_strategy};
use serde_json::json;

use super::owner::{OutputArgs, print};
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;

const UNIT: &str = "durward.service";

/// Run the approver as a systemd service of your user: it starts with your session, without a terminal.
///
/// The service holds no vault password: a request asks for it, in `durward approve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward service install --print\n  durward service install\n  \
    durward service status\n  durward service remove")]
pub(crate) struct ServiceArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the unit. Starting it is left to you, and the command for it is printed.
    Install {
        /// Only print the unit on stdout; nothing is written.
        #[arg(long)]
        print: bool,
        /// Replace a unit that is there and differs.
        #[arg(long)]
        force: bool,
    },
    /// Remove the unit. Data stays.
    Remove,
    /// Whether the unit is there, and what systemd says of it.
    Status,
}

pub(crate) fn run(args: &ServiceArgs) -> CommandResult {
    act(args).map_err(|error| error.json(args.output.json))
}

fn act(args: &ServiceArgs) -> CommandResult {
    let output = args.output;
    if !cfg!(target_os = "linux") && !matches!(args.verb, Verb::Install { print: true, .. }) {
        let text = "only systemd's units are written so far; there is none for launchd or Windows";
        return Err(CliError::new(Exit::Other, "unsupported", text).hint(
            "on macOS start `durward serve` from a launch agent of yours, or run `durward up` in a terminal",
        ));
    }
    match args.verb {
        Verb::Install { print: only_print, force } => {
            let unit = unit()?;
            if only_print {
                return print(output, &json!({ "unit": unit }), |_| unit.trim_end().to_owned());
            }
            install(output, &unit, force)
        }
        Verb::Remove => remove(output),
        Verb::Status => status(output),
    }
}

fn install(output: OutputArgs, unit: &str, force: bool) -> CommandResult {
    let path = unit_path()?;
    let there = std::fs::read_to_string(&path).ok();
    if there.as_deref().is_some_and(|there| there != unit) && !force {
        let text = format!("{} is there and differs", path.display());
        return Err(CliError::new(Exit::Other, "already_exists", text)
            .hint("`durward service install --print` shows the new one; --force replaces the old one"));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| durward_server::write_private(&path, unit.as_bytes()))
        .map_err(|error| failed("write", &path, &error))?;
    let text = format!(
        "Wrote {}. Start it, now and with each session:\n  systemctl --user daemon-reload\n  \
        systemctl --user enable --now durward\nIts log: journalctl --user -u durward",
        path.display()
    );
    print(output, &json!({ "success": true, "path": path }), |_| text)
}

fn remove(output: OutputArgs) -> CommandResult {
    let path = unit_path()?;
    let was_there = match std::fs::remove_file(&path) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed("remove", &path, &error)),
    };
    print(output, &json!({ "success": true, "path": path, "removed": was_there }), |_| {
        if was_there {
            format!(
                "Removed {}. If it runs still:\n  systemctl --user disable --now durward\n  systemctl --user daemon-reload",
                path.display()
            )
        } else {
            format!("There is no {}.", path.display())
        }
    })
}

fn status(output: OutputArgs) -> CommandResult {
    let path = unit_path()?;
    let installed = path.exists();
    let up_to_date = std::fs::read_to_string(&path).ok() == Some(unit()?);
    let said = |what: &str| {
        let asked = Command::new("systemctl").args(["--user", what, UNIT]).output().ok()?;
        let word = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
        (!word.is_empty() && word.len() < 40).then_some(word)
    };
    let (active, enabled) = (said("is-active"), said("is-enabled"));
    let result = json!({
        "path": path, "installed": installed, "up_to_date": installed && up_to_date,
        "active": active, "enabled": enabled,
    });
    print(output, &result, |_| {
        let unit = match (installed, up_to_date) {
            (false, _) => "not installed; `durward service install` writes it",
            (true, true) => "installed",
            (true, false) => "installed, and not what this version writes",
        };
        let unknown = || "unknown (no systemd answers)".to_owned();
        format!(
            "unit      {unit}\nfile      {}\nactive    {}\nenabled   {}",
            path.display(),
            active.clone().unwrap_or_else(unknown),
            enabled.clone().unwrap_or_else(unknown),
        )
    })
}

fn unit_path() -> Result<PathBuf, CliError> {
    let base = choose_base_strategy().map_err(|_| {
        CliError::new(Exit::Other, "no_home", "cannot tell where your home folder is: HOME is not set")
    })?;
    Ok(base.config_dir().join("systemd/user").join(UNIT))
}

/// The unit: this program, this folder, and no more of the system than it needs.
fn unit() -> Result<String, CliError> {
    let program = std::env::current_exe().map_err(|error| {
        CliError::new(Exit::Other, "no_program", format!("cannot find this program: {error}"))
    })?;
    let paths = Paths::discover()?;
    let home = if paths.in_one_folder() {
        let folder = std::path::absolute(paths.data()).unwrap_or_else(|_| paths.data().clone());
        format!("Environment={}\n", quoted(&format!("DURWARD_HOME={}", folder.display()))?)
    } else {
        String::new()
    };
    let program = quoted(&program.display().to_string())?;
    Ok(format!(
        "# Written by `durward service install`.\n\
        [Unit]\n\
        Description=Durward approver\n\
        Documentation=man:durward(1)\n\
        \n\
        [Service]\n\
        {home}ExecStart={program} serve\n\
        Restart=on-failure\n\
        UMask=0077\n\
        LimitCORE=0\n\
        NoNewPrivileges=yes\n\
        LockPersonality=yes\n\
        RestrictRealtime=yes\n\
        RestrictSUIDSGID=yes\n\
        RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n\
        SystemCallArchitectures=native\n\
        \n\
        [Install]\n\
        WantedBy=default.target\n"
    ))
}

/// A word as systemd reads it: quoted, with its specifiers and variables escaped.
fn quoted(word: &str) -> Result<String, CliError> {
    if word.chars().any(char::is_control) {
        let text = format!("{} has control characters in it, which a unit cannot hold", word.escape_debug());
        return Err(CliError::new(Exit::Usage, "bad_path", text));
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-=".contains(&b);
    Ok(if word.bytes().all(plain) { escaped } else { format!("\"{escaped}\"") })
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(Exit::Other, "service_failed", format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_unit() {
        for (word, quoted_word) in [
            ("/usr/bin/durward", "/usr/bin/durward"),
            ("/home/a b/durward", "\"/home/a b/durward\""),
            ("/x%h\"$y\\z", "\"/x%%h\\\"$$y\\\\z\""),
        ] {
            assert_eq!(quoted(word).unwrap(), quoted_word);
        }
        assert!(quoted("a\nExecStartPre=rm").is_err());
    }
}
