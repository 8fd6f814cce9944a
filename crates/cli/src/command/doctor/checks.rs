//! What is Durward's own: folders, settings, vault, keys, the process that runs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use durward_server::{Clock, Config, control::api};
use durward_vault::{Registry, VaultConfig};
use time::OffsetDateTime;
use time::macros::datetime;

use super::{Finding, system};

use crate::config::FileConfig;
use crate::control::{Control, Failure};
use crate::paths::Paths;
use crate::rest_key::{self, Choice, SystemKeyring};
use crate::settings::{self, ListenArgs};

/// No clock of a machine that runs this version is right before this.
const BUILT_AFTER: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

/// Every check, in the order a person would ask.
pub(super) async fn all(paths: &Paths, listen: &ListenArgs) -> Vec<Finding> {
    let version = env!("CARGO_PKG_VERSION");
    let mut found = vec![Finding::ok("version", format!("durward {version}"))];
    found.extend(system::folders(paths));
    let config = settings(paths, listen, &mut found);
    let running = daemon(paths, &mut found).await;
    if let (Some(config), None) = (&config, &running) {
        found.push(port("agent port", config.listen, "--listen ADDRESS:PORT or server.listen"));
        found.extend(
            config
                .control
                .map(|address| port("control port", address, "--control ADDRESS:PORT or server.control")),
        );
    }
    found.push(clock(paths));
    found.push(vault(paths));
    found.push(rest_key(paths));
    found.push(agents(paths));
    found.extend(system::process(running.as_ref().map(|status| status.pid)));
    found
}

fn settings(paths: &Paths, listen: &ListenArgs, found: &mut Vec<Finding>) -> Option<Config> {
    let read = FileConfig::load(&paths.config_file()).and_then(|file| settings::config(&file, listen));
    let config = match read {
        Ok(config) => {
            let there = if paths.config_file().exists() { "is good" } else { "is not there: defaults hold" };
            found.push(Finding::ok("config", format!("{} {there}", paths.config_file().display())));
            Some(config)
        }
        Err(error) => {
            found.push(Finding::problem(
                "config",
                error.message,
                "correct the file; `durward config check` reads it",
            ));
            None
        }
    };
    found.push(match durward_server::read_policy(&paths.policy_file()) {
        Ok(policy) if policy.rules().is_empty() => Finding::ok("policy", "no rules: every request asks"),
        Ok(policy) => Finding::ok("policy", format!("{} rules", policy.rules().len())),
        Err(error) => Finding::problem("policy", error, "correct the file; `durward policy check` reads it"),
    });
    config
}

async fn daemon(paths: &Paths, found: &mut Vec<Finding>) -> Option<api::Status> {
    let version = env!("CARGO_PKG_VERSION");
    let mut finding = |finding| {
        found.push(finding);
        None
    };
    match Control::at(paths.control_socket()).get::<api::Status>("/status").await {
        Ok(status) if status.version == version => {
            found.push(Finding::ok(
                "approver",
                format!("runs (pid {}), agents reach it at {}", status.pid, status.listen),
            ));
            Some(status)
        }
        Ok(status) => {
            let text = format!("version {} runs, this is {version}", status.version);
            found.push(Finding::advice("approver", text, "`durward down`, then start it again"));
            Some(status)
        }
        Err(Failure::NotRunning) => finding(Finding::advice(
            "approver",
            "none runs here",
            "`durward up`, or `durward service install`",
        )),
        Err(Failure::Refused(refusal)) => {
            finding(Finding::problem("approver", refusal.message, "restart it"))
        }
        Err(failure) => {
            let text = failure.to_string();
            let fix = format!("look at who made {}", paths.control_socket().display());
            finding(Finding::problem("approver", text, fix))
        }
    }
}

fn port(check: &'static str, address: SocketAddr, moved_by: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(check, format!("{address} is free")),
        Err(error) => {
            let fix = format!("stop what listens there, or move Durward with {moved_by}");
            Finding::problem(check, format!("{address} cannot be used: {error}"), fix)
        }
    }
}

