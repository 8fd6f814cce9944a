//! `durward vault`

mod prompts;
mod provider;

use std::os::unix::fs::PermissionsExt as _;

use durward_protocol::Field;
use durward_vault::{BuiltinVault, CustomField, Item, TotpSecret, Vault as _};

use crate::env::{PASSWORD, TestEnvironment, login, secret};

/// Runs with the vault password, and more lines, on stdin.
fn run(env: &TestEnvironment, arguments: &[&str], more: &[&str]) -> crate::env::Finished {
    let stdin = [&[PASSWORD], more, &[""]].concat().join("\n");
    env.run_with(&[&["vault"], arguments, &["--password-stdin"]].concat(), &stdin)
}

fn rich() -> Item {
    let mut item = login("Example", "https://example.com/login", "ann", "hunter2");
    item.uris.push("https://example.org".into());
    item.totp = Some(TotpSecret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap());
    item.notes = Some(secret("first pet: Rumpelstilzchen"));
    item.fields = vec![
        CustomField { name: "pin".into(), value: secret("pin-of-4711"), hidden: true },
        CustomField { name: "branch".into(), value: secret("Berlin"), hidden: false },
    ];
    item
}

const SECRETS: [&str; 4] = ["hunter2", "pin-of-4711", "Rumpelstilzchen", "GEZDGNBV"];

fn two() -> TestEnvironment {
    let env = TestEnvironment::new();
    env.vault(vec![rich(), login("db.internal", "db.internal", "app", "s3cret")]);
    env
}

#[test]
fn init_makes_a_strong_vault_once() {
    let env = TestEnvironment::new();
    let made = env.run_with(&["vault", "init", "--password-stdin"], "correct horse\n");
    insta::assert_snapshot!("init", made.screen(&env));
    let text = std::fs::read(env.path("vault.age")).unwrap();
    let header = String::from_utf8_lossy(&text[..200]).into_owned();
    assert!(header.contains("-> scrypt ") && header.lines().nth(1).unwrap().ends_with(" 17"), "{header}");
    assert!(env.look(PASSWORD, durward_vault::Items::is_empty));

    let again = env.run_with(&["vault", "init", "--password-stdin", "--json"], "other\n");
    assert_eq!((again.code, again.json()["error"]["code"].as_str()), (64, Some("already_exists")));
    assert_eq!(std::fs::read(env.path("vault.age")).unwrap(), text);
}

#[test]
fn the_twins_of_a_password() {
    let mut env = two();
    env.set("VAULT_PASSWORD", PASSWORD);
    let file = env.file("password.txt", "correct horse\n");
    for twin in [vec!["--password-file", &file], vec!["--password-env", "VAULT_PASSWORD"]] {
        let listed = env.run(&[&["vault", "list"], twin.as_slice()].concat());
        assert_eq!((listed.code, listed.stdout.lines().count()), (0, 2), "{listed:?}");
    }
    // Only the line end is cut.
    assert_eq!(env.run_with(&["vault", "list", "--password-stdin"], "correct horse \n").code, 8);
    assert_eq!(env.run_with(&["vault", "list", "--password-stdin"], "correct horse\r\n").code, 0);
    assert_eq!(env.run_with(&["vault", "list", "--password-stdin"], "").code, 64);
    assert_eq!(env.run(&["vault", "list", "--password-env", "UNSET"]).code, 64);
    assert_eq!(env.run(&["vault", "list", "--password-file", "missing"]).code, 64);
    assert_eq!(env.run(&["vault", "list", "--password-stdin", "--password-env", "X"]).code, 64);
}

#[test]
fn without_a_terminal_and_without_the_twin_it_fails_and_names_it() {
    let env = two();
    insta::assert_snapshot!("no_terminal_list", env.run(&["vault", "list"]).screen(&env));
    insta::assert_snapshot!("no_terminal_remove", run(&env, &["remove", "Example"], &[]).screen(&env));
    insta::assert_snapshot!("no_terminal_add", run(&env, &["add", "example.net"], &[]).screen(&env));
    insta::assert_snapshot!("no_terminal_edit", run(&env, &["edit", "Example"], &[]).screen(&env));
    let file = env.file("export.csv", "name,username,password\nA,a,b\n");
    insta::assert_snapshot!("no_terminal_import", run(&env, &["import", &file], &[]).screen(&env));
    insta::assert_snapshot!(
        "no_terminal_export",
        run(&env, &["export", "x.json", "--plain"], &[]).screen(&env)
    );
    insta::assert_snapshot!("no_terminal_passwd", run(&env, &["passwd"], &[]).screen(&env));
    let fresh = TestEnvironment::new();
    insta::assert_snapshot!("no_terminal_init", fresh.run(&["vault", "init"]).screen(&fresh));
}

