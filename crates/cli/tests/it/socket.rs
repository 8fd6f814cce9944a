//! The control socket between users: each side looks at who the other one is.
//!
//! The folder's mode alone keeps others away, so these tests open it first. Only root can be two users; without root
//! there is nobody to be, and the tests say so.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::home::{Finished, Home};

fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Turns the command's process into another user; `None`: only root may.
fn as_nobody(command: &mut Command) -> Option<Finished> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().expect("every Unix has the user nobody");
    let command = command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw()).current_dir("/");
    Some(Home::start_with(command).finish())
}

#[test]
fn another_user_at_the_socket_is_refused() {
    let home = Home::with_vault();
    let _daemon = home.serve_quietly();
    let socket = home.path("run/control.sock");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--unix-socket"]).arg(&socket);
    curl.arg("http://localhost/sessions");
    curl.stdin(std::process::Stdio::null());
    curl.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let own = Home::start_with(&mut curl).finish();
    assert!(own.stdout.ends_with("\n200"), "the same call by its own user: {own:?}");

    for (path, mode) in [("", 0o711), ("run", 0o711), ("run/control.sock", 0o666)] {
        open_to_all(&home.path(path), mode);
    }
    let Some(other) = as_nobody(&mut curl) else { return };
    assert!(other.stdout.ends_with("\n401"), "{other:?}");
    assert!(other.stdout.contains("\"unauthorized\"") && !other.stdout.contains("sessions"), "{other:?}");
}

#[test]
fn a_socket_where_another_user_listens_is_not_used() {
    let home = Home::with_vault();
    let _daemon = home.serve_quietly();
    // The other user's own copy: the folder this one was built in may be closed to him.
    let copy = home.path("durward");
    std::fs::copy(env!("CARGO_BIN_EXE_durward"), &copy).unwrap();
    for (path, mode) in [("", 0o711), ("run", 0o711), ("run/control.sock", 0o666), ("durward", 0o755)] {
        open_to_all(&home.path(path), mode);
    }
    let mut durward = Command::new(&copy);
    durward.arg("sessions").env_clear().env("DURWARD_HOME", home.folder());
    durward.stdin(std::process::Stdio::null());
    durward.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let own = Home::start_with(&mut durward).finish();
    assert_eq!(own.code, 0, "{own:?}");
    let Some(other) = as_nobody(&mut durward) else { return };
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.stderr.contains("control.sock belongs to another user; not used"), "{other:?}");
}
