//! What the system says: modes of files, limits of the process, swap.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::harden;
use crate::paths::Paths;

/// Folders and files: ours, and nobody else's to read.
pub(super) fn folders(paths: &Paths) -> Vec<Finding> {
    let mut found = Vec::new();
    let folders = if paths.in_one_folder() { vec![paths.data()] } else { vec![paths.config(), paths.data()] };
    for folder in folders {
        found.push(match mode_problem(folder, true) {
            None if folder.exists() => Finding::ok("folder", format!("{} is yours alone", folder.display())),
            None => Finding::ok("folder", format!("{} is not there yet", folder.display())),
            Some((text, fix)) => Finding::problem("folder", text, fix),
        });
    }
    let files = private_files(paths);
    let problems: Vec<Finding> = files
        .iter()
        .filter_map(|(path, folder)| mode_problem(path, *folder))
        .map(|(text, fix)| Finding::problem("files", text, fix))
        .collect();
    if problems.is_empty() {
        let count = files.iter().filter(|(path, _)| path.exists()).count();
        found.push(Finding::ok("files", format!("{count} private files and folders are private")));
    }
    found.extend(problems);
    found
}

/// What must be private, and whether it is a folder. `agents/` and `tokens/` are gone through one level deep.
fn private_files(paths: &Paths) -> Vec<(PathBuf, bool)> {
    let data = paths.data();
    let named = [
        ("durward.db", false),
        ("durward.db-wal", false),
        ("durward.db-shm", false),
        ("vault.age", false),
        ("vault.age.bak", false),
        ("keys", true),
        ("keys/rest.key", false),
        ("api.token", false),
        ("pair.token", false),
        ("spake.token", false),
        ("run", true),
        ("run/control.sock", false),
        ("agents", true),
        ("agents/.keys", true),
        ("agents/.keys/rest.key", false),
        ("tokens", true),
        ("device-keys", true),
    ];
    let mut files: Vec<(PathBuf, bool)> = named.map(|(name, folder)| (data.join(name), folder)).to_vec();
    for folder in ["agents", "tokens", "device-keys"] {
        let Ok(entries) = std::fs::read_dir(data.join(folder)) else { continue };
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        files.extend(inside.into_iter().map(|path| {
            let is_folder = path.is_dir();
            (path, is_folder)
        }));
    }
    files
}

/// What is wrong with owner or mode, and the command that mends it.
#[cfg(unix)]
fn mode_problem(path: &Path, folder: bool) -> Option<(String, String)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = path.symlink_metadata().ok()?;
    let me = nix::unistd::geteuid().as_raw();
    let shown = path.display();
    if metadata.is_symlink() {
        return None; // somebody's choice; what it leads to is looked at by its own name
    }
    if metadata.uid() != me {
        let text = format!("{shown} belongs to user {}, and you are {me}", metadata.uid());
        return Some((text, format!("find out why; if it should be yours: sudo chown {me} '{shown}'")));
    }
    let mode = metadata.mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let right = if folder { "700" } else { "600" };
        (format!("{shown} has mode {mode:o}: others may use it"), format!("chmod {right} '{shown}'"))
    })
}

#[cfg(not(unix))]
fn mode_problem(_path: &Path, _folder: bool) -> Option<(String, String)> {
    None // access lists are not looked at
}

/// Core dumps, tracing and swap: of the approver that runs, or of what it would get.
pub(super) fn process(pid: Option<u32>) -> Vec<Finding> {
    if !cfg!(target_os = "linux") {
        let fix = "use an encrypted disk and encrypted swap";
        return vec![Finding::advice("process", "limits of the process are looked at on Linux only", fix)];
    }
    vec![core_dumps(pid), tracing(), memory()]
}

fn core_dumps(pid: Option<u32>) -> Finding {
    let Some(pid) = pid else {
        return Finding::ok("core dumps", "the approver switches them off when it starts");
    };
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    match line.map(|line| line.split_whitespace().nth(4)) {
        Some(Some("0")) => Finding::ok("core dumps", "off in the approver that runs"),
        Some(_) => Finding::problem(
            "core dumps",
            "the approver that runs would write its memory to a core file",
            "restart it, and look for a warning in its log",
        ),
        None => Finding::ok("core dumps", "the limits of the approver cannot be read from here"),
    }
}

fn tracing() -> Finding {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        "1" | "2" | "3" => Finding::ok("tracing", "the approver forbids it, and so does the kernel"),
        _ => Finding::advice(
            "tracing",
            "the approver forbids it; commands that ask you for a password can be traced by programs of yours",
            "sudo sysctl kernel.yama.ptrace_scope=1, where the kernel has it",
        ),
    }
}

fn memory() -> Finding {
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let swap = swaps.lines().skip(1).any(|line| !line.trim().is_empty());
    if !swap {
        return Finding::ok("memory", "there is no swap that keys could reach");
    }
    if harden::memory_may_be_locked() {
        return Finding::ok("memory", "the approver locks its memory");
    }
    Finding::advice(
        "memory",
        "the approver may not lock its memory, so that keys may reach the swap",
        "encrypt the swap, or raise the limit (ulimit -l unlimited; LimitMEMLOCK=infinity in a unit)",
    )
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn modes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        durward_files::write_private(&path, b"x").unwrap();
        assert_eq!(mode_problem(&path, false), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let (text, fix) = mode_problem(&path, false).unwrap();
        assert!(text.contains("mode 640") && fix.starts_with("chmod 600"), "{text} {fix}");
        assert_eq!(mode_problem(&folder.path().join("none"), false), None);
    }
}