/// Sessions and grants end by the clock, and envelopes that are five minutes off are refused.
fn clock(paths: &Paths) -> Finding {
    let now = Clock::system().now().wall;
    let shown = now.replace_nanosecond(0).unwrap_or(now);
    let fix = "set the clock, for example with `timedatectl set-ntp true`";
    if now < BUILT_AFTER {
        return Finding::problem("clock", format!("it says {shown}, which is long ago"), fix);
    }
    let written = std::fs::metadata(paths.data().join("durward.db")).and_then(|metadata| metadata.modified());
    if written.is_ok_and(|written| OffsetDateTime::from(written) > now + time::Duration::minutes(5)) {
        return Finding::problem(
            "clock",
            format!("it says {shown}, and the store was written later than that"),
            fix,
        );
    }
    Finding::ok("clock", "plausible")
}

fn vault(paths: &Paths) -> Finding {
    let registry = match Registry::load(&paths.vaults_file()) {
        Ok(registry) => registry,
        Err(error) => return Finding::problem("vault", error.to_string(), "correct vaults.toml"),
    };
    let name = registry.in_use().to_owned();
    let vault = match registry.vault(&name, paths.data()) {
        Ok(vault) => vault,
        Err(error) => {
            return Finding::problem("vault", error.to_string(), "`durward vault use` chooses another");
        }
    };
    let info = vault.describe();
    if !info.exists {
        let text = format!("{name}: there is nothing at {}", info.location);
        return Finding::advice("vault", text, "`durward vault init` makes one");
    }
    let builtin = registry.iter().any(|(n, c)| n == name && matches!(c, VaultConfig::Builtin { .. }));
    if builtin && let Err(error) = begins_like_age(Path::new(&info.location)) {
        let fix =
            format!("restore it from a backup; {}.bak is the version before the last change", info.location);
        return Finding::problem("vault", format!("{}: {error}", info.location), fix);
    }
    Finding::ok("vault", format!("{name} ({}) at {}", info.provider, info.location))
}

fn begins_like_age(path: &Path) -> Result<(), String> {
    use std::io::Read as _;
    let mut start = [0; 22];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match read {
        Ok(()) if start.starts_with(b"age-encryption.org/v1\n") => Ok(()),
        Ok(()) => Err("it is not a vault file".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn rest_key(paths: &Paths) -> Finding {
    let check = "rest key";
    let choice = match Choice::read(paths) {
        Ok(choice) => choice,
        Err(error) => return Finding::problem(check, error.message, "say auto, keyring or file"),
    };
    let keys = paths.data().join("keys");
    let marker = match rest_key::read_marker(&keys.join(rest_key::MARKER)) {
        Ok(marker) => marker,
        Err(error) => return Finding::problem(check, error.0, "restore the folder from a backup"),
    };
    let in_file = keys.join("rest.key").exists();
    if in_file {
        let text = format!("in the file {}", keys.join("rest.key").display());
        return match choice {
            Choice::Keyring => {
                Finding::advice(check, text, "the next start of the approver moves it into the keyring")
            }
            _ => Finding::ok(check, text),
        };
    }
    if marker.is_none() && choice == Choice::File {
        return Finding::ok(check, "none yet; it will lie in a file");
    }
    match (marker.is_some(), SystemKeyring::answers()) {
        (true, Ok(())) => Finding::ok(check, "in the keyring"),
        (false, Ok(())) => Finding::ok(check, "none yet; the keyring answers and will keep it"),
        (false, Err(error)) if choice == Choice::Auto => {
            Finding::ok(check, format!("none yet; it will lie in a file: {error}"))
        }
        (_, Err(error)) => Finding::problem(
            check,
            format!("the keyring does not answer: {error}"),
            "unlock it, or start from a session that has one",
        ),
    }
}

/// Profiles of agents beside the owner's data: both run as one user.
fn agents(paths: &Paths) -> Finding {
    let profiles = std::fs::read_dir(paths.agents()).map_or(0, |entries| {
        entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()
    });
    let owner = paths.data().join("vault.age").exists();
    if profiles == 0 || !owner {
        return Finding::ok("agents", "none run as the vault's user, as far as the data folder shows");
    }
    Finding::advice(
        "agents",
        format!("{profiles} agent profiles lie beside the vault: those agents run as you"),
        "run agents as another user or in a container: what runs as you can read your files and answer for you",
    )
}
