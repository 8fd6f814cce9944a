//! Bitwarden's own command line, installed below `.tools/` for tests that run it beside ours.
#![allow(clippy::panic, reason = "a test helper fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command that runs this version of the official command line; arguments are yet to be added.
///
/// # Panics
/// When it cannot be installed, with what npm said: a peer that is not there must never look like a test that passed.
pub fn official(version: &str) -> Command {
    let folder = install(version);
    let mut command = Command::new(folder.join("node_modules/node/bin/node"));
    command.arg(folder.join("node_modules/@bitwarden/cli/build/bw.js"));
    command
}

fn install(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tools = root.join(".tools");
    fs::create_dir_all(&tools).unwrap_or_else(|e| panic!("cannot make {}: {e}", tools.display()));
    let lock = File::create(tools.join("bitwarden-cli.lock")).and_then(|file| file.lock().map(|()| file));
    let lock = lock.unwrap_or_else(|e| panic!("cannot lock {}: {e}", tools.display()));
    let folder = tools.join(format!("bitwarden-cli-{version}"));
    if !folder.join("complete").exists() {
        let output = Command::new(root.join("scripts/install-official-bw.sh"))
            .arg(version)
            .output()
            .unwrap_or_else(|e| panic!("cannot run scripts/install-official-bw.sh: {e}"));
        assert!(
            output.status.success(),
            "scripts/install-official-bw.sh {version} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    drop(lock);
    folder
}