#[test]
fn a_wrong_password_is_8_everywhere() {
    let env = two();
    let before = std::fs::read(env.path("vault.age")).unwrap();
    let file = env.file("export.csv", "name,username,password\nA,a,b\n");
    for arguments in [
        vec!["list"],
        vec!["show", "Example"],
        vec!["add", "x.test", "--generate"],
        vec!["edit", "Example", "--generate"],
        vec!["remove", "Example", "--yes"],
        vec!["passwd", "--new-password-stdin"],
        vec!["import", &file, "--yes"],
        vec!["export", "copy.age"],
    ] {
        let arguments = [&["vault"], arguments.as_slice(), &["--password-stdin", "--json"]].concat();
        let refused = env.run_with(&arguments, "wrong\nnew\n");
        assert_eq!(refused.code, 8, "{arguments:?} {refused:?}");
        assert_eq!(refused.json()["error"]["code"], "wrong_password", "{arguments:?}");
    }
    assert_eq!(std::fs::read(env.path("vault.age")).unwrap(), before);
}

#[test]
fn no_vault_is_4_and_says_how_to_make_one() {
    let env = TestEnvironment::new();
    insta::assert_snapshot!("no_vault", run(&env, &["list"], &[]).screen(&env));
    for arguments in
        [vec!["show", "x"], vec!["add", "x", "--generate"], vec!["passwd"], vec!["remove", "x", "--yes"]]
    {
        assert_eq!(run(&env, &arguments, &[]).code, 4, "{arguments:?}");
    }
}

#[test]
fn list_shows_no_secrets() {
    let env = two();
    let listed = run(&env, &["list"], &[]);
    insta::assert_snapshot!("list", listed.screen(&env));
    let json = run(&env, &["list", "--json"], &[]);
    insta::assert_snapshot!("list_json", env.stable(&json.stdout));
    for secret in SECRETS {
        assert!(!listed.stdout.contains(secret) && !json.stdout.contains(secret));
    }
    assert_eq!(run(&env, &["list", "DB"], &[]).stdout.lines().count(), 1);
    assert!(run(&env, &["list", "--domain", "mail.example.org"], &[]).stdout.starts_with("Example\t"));
    let none = run(&env, &["list", "nothing like that"], &[]);
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (0, "", "No items.\n"));
}

#[test]
fn show_hides_until_asked() {
    let env = two();
    let hidden = run(&env, &["show", "example.com"], &[]);
    insta::assert_snapshot!("show", hidden.screen(&env));
    let json = run(&env, &["show", "example.com", "--json"], &[]);
    insta::assert_snapshot!("show_json", env.stable(&json.stdout));
    for secret in SECRETS {
        assert!(!hidden.stdout.contains(secret) && !json.stdout.contains(secret), "{secret}");
    }

    let revealed = run(&env, &["show", "example.com", "--reveal", "--json"], &[]).json();
    let values = &revealed["item"]["values"];
    assert_eq!((&values["password"], &values["custom:pin"]), (&"hunter2".into(), &"pin-of-4711".into()));
    assert_eq!(values["totp"].as_str().unwrap().len(), 6, "the code, never the seed");
    assert!(run(&env, &["show", "Example", "--reveal"], &[]).stdout.contains("password: hunter2\n"));
    assert_eq!(run(&env, &["show", "Example", "--field", "custom:pin"], &[]).stdout, "pin-of-4711\n");
    let one = run(&env, &["show", "Example", "--field", "password", "--json"], &[]);
    assert_eq!(one.json()["value"], "hunter2");
    assert_eq!(run(&env, &["show", "db.internal", "--field", "totp"], &[]).code, 4);
    assert_eq!(run(&env, &["show", "Example", "--field", "colour"], &[]).code, 64);
    assert_eq!(run(&env, &["show", "nobody"], &[]).code, 4);
}

