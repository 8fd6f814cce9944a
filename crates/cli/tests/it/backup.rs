//! Backup and restore: everything comes back, and nothing is overwritten by accident.

use std::process::Command;

use crate::home::{Home, VAULT_PASSWORD};

const PHRASE: &str = "the password of the backup";

fn put(home: &Home, name: &str, text: &str) {
    let mut file = std::fs::File::create(home.path(name)).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

fn ask(owner: &Home, agent: &Home, url: &str, pair: bool) -> String {
    let asking = agent.start(&["request", "example.com", "--reason", "test", "--approver", url]);
    if pair {
        assert_eq!(owner.enter(&asking.code()).code, 0);
    }
    assert_eq!(owner.approve_first().code, 0);
    let finished = asking.finish();
    assert_eq!(finished.code, 0, "{finished:?}");
    finished.stdout
}

#[test]
fn everything_comes_back() {
    let (home, agent, elsewhere) = (Home::with_vault(), Home::empty(), Home::empty());
    put(&home, "policy.toml", "");
    put(&home, "config.toml", "[session]\nidle_minutes = 7\n");
    let daemon = home.serve();
    let released = ask(&home, &agent, &daemon.url(), true);
    let file = elsewhere.path("durward.age");
    let file = file.to_str().unwrap();
    // While the approver runs.
    let backed = home.run_with(&["backup", file, "--password-stdin", "--json"], &format!("{PHRASE}\n"));
    assert_eq!(backed.code, 0, "{backed:?}");
    assert_eq!(backed.json()["encrypted"], true);
    let again = home.run_with(&["backup", file, "--password-stdin"], &format!("{PHRASE}\n"));
    assert_eq!(again.code, 1, "{again:?}");
    let listen = daemon.listen.to_string();
    let records = home.audit_holds();
    assert_eq!(home.run(&["down"]).code, 0);
    daemon.process.finish();

    // age and tar alone can read it, too.
    let mut identity = Command::new("age");
    let refused = identity.args(["-d", file]).stdin(std::process::Stdio::null()).output().unwrap();
    assert!(!refused.status.success(), "it is encrypted");

    let target = Home::empty();
    let wrong = target.run_with(&["restore", file, "--password-stdin", "--json"], "something else\n");
    assert_eq!(
        (wrong.code, wrong.json()["error"]["code"].as_str()),
        (8, Some("wrong_password")),
        "{wrong:?}"
    );
    assert!(!target.path("durward.db").exists());
    let restored = target.run_with(&["restore", file, "--password-stdin", "--json"], &format!("{PHRASE}\n"));
    assert_eq!(restored.code, 0, "{restored:?}");
    assert_eq!(restored.json()["sessions_kept"], true);
    assert!(restored.json()["audit_records"].as_u64().unwrap() >= records - 1);
    for name in ["config.toml", "policy.toml", "vault.age"] {
        assert_eq!(
            std::fs::read(target.path(name)).unwrap(),
            std::fs::read(home.path(name)).unwrap(),
            "{name}"
        );
    }
    let over = target.run_with(&["restore", file, "--password-stdin", "--json"], &format!("{PHRASE}\n"));
    assert_eq!((over.code, over.json()["error"]["code"].as_str()), (1, Some("already_exists")), "{over:?}");

    // The session goes on at the restored approver, under the address the agent knows.
    let daemon = target.serve_at(&listen);
    let over = target.run_with(&["restore", file, "--force", "--password-stdin"], &format!("{PHRASE}\n"));
    assert_eq!(over.code, 1, "{over:?}");
    assert!(over.stderr.contains("durward down"), "{over:?}");
    assert_eq!(ask(&target, &agent, &daemon.url(), false), released);
    assert_eq!(target.run(&["down"]).code, 0);
    daemon.process.finish();
    target.audit_holds();
    let over = target.run_with(&["restore", file, "--force", "--password-stdin"], &format!("{PHRASE}\n"));
    assert_eq!(over.code, 0, "{over:?}");
    target.audit_holds();
}

#[test]
fn without_encryption_no_key_is_in_it() {
    let (home, agent, elsewhere) = (Home::with_vault(), Home::empty(), Home::empty());
    let daemon = home.serve();
    ask(&home, &agent, &daemon.url(), true);
    let file = elsewhere.path("durward.tar");
    let file = file.to_str().unwrap();
    let backed = home.run(&["backup", file, "--plain"]);
    assert_eq!(backed.code, 0, "{backed:?}");
    assert!(backed.stdout.contains("Not in it: rest keys"), "{backed:?}");
    let key = std::fs::read(home.path("keys/rest.key")).unwrap();
    let bytes = std::fs::read(file).unwrap();
    for secret in [key.as_slice(), VAULT_PASSWORD.as_bytes()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    let listed = Command::new("tar").args(["-tf", file]).output().unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.status.success() && names.contains("data/durward.db") && names.contains("data/vault.age"),
        "{names}"
    );
    // Public keys of devices: without these files their daemon would take its peers for unpaired.
    let public = |name: &&str| {
        name.strip_prefix("data/sync/keys/").is_some_and(|rest| rest.strip_suffix(".pub").is_some())
    };
    assert_eq!(names.lines().filter(public).count(), 1, "{names}");
    let mut others = names.lines().filter(|name| !public(name));
    assert!(others.all(|name| !name.contains("key") && !name.contains("token")), "{names}");

    let target = Home::empty();
    let restored = target.run(&["restore", file]);
    assert_eq!(restored.code, 0, "{restored:?}");
    let daemon = target.serve();
    daemon.process.stderr.wait_for("the rest key is not the one from before");
    assert!(target.json(&["sessions"])["sessions"].as_array().unwrap().is_empty());
    target.audit_holds();
}

#[test]
fn what_is_no_backup_is_refused() {
    let home = Home::empty();
    put(&home, "empty", "");
    put(&home, "text", &"nonsense ".repeat(200));
    put(&home, "age", "age-encryption.org/v1\nnonsense\n");
    for (name, code) in
        [("missing", "unreadable"), ("empty", "bad_backup"), ("text", "bad_backup"), ("age", "bad_backup")]
    {
        let refused = home.run_with(&["restore", name, "--password-stdin", "--json"], "x\n");
        assert_eq!(refused.json()["error"]["code"], code, "{name}: {refused:?}");
    }
    // Names that lead out of the folders, made by another program.
    let base = home.path("base");
    std::fs::create_dir_all(base.join("data/tokens")).unwrap();
    put(&home, "base/data/tokens/x", "y");
    put(&home, "outside", "y");
    for (arguments, name) in
        [(["data/tokens/x"].as_slice(), "tokens.tar"), (&["-P", "data/../../outside"], "out.tar")]
    {
        let archive = home.path(name);
        let mut tar = Command::new("tar");
        tar.arg("--format=ustar").arg("-cf").arg(&archive).arg("-C").arg(&base).args(arguments);
        assert!(tar.status().unwrap().success());
        let refused = home.run(&["restore", name, "--json"]);
        assert_eq!(refused.json()["error"]["code"], "bad_backup", "{name}: {refused:?}");
    }
    let nobody = home.run(&["backup", "new.age"]);
    assert_eq!(nobody.code, 64, "{nobody:?}");
    assert!(nobody.stderr.contains("--password-stdin"), "{nobody:?}");
}

/// An archive of these files, made by another program.
fn planted(home: &Home, files: &[(&str, &str)]) -> String {
    let base = home.path("planted");
    let _ = std::fs::remove_dir_all(&base);
    for (name, text) in files {
        std::fs::create_dir_all(base.join(name).parent().unwrap()).unwrap();
        put(home, &format!("planted/{name}"), text);
    }
    let archive = home.path("planted.tar").display().to_string();
    let mut tar = Command::new("tar");
    tar.args(["--format=ustar", "-cf", &archive, "-C"]).arg(&base).args(files.iter().map(|(name, _)| name));
    assert!(tar.status().unwrap().success());
    archive
}

/// Anybody can write an archive that is not encrypted.
#[test]
fn an_unencrypted_backup_brings_no_keys_and_no_tokens() {
    let (home, target) = (Home::empty(), Home::empty());
    for name in [
        "data/keys/rest.key",
        "data/Keys/rest.key",
        "data/keys/local.key",
        "data/tls/server.key",
        "data/device-keys/x",
        "data/agents/.keys/rest.key",
        "data/api.token",
        "data/api.TOKEN",
        "data/Tokens/evil.owner.token",
        "data/x.sh",
        "data/durward.db-wal",
        "config/Config.toml",
    ] {
        let refused = target.run(&["restore", &planted(&home, &[(name, "x")]), "--yes", "--json"]);
        assert_eq!(refused.code, 1, "{name}: {refused:?}");
        assert_eq!(refused.json()["error"]["code"], "bad_backup", "{name}: {refused:?}");
        assert!(refused.stderr.contains(name), "{name}: {refused:?}");
    }
    // Its own list of vaults does not open these places either.
    let vaults =
        "use = \"main\"\n[vaults.main]\nprovider = \"builtin\"\npath = \"Tokens/evil.owner.token\"\n";
    let files = [("config/vaults.toml", vaults), ("data/Tokens/evil.owner.token", "x")];
    let refused = target.run(&["restore", &planted(&home, &files), "--yes", "--json"]);
    assert_eq!(refused.json()["error"]["code"], "bad_backup", "{refused:?}");
    assert!(!target.path("Tokens").exists() && !target.path("keys/rest.key").exists());
}

#[test]
fn what_an_unencrypted_backup_would_run_is_named_and_takes_a_yes() {
    let (home, target) = (Home::empty(), Home::empty());
    let config = "[notify]\ncommand = [\"touch\", \"/tmp/owned\"]\n[server]\nalert_command = [\"sh\"]\n";
    let archive = planted(&home, &[("config/config.toml", config), ("config/policy.toml", "rule = []\n")]);
    let asked = target.run(&["restore", &archive]);
    assert_eq!(asked.code, 64, "{asked:?}");
    for said in
        ["notify.command runs touch /tmp/owned", "server.alert_command runs sh", "policy.toml", "--yes"]
    {
        assert!(asked.stderr.contains(said), "{said}: {asked:?}");
    }
    assert!(!target.path("config.toml").exists());
    assert_eq!(target.run(&["restore", &archive, "--yes"]).code, 0);
    assert!(target.path("config.toml").exists());
}

#[test]
fn a_backup_that_was_cut_is_called_a_backup() {
    let home = Home::with_vault();
    let backed = home.run_with(&["backup", "whole.age", "--password-stdin"], &format!("{PHRASE}\n"));
    assert_eq!(backed.code, 0, "{backed:?}");
    let bytes = std::fs::read(home.path("whole.age")).unwrap();
    std::io::Write::write_all(
        &mut std::fs::File::create(home.path("cut.age")).unwrap(),
        &bytes[..bytes.len() - 40],
    )
    .unwrap();
    let target = Home::empty();
    let cut = target.run_with(
        &["restore", home.path("cut.age").to_str().unwrap(), "--password-stdin"],
        &format!("{PHRASE}\n"),
    );
    assert_eq!(cut.code, 1, "{cut:?}");
    assert!(cut.stderr.contains("the backup ") && !cut.stderr.contains("vault"), "{cut:?}");
}
