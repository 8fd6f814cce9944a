//! A vault can be opened, and made, with the `age` program alone.
//!
//! Debian's package `age` (and `script` of util-linux, because age asks for passwords on a terminal only).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use durward_vault::{BuiltinVault, Error};

use crate::support::{at, fast, login, rng, secret};

#[test]
fn age_decrypts_a_vault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    let vault = fast(&path);
    vault.create(&secret("correct horse")).unwrap();
    vault
        .edit(&secret("correct horse"), |items| {
            items.add(login("Mail", "https://mail.test", "ann", "hunter2"), &mut rng(), at(1))
        })
        .unwrap();
    let plain = folder.path().join("plain.json");
    age(&format!("-d -o {} {}", quoted(&plain), quoted(&path)), "correct horse");
    let text = fs::read_to_string(&plain).expect("age wrote nothing");
    assert!(text.starts_with(r#"{"format":"durward-vault","version":1,"items":[{"id":""#), "{text}");
    assert!(text.contains(r#""password":"hunter2""#), "{text}");
}

#[test]
fn a_vault_made_with_age_opens_and_keeps_what_we_do_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, path) = (folder.path().join("plain.json"), folder.path().join("vault.age"));
    let text = r#"{"format":"durward-vault","version":1,"later":{"a":[1,"x"]},"items":[
        {"id":"1","name":"n","password":"p","favourite":true,"created":"2026-01-02T03:04:05Z","updated":"2026-01-02T03:04:05Z"}]}"#;
    crate::support::put(&plain, text.as_bytes());
    age(&format!("-p -o {} {}", quoted(&path), quoted(&plain)), "correct horse");
    let vault = BuiltinVault::at(&path).with_work_factor_for_tests(1);
    assert!(matches!(vault.open(&secret("wrong")), Err(Error::WrongPassword)));
    vault
        .edit(&secret("correct horse"), |items| items.update("1", at(9), |item| item.name = "m".into()))
        .unwrap();

    fs::remove_file(&plain).unwrap();
    age(&format!("-d -o {} {}", quoted(&plain), quoted(&path)), "correct horse");
    let text = fs::read_to_string(&plain).unwrap();
    for kept in [r#""later":{"a":[1,"x"]}"#, r#""favourite":true"#, r#""name":"m""#, "2026-01-02T03:04:05Z"] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
}

/// Runs `age` on a pseudo-terminal and types the password at each prompt.
fn age(arguments: &str, password: &str) {
    let program = std::env::var_os("DURWARD_AGE_BIN").map_or_else(|| PathBuf::from("age"), PathBuf::from);
    let found = Command::new(&program).arg("--version").output();
    assert!(found.is_ok(), "this test needs age: apt-get install age, or set DURWARD_AGE_BIN");
    let mut child = Command::new("script")
        .args(["-qec", &format!("{} {arguments}", quoted(&program)), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs script: apt-get install bsdutils");
    answer_prompts(&mut child, password);
    assert!(child.wait().unwrap().success(), "age {arguments}");
}

/// age flushes its terminal before it reads: the password is typed when the prompt is there, not before.
fn answer_prompts(child: &mut std::process::Child, password: &str) {
    use std::io::{Read, Write};
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        if seen.split_once("passphrase").is_some_and(|(_, rest)| rest.contains(": ")) {
            input.write_all(format!("{password}\n").as_bytes()).unwrap();
            seen.clear();
        }
    }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
