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

/// What others can put into the data folder would count as the owner's: tokens, keys, rules.
#[test]
fn a_folder_that_others_write_to_starts_nothing() {
    let home = Home::with_vault();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    open_to_all(home.folder(), 0o777);
    let refused = home.run(&serve);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("others can write to") && refused.stderr.contains("chmod go-w"),
        "{refused:?}"
    );
    assert!(!home.path("durward.db").exists() && !home.path("durward.lock").exists());
    open_to_all(home.folder(), 0o700);
    drop(home.serve_quietly());
    // Only root can be two users.
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().expect("every Unix has the user nobody");
        std::os::unix::fs::chown(home.folder(), Some(nobody.uid.as_raw()), None).unwrap();
        let refused = home.run(&serve);
        assert!(refused.code == 1 && refused.stderr.contains("belongs to another user"), "{refused:?}");
    }
}