#[test]
fn two_of_one_name_need_an_id() {
    let env = TestEnvironment::new();
    env.vault(vec![login("Twin", "https://a.test", "a", "one"), login("Twin", "https://b.test", "b", "two")]);
    insta::assert_snapshot!("ambiguous", run(&env, &["show", "twin"], &[]).screen(&env));
    let listed = run(&env, &["list", "--json"], &[]).json();
    let id = listed["items"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(run(&env, &["show", &id], &[]).code, 0);
}

#[test]
fn add_takes_secrets_from_everywhere_but_the_command_line() {
    let mut env = two();
    env.set("SEED", "JBSWY3DPEHPK3PXP");
    let notes = env.file("notes.txt", "line one\nline two\n");
    let added = run(
        &env,
        &[
            "add",
            "https://shop.example/login",
            "--username",
            "ann",
            "--from-stdin",
            "password",
            "--from-stdin",
            "custom:pin",
            "--from-env",
            "totp=SEED",
            "--from-file",
            &format!("notes={notes}"),
            "--json",
        ],
        &["pass word ", "1234"],
    );
    assert_eq!(added.code, 0, "{added:?}");
    assert_eq!(added.json()["item"]["name"], "shop.example");
    env.look(PASSWORD, |items| {
        let item = items.resolve("shop.example").unwrap();
        assert_eq!(item.uris, ["https://shop.example/login"]);
        assert_eq!(item.password, Some(secret("pass word ")));
        assert_eq!(item.notes, Some(secret("line one\nline two")));
        assert_eq!(item.fields[0].value, secret("1234"));
        assert_eq!(item.totp.as_ref().unwrap().expose_seed(), "JBSWY3DPEHPK3PXP");
        assert!(item.created.year() > 2000 && item.created == item.updated);
    });
}

#[test]
fn add_generates_and_prints_nothing_secret() {
    let env = two();
    let added = run(&env, &["add", "new.example", "--generate"], &[]);
    insta::assert_snapshot!("add", added.screen(&env));
    env.look(PASSWORD, |items| {
        let item = items.resolve("new.example").unwrap();
        assert_eq!(item.uris, ["new.example"]);
        assert_eq!(item.password.as_ref().unwrap().expose_secret().len(), 20);
    });
    let again = run(&env, &["add", "new.example", "--generate"], &[]);
    assert!(again.stderr.contains("There is another new.example with that login name already"), "{again:?}");
}

#[test]
fn add_refuses_what_it_cannot_use() {
    let env = two();
    for (arguments, code) in [
        (vec!["add", "x", "--from-stdin", "totp"], "invalid_totp"),
        (vec!["add", "x", "--from-stdin", "colour"], "invalid_field"),
        (vec!["add", "x", "--from-env", "password=UNSET"], "no_such_variable"),
        (vec!["add", "x", "--from-env", "password"], "usage"),
        (vec!["add", "x", "--from-file", "password=missing"], "unreadable"),
        (vec!["add", " ", "--generate"], "invalid_item"),
    ] {
        let refused = run(&env, &[arguments.as_slice(), &["--json"]].concat(), &["not base32!"]);
        assert_eq!(refused.code, 64, "{arguments:?} {refused:?}");
        assert_eq!(refused.json()["error"]["code"], code, "{arguments:?}");
        assert!(!refused.stderr.contains("not base32!"), "{refused:?}");
    }
    let short = run(&env, &["add", "x", "--from-stdin", "password"], &[]);
    assert_eq!((short.code, short.stderr.contains("stdin ended before the field password")), (64, true));
}

#[test]
fn edit_changes_what_it_is_told() {
    let env = two();
    let changed = run(
        &env,
        &[
            "edit",
            "Example",
            "--name",
            "Shop",
            "--username",
            "ann2",
            "--add-uri",
            "https://shop.test",
            "--unset",
            "notes",
            "--unset",
            "custom:pin",
            "--from-stdin",
            "password",
        ],
        &["better"],
    );
    insta::assert_snapshot!("edit", changed.screen(&env));
    env.look(PASSWORD, |items| {
        let item = items.resolve("Shop").unwrap();
        assert_eq!(item.username, Some(secret("ann2")));
        assert_eq!(item.password, Some(secret("better")));
        assert_eq!(item.uris.len(), 3);
        assert!(item.notes.is_none() && item.fields.len() == 1 && item.totp.is_some());
        assert_eq!(items.len(), 2);
    });
    let json = run(&env, &["edit", "db.internal", "--uri", "https://db.test", "--json"], &[]);
    assert_eq!(json.json()["item"]["uris"], serde_json::json!(["https://db.test"]));
    assert_eq!(run(&env, &["edit", "nobody", "--name", "x"], &[]).code, 4);
    assert_eq!(run(&env, &["edit", "Shop", "--name", " "], &[]).code, 64);
    assert!(env.look(PASSWORD, |items| items.resolve("Shop").is_ok()), "a refused change writes nothing");
}

#[test]
fn remove_needs_a_yes() {
    let env = two();
    insta::assert_snapshot!("remove", run(&env, &["remove", "Example", "--yes"], &[]).screen(&env));
    assert_eq!(run(&env, &["remove", "Example", "--yes"], &[]).code, 4);
    let json = run(&env, &["remove", "db.internal", "--yes", "--json"], &[]);
    assert_eq!(json.json()["item"]["name"], "db.internal");
    assert!(env.look(PASSWORD, durward_vault::Items::is_empty));
}

#[test]
fn a_short_password_takes_a_word_more() {
    let env = TestEnvironment::new();
    let refused = env.run_with(&["vault", "init", "--password-stdin", "--json"], "x\n");
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.stdout.contains("weak_password") && refused.stderr.contains("--weak"), "{refused:?}");
    let taken = env.run_with(&["vault", "init", "--password-stdin", "--weak"], "x\n");
    assert_eq!(taken.code, 0, "{taken:?}");
}

