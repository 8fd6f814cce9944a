//! Real programs behind a vault.

use std::path::Path;
use std::time::{Duration, Instant};

use durward_protocol::{Field, SecretString};
use durward_vault::{CommandConfig, CommandVault, Error, MatchKind, OpenVault, Vault};

use crate::support::{at, domain, secret};

fn sh(script: &str) -> CommandConfig {
    let args = ["-c", script, "sh", "{domain}"];
    CommandConfig::new("/bin/sh", args.iter().map(|&arg| arg.to_owned()).collect())
}

fn open(config: CommandConfig) -> Box<dyn OpenVault> {
    CommandVault::new("test", config).unwrap().unlock(&secret("vault pw")).unwrap()
}

#[test]
fn the_domain_arrives_as_an_argument_and_in_the_environment() {
    let vault = open(sh(r#"printf '{"username":"%s","password":"%s"}' "$1" "$DURWARD_DOMAIN""#));
    let found = vault.find(&domain("example.com")).unwrap();
    assert_eq!(
        (found[0].username.as_deref(), found[0].match_kind),
        (Some("example.com"), MatchKind::Provider)
    );
    let credential =
        vault.read(&found[0].item_id, &[Field::Password], &domain("example.com"), at(1)).unwrap();
    assert_eq!(credential.password.as_ref().map(SecretString::expose_secret), Some("example.com"));
    assert!(credential.username.is_none());
    assert!(matches!(vault.read("x", &[], &domain("example.com"), at(1)), Err(Error::ItemNotFound { .. })));
}

#[test]
fn the_password_goes_to_stdin_only_when_configured() {
    let echo = r#"read line; printf '{"password":"%s"}' "$line""#;
    let read = |config: CommandConfig| {
        let credential = open(config).read("credential", &[Field::Password], &domain("a.test"), at(1));
        credential.map(|mut credential| credential.password.take().map(SecretString::into_exposed))
    };
    let config = CommandConfig { password_stdin: true, ..sh(echo) };
    assert!(CommandVault::new("x", config.clone()).unwrap().describe().needs_password);
    assert_eq!(read(config).unwrap().as_deref(), Some("vault pw"));
    assert_eq!(read(sh(echo)).unwrap(), None);
    // A program that never reads, and a password larger than a pipe.
    let config = CommandConfig { password_stdin: true, ..sh("echo []") };
    let vault = CommandVault::new("x", config).unwrap().unlock(&secret(&"x".repeat(1_000_000))).unwrap();
    assert!(vault.find(&domain("a.test")).unwrap().is_empty());
}

#[test]
fn failures_are_told_with_the_programs_words_and_without_the_password() {
    let vault = open(CommandConfig {
        password_stdin: true,
        absent_text: Some("no entry found".into()),
        ..sh("read p; printf 'locked:\\033[2J %s\\n' \"$p\" >&2; exit 3")
    });
    let error = vault.find(&domain("a.test")).unwrap_err().to_string();
    assert!(error.contains("locked:[2J [redacted]") && error.contains('3'), "{error}");
    let absent = CommandConfig {
        absent_text: Some("no entry found".into()),
        ..sh("echo \"couldn't find entry: no entry found\" >&2; exit 1")
    };
    assert!(open(absent).find(&domain("a.test")).unwrap().is_empty());
    let missing = open(CommandConfig::new("/nonexistent/program", vec![]));
    assert!(missing.find(&domain("a.test")).unwrap_err().to_string().contains("could not be started"));
    let flooding = open(sh("yes >&2 & yes | head -c 3000 >&2; kill $!; exit 1"));
    assert!(flooding.find(&domain("a.test")).unwrap_err().to_string().len() < 4096);
}

#[test]
fn endless_output_is_cut_off() {
    let error = open(sh("yes")).find(&domain("a.test")).unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}

#[test]
fn a_program_that_hangs_dies_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!("sleep 600 & echo $! > '{}'; echo $$ >> '{}'; wait", pids.display(), pids.display());
    let vault = open(CommandConfig { timeout_seconds: 1, ..sh(&script) });
    assert!(matches!(vault.find(&domain("a.test")), Err(Error::Timeout { seconds: 1, .. })));
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        assert!(ends(Path::new("/proc").join(pid).as_path()), "{pid} still runs");
    }
}

#[test]
fn a_child_left_in_the_background_does_not_hold_the_answer_up_forever() {
    // The background child keeps the pipe open; only the time limit ends that.
    let vault = open(CommandConfig { timeout_seconds: 1, ..sh("sleep 600 & echo []") });
    assert!(matches!(vault.find(&domain("a.test")), Err(Error::Timeout { .. })));
}

/// Whether a killed process is gone, or a zombie that its parent has not collected yet, before long.
fn ends(process: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        match std::fs::read_to_string(process.join("stat")) {
            Ok(stat) if !stat.contains(") Z ") => std::thread::yield_now(),
            _ => return true,
        }
    }
    false
}
