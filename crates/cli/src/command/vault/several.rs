//! `durward vault use`, `connect`, `disconnect`, `path`: several vaults, one of them in use.

use std::path::PathBuf;

use clap::Args;
use durward_vault::{CommandConfig, Registry, VaultConfig, VaultInfo};
use serde::Serialize;
use serde_json::json;

use super::access::{Common, explain};
#[cfg(feature = "bitwarden")]
use crate::env_vars;
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::terminal;

/// Choose the vault in use; without a name, list the vaults.
///
/// A running approver asks the vault in use from the next request on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward vault use\n  durward vault use work")]
pub(crate) struct UseArgs {
    /// The vault.
    name: Option<String>,
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// What Durward itself can read besides its own file.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ProviderWord {
    /// The account that `bw login` logged in to, at Bitwarden or Vaultwarden.
    Bitwarden,
}

/// Give a vault a name: another built-in one, a Bitwarden account, or a program that prints credentials as JSON.
///
/// For a Bitwarden account log in once with `bw login`; each approval then asks for the master password.
///
/// The program learns the domain in $DURWARD_DOMAIN, and in an argument that is exactly {domain}. It prints
/// {"username":…,"password":…,"totp":…} or a list of such objects; nothing means that it has none. It runs
/// without a shell, is stopped after its time limit, and may print 1 MiB. Secrets do not belong into its arguments.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward vault connect home --file ~/home.age\n  durward vault connect work --preset rbw\n  \
    durward vault connect bitwarden --provider bitwarden --use\n  \
    durward vault connect team -- /usr/local/bin/team-secret {domain}\n  durward vault use team"
)]
pub(crate) struct ConnectArgs {
    /// Its name: 1 to 64 letters, digits, dots, dashes and underscores.
    name: String,
    /// A built-in vault in this file; `durward vault init --vault NAME` makes it.
    #[arg(long, conflicts_with_all = ["preset", "command"])]
    file: Option<PathBuf>,
    /// Read this provider's vault, without a program in between.
    #[arg(long, value_enum, conflicts_with_all = ["file", "preset", "command", "password_on_stdin", "timeout", "absent_text"])]
    provider: Option<ProviderWord>,
    /// The folder with the provider's data.json [default: $BITWARDENCLI_APPDATA_DIR, else where Bitwarden keeps it].
    #[arg(long, value_name = "FOLDER", requires = "provider")]
    folder: Option<PathBuf>,
    /// A PEM file with certificates to trust beside the system's, for a server of one's own.
    #[arg(long, value_name = "FILE", requires = "provider")]
    extra_ca: Option<PathBuf>,
    /// A proxy for the provider's calls, as a URL with its port.
    #[arg(long, value_name = "URL", requires = "provider")]
    proxy: Option<String>,
    /// A program whose arguments are known: bw or rbw.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "command")]
    preset: Option<String>,
    /// Ask for the program's password and give it to it on stdin.
    #[arg(long, conflicts_with = "file")]
    password_on_stdin: bool,
    /// Stop the program after so many seconds [default: 30].
    #[arg(long, value_name = "SECONDS", conflicts_with = "file")]
    timeout: Option<u64>,
    /// A text on the program's stderr that means "there is no such credential".
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    absent_text: Option<String>,
    /// Choose it at once.
    #[arg(long = "use")]
    choose: bool,
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
    /// The program and its arguments, after `--`.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Forget the name of a vault. What it holds stays where it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  durward vault disconnect team")]
pub(crate) struct DisconnectArgs {
    /// The vault; not the one in use.
    name: String,
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Print where the vault's file is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  age -d \"$(durward vault path)\"")]
pub(crate) struct PathArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Listed {
    in_use: bool,
    #[serde(flatten)]
    info: VaultInfo,
}

pub(super) fn choose(args: &UseArgs) -> CommandResult {
    use_or_list(args).map_err(|error| error.json(args.json))
}

fn use_or_list(args: &UseArgs) -> CommandResult {
    let paths = Paths::discover()?;
    if let Some(name) = &args.name {
        Registry::edit(&paths.vaults_file(), |registry| registry.select(name)).map_err(explain)?;
        done(args.json, name, &format!("The vault in use is {name}."));
        return Ok(Exit::success());
    }
    let registry = Registry::load(&paths.vaults_file()).map_err(explain)?;
    let mut list = Vec::new();
    for (name, _) in registry.iter() {
        let info = registry.vault(name, paths.data()).map_err(explain)?.describe();
        list.push(Listed { in_use: name == registry.in_use(), info });
    }
    if args.json {
        terminal::json(&json!({ "success": true, "vaults": list }));
    } else {
        terminal::table(&["USE", "NAME", "PROVIDER", "LOCATION"], list.iter().map(row));
    }
    Ok(Exit::success())
}

fn row(listed: &Listed) -> Vec<String> {
    let mark = if listed.in_use { "*" } else { "" };
    let missing = if listed.info.exists { "" } else { " (not there)" };
    vec![
        mark.to_owned(),
        listed.info.name.clone(),
        listed.info.provider.to_owned(),
        format!("{}{missing}", listed.info.location),
    ]
}

pub(super) fn connect(args: &ConnectArgs) -> CommandResult {
    add(args).map_err(|error| error.json(args.json))
}

fn add(args: &ConnectArgs) -> CommandResult {
    let config = config(args)?;
    let paths = Paths::discover()?;
    Registry::edit(&paths.vaults_file(), |registry| {
        registry.add(&args.name, config)?;
        if args.choose { registry.select(&args.name) } else { Ok(()) }
    })
    .map_err(explain)?;
    let next = if args.choose { " and chose" } else { "" };
    done(args.json, &args.name, &format!("Added{next} the vault {}.", args.name));
    Ok(Exit::success())
}

fn config(args: &ConnectArgs) -> Result<VaultConfig, CliError> {
    if let Some(ProviderWord::Bitwarden) = args.provider {
        return bitwarden(args);
    }
    if let Some(file) = &args.file {
        // Relative to where the person stands, not to the data folder.
        let path = std::path::absolute(file).map_err(|error| {
            CliError::new(Exit::Usage, "usage", format!("{} is no path: {error}", file.display()))
        })?;
        return Ok(VaultConfig::Builtin { path });
    }
    let mut config = match (&args.preset, args.command.split_first()) {
        (Some(name), _) => CommandConfig::preset(name).ok_or_else(|| {
            let known: Vec<&str> = CommandConfig::preset_names().collect();
            let text = format!("there is no preset {name:?}; known: {}", known.join(", "));
            CliError::new(Exit::Usage, "unknown_preset", text)
        })?,
        (None, Some((program, arguments))) => CommandConfig::new(program, arguments.to_vec()),
        (None, None) => {
            let text = "say what the vault is: --file FILE, --provider bitwarden, --preset PROGRAM, or a command after `--`";
            return Err(CliError::new(Exit::Usage, "usage", text));
        }
    };
    config.password_stdin = config.password_stdin || args.password_on_stdin;
    config.timeout_seconds = args.timeout.unwrap_or(config.timeout_seconds);
    config.absent_text = args.absent_text.clone().or(config.absent_text);
    Ok(VaultConfig::Command(config))
}

#[cfg(not(feature = "bitwarden"))]
fn bitwarden(_: &ConnectArgs) -> Result<VaultConfig, CliError> {
    let text = "this durward was built without Bitwarden; use --preset bw with Bitwarden's own program";
    Err(CliError::new(Exit::Usage, "unknown_provider", text))
}

#[cfg(feature = "bitwarden")]
fn bitwarden(args: &ConnectArgs) -> Result<VaultConfig, CliError> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).map_err(|error| {
            CliError::new(Exit::Usage, "usage", format!("{} is no path: {error}", path.display()))
        })
    };
    let folder = args.folder.clone().or_else(bitwarden_folder).ok_or_else(|| {
        CliError::new(Exit::Usage, "usage", "say where Bitwarden's data.json lies: --folder FOLDER")
    })?;
    let extra_ca = args.extra_ca.as_ref().map(absolute).transpose()?;
    if let Some(file) = &extra_ca {
        std::fs::read(file).map_err(|error| {
            CliError::new(Exit::Usage, "usage", format!("--extra-ca {}: {error}", file.display()))
        })?;
    }
    if let Some(proxy) = args.proxy.as_ref().filter(|proxy| !proxy.contains("://")) {
        let text = format!("--proxy {proxy}: write the whole address, such as http://proxy.example:3128");
        return Err(CliError::new(Exit::Usage, "usage", text));
    }
    let path = absolute(&folder)?;
    if !path.join("data.json").exists() {
        terminal::note(&format!(
            "There is no data.json in {} yet: log in with `bw login` before the first approval.",
            path.display()
        ));
    }
    Ok(VaultConfig::Bitwarden(durward_vault::BitwardenConfig { path, extra_ca, proxy: args.proxy.clone() }))
}

