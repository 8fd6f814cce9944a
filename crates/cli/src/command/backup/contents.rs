//! What is in a backup, by name.

use std::path::{Component, Path, PathBuf};

use durward_protocol::base64url_encode;
use durward_server::Home;
use durward_vault::{Registry, VaultConfig};
use zeroize::Zeroizing;

use super::MAX_BYTES;
use super::archive::Entry;
use crate::config::FileConfig;
use crate::env_vars;
use crate::exit::{CliError, Exit};
use crate::paths::Paths;
use crate::rest_key;

/// The database's name in the archive.
pub(super) const DATABASE: &str = "data/durward.db";
/// The rest key's.
pub(super) const REST_KEY: &str = "data/keys/rest.key";

const CONFIG: [&str; 3] = ["config.toml", "policy.toml", "vaults.toml"];

/// What goes into the archive, and what does not, in words.
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    pub(super) left_out: Vec<String>,
}

/// Reads everything. `keys`: also what opens something by itself.
pub(super) async fn gather(paths: &Paths, keys: bool) -> Result<Contents, CliError> {
    let mut contents = Contents { entries: Vec::new(), left_out: Vec::new() };
    for name in CONFIG {
        contents.file(&format!("config/{name}"), &paths.config().join(name))?;
    }
    contents.vaults(paths)?;
    contents.folder(paths.data(), "agents", &|name| !name.starts_with('.') && !is_a(name, "lock"))?;
    // Without these files the restored daemon would take its peers for unpaired.
    contents.folder(paths.data(), "sync", &|name| !name.starts_with('.'))?;
    if keys {
        contents.keys(paths)?;
    } else {
        contents.left_out.push("rest keys, keys of devices and of TLS (it is not encrypted)".into());
    }
    if std::env::var_os(env_vars::DURWARD_DATABASE_URL).is_some_and(|url| !url.is_empty()) {
        contents.left_out.push("the database of DURWARD_DATABASE_URL: its own tools copy it".into());
    }
    let home = Home::open(paths.data()).map_err(|error| failed(&error))?;
    if home.database().exists() {
        // A folder of its own: the copy is private from its first byte.
        let scratch = Scratch::make(paths.data())?;
        let copy = scratch.0.join("durward.db");
        durward_store::copy_sqlite(&home.database(), &copy).await.map_err(|error| failed(&error))?;
        contents.file(DATABASE, &copy)?;
    }
    Ok(contents)
}

/// Where the names of an archive belong.
pub(super) struct Places<'a> {
    paths: &'a Paths,
    /// Whether somebody who knew a password made the archive. Else anybody may have, and it holds no keys.
    encrypted: bool,
    /// Vault files, as the archive's own vaults.toml names them.
    vaults: Vec<String>,
}

/// Folders and files of the data folder that no vault lies in.
const RESERVED: [&str; 9] =
    ["agents", "device-keys", "durward.db", "durward.lock", "keys", "run", "sync", "tls", "tokens"];

impl<'a> Places<'a> {
    pub(super) fn new(paths: &'a Paths, entries: &[Entry], encrypted: bool) -> Self {
        let registry = entries.iter().find(|entry| entry.name == "config/vaults.toml");
        let registry = registry.and_then(|entry| std::str::from_utf8(&entry.bytes).ok());
        let registry = registry.and_then(|text| Registry::parse(text).ok()).unwrap_or_default();
        let builtin = |config: &VaultConfig| match config {
            VaultConfig::Builtin { path } => path.to_str().map(str::to_owned),
            _ => None,
        };
        Self { paths, encrypted, vaults: registry.iter().filter_map(|(_, config)| builtin(config)).collect() }
    }

    /// `None`: nowhere, it is not one of ours.
    pub(super) fn of(&self, name: &str) -> Option<PathBuf> {
        let (root, inside) = name.split_once('/')?;
        let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
        if inside.is_empty() || !Path::new(inside).components().all(normal) {
            return None;
        }
        match root {
            "config" => CONFIG.contains(&inside).then(|| self.paths.config().join(inside)),
            "data" => self.is_data(inside).then(|| self.paths.data().join(inside)),
            _ => None,
        }
    }

    /// By name, each as [`gather`] writes it: a file system may take `Tokens` for `tokens`.
    fn is_data(&self, inside: &str) -> bool {
        let Some((folder, rest)) = inside.split_once('/') else {
            return inside == "durward.db" || self.is_vault(inside);
        };
        match folder {
            "sync" => true,
            "agents" => !is_key(&format!("data/{inside}")) || self.encrypted,
            "tls" | "device-keys" => self.encrypted,
            "keys" => {
                self.encrypted && (["rest.key", "local.key"].contains(&rest) || rest.starts_with("retired/"))
            }
            _ => self.is_vault(inside),
        }
    }

    fn is_vault(&self, inside: &str) -> bool {
        let first = inside.split('/').next().unwrap_or_default().to_ascii_lowercase();
        let token = inside.to_ascii_lowercase().ends_with(".token");
        let named = |vault: &String| inside == vault || inside.strip_suffix(".bak") == Some(vault);
        !token
            && !first.starts_with("durward.db")
            && !RESERVED.contains(&first.as_str())
            && self.vaults.iter().any(named)
    }
}

