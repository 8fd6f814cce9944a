//! What looks after an installation: doctor, settings, version, manual pages, service, log file, hints.

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use crate::home::{Finished, Home};

fn stable(home: &Home) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&home.folder().display().to_string(), "[home]");
    settings.add_filter(r"127\.0\.0\.1:(?:[1-4]\d{4}|[6-9]\d{4}|5[1-9]\d{3})\b", "[address]");
    settings.add_filter(r"pid \d+", "pid [pid]");
    settings.add_filter(r"ExecStart=\S+ ", "ExecStart=[program] ");
    settings.add_filter(r"durward 0\.\d+\.\d+", "durward [version]");
    settings.add_filter(r"\((debug|release), \S+\)", "([build])");
    settings
}

/// A folder that is the owner's alone, as the ones are that Durward makes.
fn private() -> Home {
    let home = Home::with_vault();
    std::fs::set_permissions(home.folder(), std::fs::Permissions::from_mode(0o700)).unwrap();
    home
}

fn doctor(home: &Home) -> (Finished, serde_json::Value) {
    // A free port each, so that other tests cannot be in the way.
    let finished = home.run(&["doctor", "--json", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    let json = finished.json();
    (finished, json)
}

fn check<'a>(json: &'a serde_json::Value, name: &str) -> Vec<&'a serde_json::Value> {
    json["checks"].as_array().unwrap().iter().filter(|check| check["check"] == name).collect()
}

#[test]
fn a_healthy_installation_has_no_problem() {
    let home = private();
    let (stopped, json) = doctor(&home);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert_eq!(check(&json, "approver")[0]["state"], "advice");
    let _daemon = home.serve();
    let (running, json) = doctor(&home);
    assert_eq!(running.code, 0, "{running:?}");
    assert_eq!((json["ok"].as_bool(), json["problems"].as_u64()), (Some(true), Some(0)));
    for name in
        ["folder", "files", "config", "policy", "approver", "clock", "vault", "rest key", "core dumps"]
    {
        assert_eq!(check(&json, name)[0]["state"], "ok", "{name}: {json}");
    }
    assert_eq!(check(&json, "core dumps")[0]["text"], "off in the approver that runs");
    let text = home.run(&["doctor"]).stdout;
    assert!(text.contains("ok       approver     runs (pid "), "{text}");
}

