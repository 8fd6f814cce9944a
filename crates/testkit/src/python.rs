//! Python environments for tests that talk to real peers.
#![allow(clippy::panic, reason = "a test helper fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// The interpreter of a virtual environment with exactly the packages of a pinned requirements file.
///
/// The environment lies in `.tools/venv-HASH` under the workspace root, where HASH is taken over the file's bytes,
/// and is made once: test processes that want it at the same time wait for one another. It needs `python3` with
/// `venv`, and the network the first time.
///
/// # Panics
/// When the environment cannot be made, with what Python said: a peer that is not there must never look like a test
/// that passed.
pub fn venv(requirements: &Path) -> PathBuf {
    let bytes = fs::read(requirements)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", requirements.display()));
    let hash = Sha256::digest(&bytes).iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools");
    fs::create_dir_all(&tools).unwrap_or_else(|error| panic!("cannot make {}: {error}", tools.display()));

    let lock = File::create(tools.join(format!("venv-{hash:016x}.lock")))
        .and_then(|file| file.lock().map(|()| file));
    let lock = lock.unwrap_or_else(|error| panic!("cannot lock the folder {}: {error}", tools.display()));
    let folder = tools.join(format!("venv-{hash:016x}"));
    let (python, done) = (interpreter(&folder), folder.join("complete"));
    if !done.exists() {
        // Whatever an interrupted run has left is not trusted.
        let _ = fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"])
            .arg(requirements));
        File::create(&done).unwrap_or_else(|error| panic!("cannot write {}: {error}", done.display()));
    }
    drop(lock);
    python
}

fn interpreter(folder: &Path) -> PathBuf {
    if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed ({}): a test needs these packages\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