/// Whether a file of an archive opens something by itself.
pub(super) fn is_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let inside = name.strip_prefix("data/").unwrap_or(&name);
    let folders = ["keys/", "tls/", "device-keys/", "tokens/", "agents/.keys/"];
    folders.iter().any(|folder| inside.starts_with(folder))
        || name.strip_suffix(".token").is_some()
        || name.ends_with("/rest.key")
}

/// What of an archive acts without being asked again, in words: programs that would be started, rules that release.
pub(super) fn acting(entries: &[Entry]) -> Result<Vec<String>, String> {
    let text = |name: &str| {
        let entry = entries.iter().find(|entry| entry.name == name);
        entry
            .map(|entry| std::str::from_utf8(&entry.bytes).map_err(|_| format!("{name} is no text")))
            .transpose()
    };
    let mut found = Vec::new();
    if let Some(text) = text("config/config.toml")? {
        let config = FileConfig::parse_briefly(text).map_err(|error| format!("config.toml: {error}"))?;
        let commands = [
            ("notify.command", &config.notify.command),
            ("server.alert_command", &config.server.alert_command),
        ];
        let words = |command: &Vec<String>| command.join(" ");
        found.extend(
            commands
                .iter()
                .filter_map(|(key, command)| Some(format!("{key} runs {}", words(command.as_ref()?)))),
        );
    }
    if let Some(text) = text("config/vaults.toml")? {
        let registry = Registry::parse(text).map_err(|error| format!("vaults.toml: {error}"))?;
        let others = registry.iter().filter(|(_, config)| !matches!(config, VaultConfig::Builtin { .. }));
        found.extend(others.map(|(name, _)| format!("the vault {name} asks another program or server")));
    }
    if text("config/policy.toml")?.is_some_and(|text| !text.trim().is_empty()) {
        found.push("policy.toml has rules that may release without asking you".into());
    }
    Ok(found)
}

fn is_a(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == ending)
}

impl Contents {
    fn file(&mut self, name: &str, path: &Path) -> Result<(), CliError> {
        let cannot = |error: &dyn std::fmt::Display| {
            let text = format!("cannot read {}: {error}", path.display());
            CliError::new(Exit::Other, "backup_failed", text)
        };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(cannot(&error)),
        };
        let so_far: u64 = self.entries.iter().map(|entry| entry.bytes.len() as u64).sum();
        if so_far + metadata.len() > MAX_BYTES {
            let text = "there is more than 1 GiB to back up: stop the approver and copy the folder instead";
            return Err(CliError::new(Exit::Other, "too_large", text));
        }
        let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| cannot(&error))?);
        self.entries.push(Entry { name: name.to_owned(), bytes });
        Ok(())
    }

    /// Files in a folder of the data folder and in the folders in it, by name.
    fn folder(&mut self, data: &Path, inside: &str, wanted: &dyn Fn(&str) -> bool) -> Result<(), CliError> {
        let Ok(entries) = std::fs::read_dir(data.join(inside)) else { return Ok(()) };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| wanted(name));
        names.sort();
        for name in names {
            let path = format!("{inside}/{name}");
            // What a link leads to is not ours.
            let kind = data.join(&path).symlink_metadata().map_err(|error| failed(&error))?.file_type();
            if kind.is_dir() {
                self.folder(data, &path, wanted)?;
            } else if kind.is_file() {
                self.file(&format!("data/{path}"), &data.join(&path))?;
            }
        }
        Ok(())
    }

    fn vaults(&mut self, paths: &Paths) -> Result<(), CliError> {
        let registry = Registry::load(&paths.vaults_file()).map_err(|error| failed(&error))?;
        for (name, config) in registry.iter() {
            let VaultConfig::Builtin { path } = config else {
                self.left_out.push(format!("what the vault {name} holds: its own program keeps it"));
                continue;
            };
            let Some(inside) = path.to_str().filter(|_| path.is_relative()) else {
                self.left_out.push(format!("the vault {name}: it lies elsewhere, at {}", path.display()));
                continue;
            };
            self.file(&format!("data/{inside}"), &paths.data().join(path))?;
            let backup = format!("{inside}.bak");
            self.file(&format!("data/{backup}"), &paths.data().join(&backup))?;
        }
        Ok(())
    }

    fn keys(&mut self, paths: &Paths) -> Result<(), CliError> {
        // From wherever it lies; in a backup it is a file.
        if let Some(key) = rest_key::of_approver(paths)?.load().map_err(|error| failed(&error))? {
            let text = base64url_encode(key.expose_bytes());
            self.entries.push(Entry { name: REST_KEY.into(), bytes: Zeroizing::new(text.into_bytes()) });
        }
        if let Some(key) = rest_key::of_agents_here(paths)?.load().map_err(|error| failed(&error))? {
            let name = "data/agents/.keys/rest.key".into();
            self.entries.push(Entry { name, bytes: Zeroizing::new(key.expose_bytes().to_vec()) });
        }
        self.file("data/keys/local.key", &paths.data().join("keys").join("local.key"))?;
        for folder in ["tls", "device-keys", "keys/retired"] {
            self.folder(paths.data(), folder, &|name| !name.starts_with('.'))?;
        }
        Ok(())
    }
}

/// A folder that is gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make(data: &Path) -> Result<Self, CliError> {
        let path = data.join(format!(".backup-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path); // of a process that was killed and had this id
        durward_files::create_private_dir(&path).map_err(|error| failed(&error))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn failed(error: &impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Other, "backup_failed", error.to_string())
}