/// Where Bitwarden's programs keep their data when nobody says otherwise.
#[cfg(feature = "bitwarden")]
fn bitwarden_folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    if let Some(folder) =
        std::env::var_os(env_vars::BITWARDENCLI_APPDATA_DIR).filter(|value| !value.is_empty())
    {
        return Some(folder.into());
    }
    let strategy = etcetera::base_strategy::choose_native_strategy().ok()?;
    let base = if cfg!(target_os = "macos") { strategy.data_dir() } else { strategy.config_dir() };
    Some(base.join("Bitwarden CLI"))
}

pub(super) fn disconnect(args: &DisconnectArgs) -> CommandResult {
    let forget = || {
        let paths = Paths::discover()?;
        Registry::edit(&paths.vaults_file(), |registry| registry.remove(&args.name)).map_err(explain)?;
        done(args.json, &args.name, &format!("Forgot the vault {}; what it holds is untouched.", args.name));
        Ok(Exit::success())
    };
    forget().map_err(|error: CliError| error.json(args.json))
}

fn done(json: bool, name: &str, text: &str) {
    if json {
        terminal::json(&json!({ "success": true, "vault": name }));
    } else {
        terminal::note(text);
    }
}

pub(super) fn path(args: &PathArgs) -> CommandResult {
    let vault = args.common.builtin().map_err(|error| error.json(args.common.json))?;
    if args.common.json {
        let answer = json!({
            "success": true,
            "path": vault.path().display().to_string(),
            "backup": vault.backup_path().display().to_string(),
            "exists": vault.exists(),
        });
        terminal::json(&answer);
    } else {
        terminal::out(&vault.path().display().to_string());
    }
    Ok(Exit::success())
}
