//! `durward service`: the approver as a service of the user.

mod launchd;
mod systemd;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::owner::{OutputArgs, print};
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;

/// Run the approver as a service of your user, with systemd or, on macOS, launchd: it starts with your session, without
/// a terminal.
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
    /// Write the unit (systemd) or agent (launchd). Starting it is left to you, and the command for it is printed.
    #[command(after_help = "Examples:\n  durward service install\n  durward service install --print")]
    Install {
        /// Only print it on stdout; nothing is written.
        #[arg(long)]
        print: bool,
        /// Replace one that is there and differs.
        #[arg(long)]
        force: bool,
    },
    /// Remove the unit or agent. Data stays.
    #[command(after_help = "Examples:\n  durward service remove")]
    Remove,
    /// Whether it is there, and what systemd or launchd says of it.
    #[command(after_help = "Examples:\n  durward service status")]
    Status,
}

/// Who starts services of a user here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Systemd,
    Launchd,
}

/// What is started.
#[derive(Debug)]
struct Service {
    program: PathBuf,
    /// `DURWARD_HOME`, where it is set.
    home: Option<PathBuf>,
}

/// What the system says of a service; `None` where nobody answers.
struct Started {
    active: Option<String>,
    enabled: Option<String>,
}

impl Manager {
    fn here() -> Result<Self, CliError> {
        if cfg!(target_os = "linux") {
            return Ok(Self::Systemd);
        }
        if cfg!(target_os = "macos") {
            return Ok(Self::Launchd);
        }
        let text = "services are written for systemd and launchd; there is none for this system";
        Err(CliError::new(Exit::Other, "unsupported", text).hint("run `durward up` in a terminal"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
        }
    }

    fn path(self) -> Result<PathBuf, CliError> {
        match self {
            Self::Systemd => systemd::path(),
            Self::Launchd => launchd::path(),
        }
    }

    fn text(self, service: &Service) -> Result<String, CliError> {
        match self {
            Self::Systemd => systemd::text(service),
            Self::Launchd => launchd::text(service, &launchd::log()?),
        }
    }

    fn start(self, path: &Path) -> Result<String, CliError> {
        Ok(match self {
            Self::Systemd => systemd::START.to_owned(),
            Self::Launchd => launchd::start(path, &launchd::log()?),
        })
    }

    fn stop(self) -> String {
        match self {
            Self::Systemd => systemd::STOP.to_owned(),
            Self::Launchd => launchd::stop(),
        }
    }

    fn started(self) -> Started {
        match self {
            Self::Systemd => systemd::started(),
            Self::Launchd => launchd::started(),
        }
    }
}

impl Service {
    fn here() -> Result<Self, CliError> {
        let program = std::env::current_exe().map_err(|error| {
            CliError::new(Exit::Other, "no_program", format!("cannot find this program: {error}"))
        })?;
        let paths = Paths::discover()?;
        let absolute = || std::path::absolute(paths.data()).unwrap_or_else(|_| paths.data().clone());
        Ok(Self { program, home: paths.in_one_folder().then(absolute) })
    }
}

pub(crate) fn run(args: &ServiceArgs) -> CommandResult {
    act(args).map_err(|error| error.json(args.output.json))
}

fn act(args: &ServiceArgs) -> CommandResult {
    let (output, manager) = (args.output, Manager::here()?);
    match args.verb {
        Verb::Install { print: only_print, force } => {
            let text = manager.text(&Service::here()?)?;
            if only_print {
                return print(output, &json!({ "unit": text }), |_| text.trim_end().to_owned());
            }
            install(output, manager, &text, force)
        }
        Verb::Remove => remove(output, manager),
        Verb::Status => status(output, manager),
    }
}

fn install(output: OutputArgs, manager: Manager, text: &str, force: bool) -> CommandResult {
    let path = manager.path()?;
    let there = std::fs::read_to_string(&path).ok();
    if there.as_deref().is_some_and(|there| there != text) && !force {
        let text = format!("{} is there and differs", path.display());
        return Err(CliError::new(Exit::Other, "already_exists", text)
            .hint("`durward service install --print` shows the new one; --force replaces the old one"));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| durward_files::write_private(&path, text.as_bytes()))
        .map_err(|error| failed("write", &path, &error))?;
    let text = format!("Wrote {}. {}", path.display(), manager.start(&path)?);
    print(output, &json!({ "path": path }), |_| text)
}

fn remove(output: OutputArgs, manager: Manager) -> CommandResult {
    let path = manager.path()?;
    let was_there = match std::fs::remove_file(&path) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed("remove", &path, &error)),
    };
    print(output, &json!({ "path": path, "removed": was_there }), |_| {
        if was_there {
            format!("Removed {}. If it runs still:\n  {}", path.display(), manager.stop())
        } else {
            format!("There is no {}.", path.display())
        }
    })
}

fn status(output: OutputArgs, manager: Manager) -> CommandResult {
    let path = manager.path()?;
    let installed = path.exists();
    let up_to_date = std::fs::read_to_string(&path).ok() == Some(manager.text(&Service::here()?)?);
    let Started { active, enabled } = manager.started();
    let result = json!({
        "manager": manager.name(), "path": path, "installed": installed, "up_to_date": installed && up_to_date,
        "active": active, "enabled": enabled,
    });
    print(output, &result, |_| {
        let unit = match (installed, up_to_date) {
            (false, _) => "not installed; `durward service install` writes it",
            (true, true) => "installed",
            (true, false) => "installed, and not what this version writes",
        };
        let unknown = || format!("unknown (no {} answers)", manager.name());
        format!(
            "unit      {unit}\nfile      {}\nactive    {}\nenabled   {}",
            path.display(),
            active.clone().unwrap_or_else(unknown),
            enabled.clone().unwrap_or_else(unknown),
        )
    })
}

fn no_home() -> CliError {
    CliError::new(Exit::Other, "no_home", "cannot tell where your home folder is: HOME is not set")
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(Exit::Other, "service_failed", format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both managers are compiled everywhere; which one is used is the system's.
    #[test]
    fn where_it_lies() {
        let tail = |manager: Manager| manager.path().unwrap().display().to_string();
        assert!(tail(Manager::Systemd).ends_with("systemd/user/durward.service"));
        assert!(tail(Manager::Launchd).ends_with("Library/LaunchAgents/durward.approver.plist"));
        let service = Service { program: "/bin/durward".into(), home: None };
        let text = Manager::Launchd.text(&service).unwrap();
        assert!(text.contains("Library/Logs/durward.log</string>"), "{text}");
    }
}