#[test]
fn passwd_leaves_only_the_new_password() {
    let env = two();
    let changed = run(&env, &["passwd", "--new-password-stdin"], &["new horse"]);
    insta::assert_snapshot!("passwd", changed.screen(&env));
    assert_eq!(run(&env, &["list"], &[]).code, 8);
    assert_eq!(env.look("new horse", durward_vault::Items::len), 2);
    assert!(!env.path("vault.age.bak").exists(), "the old password would open it");
    let empty =
        env.run_with(&["vault", "passwd", "--password-stdin", "--new-password-stdin"], "new horse\n\n");
    assert_eq!(empty.code, 64, "{empty:?}");
}

#[test]
fn import_reports_first_and_applies_on_yes() {
    let env = two();
    let file = env.file(
        "export.csv",
        "name,url,username,password,colour\n\
        New,https://new.test,me,pw1,red\n\
        Example,https://example.com,ann,hunter2,blue\n\
        Changed,https://example.com,ann,pw2,blue\n\
        ,,,,\n\
        Nothing,https://nothing.test,,,\n",
    );
    let dry = run(&env, &["import", &file, "--dry-run"], &[]);
    insta::assert_snapshot!("import_dry_run", dry.screen(&env));
    assert_eq!(env.look(PASSWORD, durward_vault::Items::len), 2);
    for secret in ["pw1", "hunter2", "pw2"] {
        assert!(!dry.stdout.split_whitespace().any(|word| word == secret), "{secret}");
    }

    let applied = run(&env, &["import", &file, "--yes", "--json"], &[]);
    let json = applied.json();
    assert_eq!((&json["applied"], json["report"]["new"].as_array().unwrap().len()), (&true.into(), 1));
    assert_eq!(env.look(PASSWORD, durward_vault::Items::len), 3);
    let again = run(&env, &["import", &file, "--yes"], &[]);
    assert!(again.stderr.contains("There is nothing to import."), "{again:?}");
    run(&env, &["import", &file, "--yes", "--duplicates", "add"], &[]);
    assert_eq!(env.look(PASSWORD, durward_vault::Items::len), 6);
}