#[test]
fn each_fault_is_found_with_its_remedy() {
    let home = private();
    let daemon = home.serve();
    assert_eq!(home.run(&["down"]).code, 0);
    daemon.process.finish();
    let put = |name: &str, text: &str| {
        let mut file = std::fs::File::create(home.path(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    let chmod = |name: &str, mode| {
        std::fs::set_permissions(home.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    put("config.toml", "[server]\nlisen = 1\n");
    put("policy.toml", "nonsense");
    put("vault.age", "this is no vault at all");
    chmod("api.token", 0o644);
    chmod("keys", 0o755);
    let (found, json) = doctor(&home);
    assert_eq!(found.code, 1, "{found:?}");
    for name in ["config", "policy", "vault"] {
        assert_eq!(check(&json, name)[0]["state"], "problem", "{name}: {json}");
        assert!(!check(&json, name)[0]["fix"].as_str().unwrap().is_empty());
    }
    let files = check(&json, "files");
    assert_eq!(files.len(), 2, "{files:?}");
    let fixes: Vec<&str> = files.iter().map(|check| check["fix"].as_str().unwrap()).collect();
    assert!(fixes[0].starts_with("chmod 700 ") && fixes[1].starts_with("chmod 600 "), "{fixes:?}");
    // The remedies are commands that help.
    for fix in fixes {
        assert!(std::process::Command::new("sh").args(["-c", fix]).status().unwrap().success());
    }
    std::fs::remove_file(home.path("config.toml")).unwrap();
    std::fs::remove_file(home.path("policy.toml")).unwrap();
    std::fs::remove_file(home.path("vault.age")).unwrap();
    let (mended, json) = doctor(&home);
    assert_eq!(mended.code, 0, "{json}");
}

#[test]
fn a_taken_port_is_found() {
    let (home, other) = (Home::with_vault(), Home::with_vault());
    let daemon = other.serve();
    let listen = daemon.listen.to_string();
    let found = home.run(&["doctor", "--json", "--listen", &listen, "--no-control-port"]);
    assert_eq!(found.code, 1, "{found:?}");
    let json = found.json();
    let port = check(&json, "agent port")[0];
    assert_eq!(port["state"], "problem");
    assert!(port["fix"].as_str().unwrap().contains("--listen"), "{port}");
    assert!(check(&json, "control port").is_empty());
}

#[test]
fn settings_and_their_sources() {
    let home = Home::empty();
    let bound = stable(&home).bind_to_scope();
    let defaults = home.run(&["config", "show"]);
    assert_eq!(defaults.code, 0, "{defaults:?}");
    let mut file = std::fs::File::create(home.path("config.toml")).unwrap();
    let text = "mode = \"local\"\n[server]\nlisten = \"127.0.0.1:5050\"\ncontrol = \"127.0.0.1:5051\"\n\
        [session]\nidle_minutes = 5\n[limits]\nmax_connections = 10\n[notify]\ndesktop = true\n";
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let mut command = home.command(&["config", "show", "--control", "127.0.0.1:5052"]);
    command.env("PORT", "5053").env("DURWARD_REST_KEY", "auto");
    command.env("DURWARD_DATABASE_URL", "postgres://me:hush@host/db");
    let mixed = Home::start_with(&mut command).finish();
    assert_eq!(mixed.code, 0, "{mixed:?}");
    assert!(!mixed.stdout.contains("hush"), "{mixed:?}");
    assert_snapshot!(format!("{}\n--- mixed\n{}", defaults.stdout, mixed.stdout));
    let json = home.json(&["config", "show"]);
    let settings = json["settings"].as_array().unwrap();
    let listen = settings.iter().find(|setting| setting["key"] == "server.listen").unwrap();
    assert_eq!((listen["value"].as_str(), listen["source"].as_str()), (Some("127.0.0.1:5050"), Some("file")));

    let path = home.run(&["config", "path"]);
    assert_eq!(path.stdout.trim(), home.path("config.toml").display().to_string());
    assert_eq!(home.run(&["config", "check"]).code, 0);
    let missing = home.run(&["config", "check", "nowhere.toml"]);
    assert_eq!(missing.code, 4, "{missing:?}");
    std::io::Write::write_all(&mut file, b"[server]\n").unwrap();
    let wrong = home.run(&["config", "check", "--json"]);
    assert_eq!((wrong.code, wrong.json()["error"]["code"].as_str()), (64, Some("bad_config")), "{wrong:?}");
    drop(bound);
}

#[test]
fn one_setting_is_changed_and_the_rest_of_the_file_stays() {
    let home = Home::empty();
    let bound = stable(&home).bind_to_scope();
    let mut shown = String::new();
    let mut run = |arguments: &[&str]| {
        let finished = home.run(arguments);
        let line = arguments.join(" ");
        std::fmt::Write::write_fmt(&mut shown, format_args!("$ durward {line}\n{}\n", finished.shown()))
            .unwrap();
        finished
    };
    let file = || std::fs::read_to_string(home.path("config.toml")).unwrap_or_default();
    let mode = || std::fs::metadata(home.path("config.toml")).unwrap().permissions().mode() & 0o777;
    run(&["config", "set", "mode", "local"]);
    assert_eq!((file().as_str(), mode()), ("mode = \"local\"\n", 0o600), "a new file is private");
    home.put("config.toml", "# Mine.\n[server]\nlisten = \"127.0.0.1:5050\" # moved\n# and this\n");
    std::fs::set_permissions(home.path("config.toml"), std::fs::Permissions::from_mode(0o640)).unwrap();
    run(&["config", "set", "server.listen", "127.0.0.1:5051"]);
    run(&["config", "set", "server.listen", "127.0.0.1:5051", "--json"]);
    run(&["config", "set", "notify.command", "[\"notify-send\", \"Durward\"]"]);
    run(&["config", "set", "devices.name", "42"]);
    run(&["config", "set", "limits.max_connections", "10", "--json"]);
    let good = file();
    assert_snapshot!("config_set_file", good);
    assert_eq!(mode(), 0o640, "the permissions it had");
    for (arguments, code) in [
        (["config", "set", "server.lisen", "127.0.0.1:1"], "unknown_key"),
        (["config", "set", "colour.scheme", "dark"], "unknown_key"),
        (["config", "set", "server.listen", "localhost"], "bad_config"),
        (["config", "set", "session.idle_minutes", "-1"], "bad_config"),
        (["config", "set", "notify.command", "notify-send"], "bad_config"),
        (["config", "set", "server.key_lifetime", "soon"], "bad_config"),
        (["config", "set", "server", "{}"], "unknown_key"),
        (["config", "set", "server.database_url", "postgres://host/db"], "secret_refused"),
        (["config", "set", "devices.name", "https://me:hush@host/"], "secret_refused"),
    ] {
        let refused = run(&arguments);
        assert_eq!(refused.code, 64, "{refused:?}");
        assert_eq!(home.run(&[&arguments[..], &["--json"]].concat()).json()["error"]["code"], code);
        assert_eq!(file(), good, "nothing was written");
    }
    run(&["config", "unset", "server.listen"]);
    run(&["config", "unset", "server.listen"]);
    run(&["config", "unset", "server.lisen"]);
    run(&["config", "unset", "notify.command", "--json"]);
    assert!(file().starts_with("# Mine.\n[server]\n# and this\n"), "{}", file());
    assert_eq!(home.run(&["config", "check"]).code, 0);
    // A key with a typing mistake can be taken out, and a file that cannot be read is not written over.
    home.put("config.toml", "[server]\nlisen = 1\n");
    assert_eq!(run(&["config", "unset", "server.lisen"]).code, 0);
    home.put("config.toml", "[server\n");
    assert_eq!(run(&["config", "set", "mode", "local"]).code, 64);
    assert_eq!(file(), "[server\n");
    // Where the file really lies, a link stays a link.
    home.put("real.toml", "");
    std::fs::remove_file(home.path("config.toml")).unwrap();
    std::os::unix::fs::symlink(home.path("real.toml"), home.path("config.toml")).unwrap();
    assert_eq!(run(&["config", "set", "notify.bell", "false"]).code, 0);
    assert!(std::fs::symlink_metadata(home.path("config.toml")).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(home.path("real.toml")).unwrap(), "[notify]\nbell = false\n");
    assert_snapshot!(shown);
    drop(bound);
}

#[test]
fn version_protocol_and_features() {
    let home = Home::empty();
    let json = home.json(&["version"]);
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["protocol"], 1);
    assert!(json["features"].is_array() && json["build"].is_string() && json["target"].is_string());
    let bound = stable(&home).bind_to_scope();
    assert_snapshot!(home.run(&["version"]).stdout.lines().take(2).collect::<Vec<_>>().join("\n"));
    drop(bound);
}

#[test]
fn a_manual_page_for_each_command() {
    let home = Home::empty();
    let written = home.run(&["man", "--dir", "man/man1"]);
    assert_eq!(written.code, 0, "{written:?}");
    for name in ["durward.1", "durward-request.1", "durward-vault-add.1", "durward-doctor.1"] {
        let page = std::fs::read_to_string(home.path("man/man1").join(name)).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert!(!home.path("man/man1/durward-clear-clipboard.1").exists());
    let refused = home.run(&["man", "--dir", "/proc/durward"]);
    assert_eq!(refused.code, 1, "{refused:?}");
}

#[test]
fn the_service_of_the_user() {
    let home = Home::empty();
    let bound = stable(&home).bind_to_scope();
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        Home::start_with(command.env("HOME", home.folder()).env("XDG_CONFIG_HOME", home.path("xdg"))).finish()
    };
    let printed = run(&["service", "install", "--print"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    assert_snapshot!(printed.stdout);
    assert!(!home.path("xdg").exists(), "printing writes nothing");
    let unit = home.path("xdg/systemd/user/durward.service");
    assert_eq!(run(&["service", "install"]).code, 0);
    assert_eq!(std::fs::read_to_string(&unit).unwrap(), printed.stdout);
    assert_eq!(run(&["service", "install"]).code, 0, "the same again");
    let status = run(&["service", "status", "--json"]).json();
    assert_eq!((status["installed"].as_bool(), status["up_to_date"].as_bool()), (Some(true), Some(true)));
    std::io::Write::write_all(
        &mut std::fs::OpenOptions::new().append(true).open(&unit).unwrap(),
        b"# mine\n",
    )
    .unwrap();
    let kept = run(&["service", "install", "--json"]);
    assert_eq!((kept.code, kept.json()["error"]["code"].as_str()), (1, Some("already_exists")));
    assert_eq!(run(&["service", "install", "--force"]).code, 0);
    assert_eq!(run(&["service", "remove", "--json"]).json()["removed"], true);
    assert_eq!(run(&["service", "remove", "--json"]).json()["removed"], false);
    assert!(!unit.exists());
    drop(bound);
}

#[test]
fn the_log_goes_into_a_bounded_file() {
    let home = Home::with_vault();
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--log-file",
        "log/d.log",
        "--log-file-size",
        "4",
    ];
    let refused = home.run(&arguments);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("cannot log into log/d.log"), "{refused:?}");
    std::fs::DirBuilder::new().create(home.path("log")).unwrap();
    let daemon = Home::start_with(home.command(&arguments).env("DURWARD_LOG", "trace"));
    for _ in 0..30 {
        home.wait_running();
    }
    assert_eq!(home.run(&["down"]).code, 0);
    assert_eq!(daemon.finish().code, 0);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(home.path("log")).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{entry:?}");
        // One line may be longer than what is left, never than the file.
        assert!(metadata.len() <= 4 * 1024, "{entry:?} has {} bytes", metadata.len());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert!(names.len() <= 4 && names.contains(&"d.log.1".to_owned()), "{names:?}");
}

#[test]
fn the_first_run_explains_itself() {
    let home = Home::empty();
    let bound = stable(&home).bind_to_scope();
    let arguments = ["up", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    let first = home.run(&arguments);
    assert_eq!(first.code, 0, "{first:?}");
    assert_snapshot!(first.stderr);
    let second = home.run(&arguments);
    assert!(!second.stderr.contains("Welcome"), "{second:?}");
    drop(bound);
}

#[test]
fn a_wrong_word_gets_the_right_command() {
    let home = Home::empty();
    let help = home.run(&["help", "request"]);
    assert_eq!((help.code, help.stdout), (0, home.run(&["request", "--help"]).stdout));
    let export = home.run(&["audit", "export", "file"]);
    assert!(export.code == 64 && export.stderr.contains("durward audit export > FILE"), "{export:?}");
    let other = home.run_with(&["vault", "init", "--vault", "other", "--password-stdin"], "correct horse\n");
    assert!(other.code == 4 && other.stderr.contains("durward vault connect other --file FILE"), "{other:?}");
    let listen = home.run(&["serve", "--listen", "localhost:5051"]);
    assert!(listen.code == 64 && listen.stderr.contains("127.0.0.1:5051"), "{listen:?}");
    for (typed, meant) in [
        ("get", "durward request DOMAIN"),
        ("add", "durward vault add NAME"),
        ("login", "durward key get"),
        ("approve-all", "durward approve"),
        ("init", "durward vault init"),
        ("generate", "durward vault generate"),
    ] {
        let wrong = home.run(&[typed, "x"]);
        assert_eq!(wrong.code, 64, "{wrong:?}");
        assert!(wrong.stderr.contains(&format!("did you mean `{meant}")), "{wrong:?}");
        assert!(!wrong.stderr.contains("tip:"), "one answer, not two: {wrong:?}");
    }
    let near = home.run(&["statsu"]);
    assert!(near.code == 64 && near.stderr.contains("'status'"), "{near:?}");
}