#[test]
fn import_knows_formats_and_mistakes() {
    let env = two();
    let bitwarden = env.file(
        "bw.json",
        r#"{"encrypted":false,"items":[{"type":1,"name":"Site","login":{"username":"u","password":"p","uris":[{"uri":"https://site.test"}]}}]}"#,
    );
    let read = run(&env, &["import", &bitwarden, "--format", "bitwarden", "--yes"], &[]);
    assert_eq!(read.code, 0, "{read:?}");
    assert!(env.look(PASSWORD, |items| items.resolve("site.test").is_ok()));
    let encrypted = env.file("enc.json", r#"{"encrypted":true,"items":[]}"#);
    let refused = run(&env, &["import", &encrypted, "--yes", "--json"], &[]);
    assert_eq!((refused.code, refused.json()["error"]["code"].as_str()), (1, Some("import_failed")));
    assert_eq!(run(&env, &["import", "missing.csv", "--yes"], &[]).code, 1);
    assert_eq!(run(&env, &["import", &bitwarden, "--format", "lastpass"], &[]).code, 64);
    assert_eq!(run(&env, &["import", &bitwarden, "--dry-run", "--yes"], &[]).code, 64);
}

#[test]
fn export_is_encrypted_unless_told() {
    let env = two();
    insta::assert_snapshot!("export", run(&env, &["export", "copy.age"], &[]).screen(&env));
    let copy = |name: &str, password: &str| BuiltinVault::at(env.path(name)).open(&secret(password));
    assert_eq!(copy("copy.age", PASSWORD).unwrap().items().len(), 2);

    let other = run(&env, &["export", "other.age", "--new-password-stdin", "--json"], &["for bob"]);
    assert_eq!(other.json()["encrypted"], true, "{other:?}");
    assert!(copy("other.age", PASSWORD).is_err() && copy("other.age", "for bob").is_ok());

    let again = run(&env, &["export", "copy.age"], &[]);
    assert_eq!(again.code, 64, "a file that is there is left alone: {again:?}");

    let plain = run(&env, &["export", "all.csv", "--plain", "--format", "csv", "--yes"], &[]);
    insta::assert_snapshot!("export_plain", plain.screen(&env));
    assert!(std::fs::read_to_string(env.path("all.csv")).unwrap().contains("hunter2"));
    let mode = |name: &str| std::fs::metadata(env.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("all.csv"), mode("copy.age")), (0o600, 0o600));
    assert_eq!(run(&env, &["export", "x.csv", "--format", "csv"], &[]).code, 64);
    assert_eq!(run(&env, &["export", "x.json", "--plain", "--new-password", "--yes"], &[]).code, 64);
}

#[test]
fn an_export_can_be_imported_elsewhere() {
    let env = two();
    let exported = run(&env, &["export", "all.json", "--plain", "--yes"], &[]);
    assert_eq!(exported.code, 0, "{exported:?}");
    let other = TestEnvironment::new();
    other.vault(Vec::new());
    let file = env.path("all.json").display().to_string();
    assert_eq!(run(&other, &["import", &file, "--yes"], &[]).code, 0);
    other.look(PASSWORD, |items| {
        let item = items.resolve("example.com").unwrap();
        assert_eq!(item.available_fields().len(), 7);
        assert_eq!(item.fields[0].value, secret("pin-of-4711"));
        assert!(item.available_fields().contains(&Field::Totp));
    });
}

#[test]
fn generate() {
    let env = TestEnvironment::new();
    let lengths =
        |arguments: &[&str]| env.run(&[&["vault", "generate"], arguments].concat()).stdout.trim_end().len();
    assert_eq!((lengths(&[]), lengths(&["--length", "32"])), (20, 32));
    let digits = env.run(&["vault", "generate", "--no-lower", "--no-upper", "--no-symbols"]).stdout;
    assert!(digits.trim_end().bytes().all(|b| b.is_ascii_digit()), "{digits}");
    let phrase =
        env.run(&["vault", "generate", "--phrase", "--words", "4", "--separator", " ", "--json"]).json();
    assert_eq!(phrase["password"].as_str().unwrap().split(' ').count(), 4);
    for wrong in [
        vec!["--length", "0"],
        vec!["--no-lower", "--no-upper", "--no-symbols", "--no-digits"],
        vec!["--words", "4"],
        vec!["--phrase", "--length", "9"],
        vec!["--phrase", "--words", "0"],
    ] {
        assert_eq!(env.run(&[&["vault", "generate"], wrong.as_slice()].concat()).code, 64, "{wrong:?}");
    }
    assert!(!env.path("vault.age").exists());
}

#[test]
fn several_vaults() {
    let env = two();
    let home = env.path("home.age");
    assert_eq!(env.run(&["vault", "connect", "home", "--file", "home.age"]).code, 0);
    assert_eq!(run(&env, &["init", "--vault", "home"], &[]).code, 0);
    assert!(home.exists());
    assert_eq!(env.run(&["vault", "connect", "team", "--", "team-secret", "get", "{domain}"]).code, 0);
    assert_eq!(env.run(&["vault", "use", "home"]).code, 0);
    insta::assert_snapshot!("use", env.run(&["vault", "use"]).screen(&env));
    insta::assert_snapshot!("use_json", env.stable(&env.run(&["vault", "use", "--json"]).stdout));
    assert_eq!(run(&env, &["list"], &[]).stdout, "");
    assert_eq!(run(&env, &["list", "--vault", "default"], &[]).stdout.lines().count(), 2);
    assert_eq!(env.run(&["vault", "path"]).stdout.trim_end(), home.display().to_string());

    for (arguments, exit, code) in [
        (vec!["use", "nobody"], 4, "unknown_vault"),
        (vec!["disconnect", "home"], 64, "vault_in_use"),
        (vec!["disconnect", "nobody"], 4, "unknown_vault"),
        (vec!["connect", "home", "--file", "x"], 64, "vault_name_taken"),
        (vec!["connect", "a b", "--file", "x"], 64, "invalid_vault_name"),
        (vec!["connect", "x"], 64, "usage"),
        (vec!["connect", "x", "--preset", "nope"], 64, "unknown_preset"),
        (vec!["connect", "x", "--", "get", "a{domain}"], 64, "invalid_command"),
        (vec!["connect", "x", "--timeout", "0", "--", "get"], 64, "invalid_command"),
        (vec!["list", "--vault", "team", "--password-stdin"], 64, "not_builtin"),
    ] {
        // `--json` before the command that `--` begins.
        let arguments = [&["vault", arguments[0], "--json"], &arguments[1..]].concat();
        let refused = env.run(&arguments);
        assert_eq!(refused.code, exit, "{arguments:?} {refused:?}");
        assert_eq!(refused.json()["error"]["code"], code, "{arguments:?}");
    }
    assert_eq!(env.run(&["vault", "use", "default"]).code, 0);
    assert_eq!(env.run(&["vault", "disconnect", "home", "--json"]).json()["vault"], "home");
    assert!(home.exists(), "what it holds is untouched");
}

#[test]
fn a_program_is_a_vault() {
    let mut env = TestEnvironment::new();
    let script = r#"printf '{"username":"svc","password":"from %s"}' "$DURWARD_DOMAIN""#;
    env.program("team-secret", script);
    assert_eq!(env.run(&["vault", "connect", "team", "--use", "--", "team-secret"]).code, 0);
    let mut terminal =
        env.terminal(&["request", "db.test", "--reason", "x", "--mode", "local", "--field", "password"]);
    terminal.answer("[y/N] ", "y");
    assert_eq!(terminal.end(), (0, "from db.test\n".to_owned()));
}

#[test]
fn path() {
    let env = TestEnvironment::new();
    insta::assert_snapshot!("path", env.run(&["vault", "path"]).screen(&env));
    let json = env.run(&["vault", "path", "--json"]).json();
    assert_eq!(json["exists"], false);
    let vault = env.vault(Vec::new());
    assert!(vault.describe().exists);
    assert_eq!(env.run(&["vault", "path", "--json"]).json()["exists"], true);
}

#[test]
fn a_damaged_vault_is_told_apart_from_a_wrong_password() {
    let env = two();
    let whole = std::fs::read(env.path("vault.age")).unwrap();
    env.file("vault.age", &String::from_utf8_lossy(&whole[..100]));
    let damaged = run(&env, &["list", "--json"], &[]);
    assert_eq!((damaged.code, damaged.json()["error"]["code"].as_str()), (1, Some("vault_damaged")));
    assert!(damaged.stderr.contains("vault.age.bak"), "{damaged:?}");
}
