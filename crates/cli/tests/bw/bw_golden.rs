//! The text, the stream and the exit code of every situation that the reference table of Bitwarden's own command
//! line names; the lines that differ on purpose are marked.

use std::fs;

use durward_testkit::bitwarden::Flavour;

use crate::bw_harness::{Desk, EMAIL, PASSWORD, Said};

fn out(text: &str) -> Said {
    Said { code: 0, stdout: text.to_owned(), stderr: String::new() }
}

fn err(text: &str) -> Said {
    Said { code: 1, stdout: String::new(), stderr: text.to_owned() }
}

fn block(title: &str, key: &str) -> String {
    format!(
        "{title}\n\nTo unlock your vault, set your session key to the `BW_SESSION` environment variable. ex:\n\
         $ export BW_SESSION=\"{key}\"\n> $env:BW_SESSION=\"{key}\"\n\n\
         You can also pass the session key to any command with the `--session` option. ex:\n\
         $ bw list items --session {key}"
    )
}

fn key_in(text: &str) -> String {
    text.split("BW_SESSION=\"").nth(1).and_then(|t| t.split('"').next()).unwrap_or_default().to_owned()
}

#[test]
fn logged_out() {
    let desk = Desk::new(Flavour::Vaultwarden);
    for args in [
        &["list", "items"][..],
        &["get", "item", "x"],
        &["sync"],
        &["sync", "--last"],
        &["lock"],
        &["logout"],
        &["unlock"],
        &["unlock", "--check"],
        &["login", "--check"],
    ] {
        assert_eq!(desk.run(args), err("You are not logged in."), "{args:?}");
    }
    assert_eq!(desk.run(&["login"]), err("Email address is required."));
    assert_eq!(desk.run(&["login", " "]), err("Email address is required."));
    assert_eq!(desk.run(&["login", "nobody"]), err("Email address is invalid."));
    assert_eq!(desk.run(&["login", EMAIL]), err("Master password is required."));
    assert_eq!(
        desk.run(&["login", EMAIL, PASSWORD, "--method", "nine"]),
        err("Invalid two-step login method.")
    );
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD, "--method", "4"]), err("Invalid two-step login method."));
    let url = desk.server.url();
    assert_eq!(
        desk.run(&["status"]),
        out(&format!("{{\"serverUrl\":\"{url}\",\"lastSync\":null,\"status\":\"unauthenticated\"}}"))
    );
}

#[test]
fn login_unlock_lock_logout() {
    let desk = Desk::new(Flavour::Vaultwarden);
    let said = desk.run(&["login", EMAIL, PASSWORD]);
    let key = key_in(&said.stdout);
    assert_eq!(said, out(&block("You are logged in!", &key)));
    assert_eq!(key.len(), 88);
    assert_eq!(
        desk.run(&["login", EMAIL, PASSWORD]),
        err("You are already logged in as test.user@example.com.")
    );
    assert_eq!(desk.run(&["login", "--check"]), out("You are logged in!"));

    assert_eq!(desk.run(&["unlock", "--check"]), err("Vault is locked."));
    assert_eq!(desk.run_env(&["unlock", "--check"], &[("BW_SESSION", &key)]), out("Vault is unlocked!"));
    assert_eq!(desk.run(&["list", "items"]), err("Vault is locked."));
    assert_eq!(desk.run_env(&["list", "items"], &[("BW_SESSION", "garbage")]), err("Vault is locked."));

    let said = desk.run(&["unlock", PASSWORD]);
    let newer = key_in(&said.stdout);
    assert_eq!(said, out(&block("Your vault is now unlocked!", &newer)));
    assert_ne!(key, newer);
    assert_eq!(desk.run(&["unlock", PASSWORD, "--raw"]).stdout.len(), 88);

    // Ours: one sentence instead of the library's stack of errors.
    assert_eq!(desk.run(&["unlock", "wrong"]), err("Invalid master password."));
    let required = "Master password is required. Try again in interactive mode or provide a password file or environment variable.";
    assert_eq!(desk.run(&["unlock"]), err(required));
    assert_eq!(
        desk.run(&["unlock", "--passwordenv", "NOT_SET"]),
        err(&format!("Warning: Provided passwordenv NOT_SET is not set\n{required}"))
    );
    // Ours: a sentence instead of a stack trace.
    assert_eq!(
        desk.run(&["unlock", "--passwordfile", "/nowhere/at-all"]),
        err("Password file not found or not readable: /nowhere/at-all")
    );

    assert_eq!(desk.run(&["lock"]), out("Your vault is locked."));
    assert_eq!(desk.run(&["lock"]), out("Your vault is locked."));
    assert_eq!(desk.run(&["lock", "--raw"]), out(""));
    assert_eq!(desk.run(&["logout"]), out("You have logged out."));
}

#[test]
fn password_sources_in_their_order() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let file = desk.path().join("pw");
    let write = |text: &str| {
        std::io::Write::write_all(&mut fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    let path = file.to_str().unwrap();
    write(&format!("{PASSWORD}\r\nsecond line"));
    assert_eq!(desk.run(&["unlock", "--passwordfile", path, "--raw"]).code, 0);
    assert_eq!(desk.run_env(&["unlock", "--passwordenv", "PW", "--raw"], &[("PW", PASSWORD)]).code, 0);
    // Only the line end is cut: a blank is part of the password.
    write(&format!(" {PASSWORD}\n"));
    assert_eq!(desk.run(&["unlock", "--passwordfile", path]).stderr, "Invalid master password.");
    // The argument wins over the file, the file over the variable.
    assert_eq!(desk.run(&["unlock", PASSWORD, "--passwordfile", path]).code, 0);
    write(&format!("{PASSWORD}\n"));
    let said = desk.run_env(&["unlock", "--passwordfile", path, "--passwordenv", "PW"], &[("PW", "wrong")]);
    assert_eq!(said.code, 0);
    // A file that others can read works, with a warning.
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let said = desk.run(&["unlock", "--passwordfile", path, "--raw"]);
    assert_eq!(said.code, 0);
    assert!(
        said.stderr.starts_with("Warning: ") && said.stderr.contains("can be read by others (mode 644)"),
        "{said:?}"
    );
    write("\n");
    assert!(desk.run(&["unlock", "--passwordfile", path]).stderr.starts_with("Master password is required."));
}

#[test]
fn checks_with_credentials_store_nothing() {
    let desk = Desk::new(Flavour::Vaultwarden);
    let before = fs::read(desk.data().join("data.json")).unwrap();
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD, "--check"]), out("Valid credentials"));
    assert_eq!(
        desk.run(&["login", EMAIL, "wrong", "--check"]),
        err("Username or password is incorrect. Try again")
    );
    assert_eq!(fs::read(desk.data().join("data.json")).unwrap(), before);
    desk.login();
    let before = fs::read(desk.data().join("data.json")).unwrap();
    assert_eq!(desk.run(&["unlock", PASSWORD, "--check"]), out("Valid credentials"));
    assert_eq!(desk.run(&["unlock", "wrong", "--check"]), err("Invalid master password."));
    assert_eq!(fs::read(desk.data().join("data.json")).unwrap(), before);
}

#[test]
fn mistakes_on_the_command_line() {
    let desk = Desk::new(Flavour::Vaultwarden);
    for (args, text) in [
        (
            &["frobnicate", "x"][..],
            "Invalid command: frobnicate x\nSee --help for a list of available commands.",
        ),
        (
            &["get", "X", "y"],
            "Unknown object \"X\". Allowed objects are: item, username, password, uri, totp, notes, exposed, attachment, folder, collection, org-collection, organization, template, fingerprint, send.",
        ),
        (
            &["list", "Items"],
            "Unknown object \"Items\". Allowed objects are: items, folders, collections, org-collections, org-members, organizations.",
        ),
        (&["config", "x"], "Unknown setting."),
        (&["lock", "--foo"], "error: unknown option '--foo'\n"),
        (&["get"], "error: missing required argument 'object'\n"),
        (&["lock", "x"], "error: too many arguments for 'lock'. Expected 0 arguments but got 1.\n"),
        (&["completion"], "`shell` option was not provided."),
        (&["completion", "--shell", "tcsh"], "Unsupported shell."),
    ] {
        assert_eq!(desk.run(args), err(text), "{args:?}");
    }
    let said = desk.run(&["create", "item", "--odd", "x"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("Use Bitwarden's own command line"), "{said:?}");
    assert_eq!(desk.run(&["--version"]), out("2026.9.0\n"));
    assert_eq!(desk.run(&["encode"]), out(""));
}

#[test]
fn servers_that_are_down_wrong_or_plain() {
    let (mut desk, key) = Desk::logged_in(Flavour::Vaultwarden);
    desk.server.world().failures.push_back(("/api/accounts/revision-date".into(), 500, "{}".into()));
    assert_eq!(desk.run(&["sync"]), err("Syncing failed: Server error. Please try again later."));
    desk.server.world().failures.push_back(("/api/accounts/revision-date".into(), 429, "{}".into()));
    assert_eq!(desk.run(&["sync"]), err("Syncing failed: Rate limit exceeded. Try again later."));
    desk.server.stop();
    let host = desk.server.url().replace("https://", "");
    // Ours: what happened, in one line.
    let said = desk.run(&["sync"]);
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.starts_with(&format!(
            "Syncing failed: Cannot connect to server. Check your internet connection. ({host}: Connection refused"
        )),
        "{said:?}"
    );
    // Reads need no server.
    assert_eq!(desk.run_env(&["get", "username", "plain"], &[("BW_SESSION", &key)]), out("alice"));
    assert_eq!(desk.run(&["unlock", PASSWORD, "--raw"]).code, 0);
    assert_eq!(desk.run(&["logout"]), out("You have logged out."));
    assert_eq!(desk.run(&["config", "server", "http://localhost:1"]).code, 0);
    assert_eq!(
        desk.run(&["login", EMAIL, PASSWORD]),
        err("Error: Insecure URL not allowed. All URLs must use HTTPS.")
    );
}

/// A server that answers, and is none of Bitwarden's.
#[test]
fn a_server_of_another_kind_is_told_in_one_sentence() {
    let desk = Desk::new(Flavour::Vaultwarden);
    let host = desk.server.url().replace("https://", "");
    let not_understood = |what: &str| {
        err(&format!(
            "The server at {host} sent an answer that is not understood ({what}). Is it a Bitwarden server?"
        ))
    };
    let page = |status: u16, body: &str| {
        let path = "/identity/accounts/prelogin";
        for _ in 0..2 {
            desk.server.world().failures.push_back((path.to_owned(), status, body.to_owned()));
        }
        let said = desk.run(&["login", EMAIL, PASSWORD]);
        desk.server.world().failures.clear();
        said
    };
    assert_eq!(page(404, "<h1>Not found</h1>"), not_understood("404: nothing is at this address"));
    let said = page(200, "<html>Welcome to nginx!</html>");
    assert!(said.stderr.ends_with("Is it a Bitwarden server?"), "{said:?}");
    assert!(!desk.server.calls().iter().any(|c| c.ends_with("/connect/token")), "no hash was sent");
}

#[test]
fn a_proxy_is_used_for_every_call() {
    use std::io::{BufRead as _, Write as _};
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let calls = desk.server.calls().len();
    // Of the two the official program takes the first.
    let idle = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let idle = format!("http://{idle}");
    for (variable, other) in
        [("http_proxy", Some("https_proxy")), ("https_proxy", None), ("HTTPS_PROXY", None)]
    {
        let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", proxy.local_addr().unwrap());
        let mut child = desk
            .command(crate::bw_harness::Program::Ours)
            .arg("sync")
            .env(variable, &address)
            .envs(other.map(|other| (other, &idle)))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // A program that goes elsewhere would be waited for in vain.
        let at = proxy.local_addr().unwrap();
        let ended = std::thread::spawn(move || {
            let success = child.wait().unwrap().success();
            if let Ok(mut nobody) = std::net::TcpStream::connect(at) {
                let _ = nobody.write_all(b"nobody came\n");
            }
            success
        });
        let mut line = String::new();
        std::io::BufReader::new(proxy.accept().unwrap().0).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("CONNECT {} HTTP/1.1", desk.server.url().replace("https://", "")));
        drop(proxy);
        assert!(!ended.join().unwrap());
    }
    assert_eq!(desk.server.calls().len(), calls, "nothing went past the proxy");
}

/// A certificate file that is not there keeps no vault open.
#[test]
fn extra_certificates_that_cannot_be_read_are_ignored() {
    let (desk, key) = Desk::logged_in(Flavour::Vaultwarden);
    let env = [("NODE_EXTRA_CA_CERTS", "/nowhere/ca.pem"), ("BW_SESSION", key.as_str())];
    let warning = "Warning: Ignoring extra certs from `/nowhere/ca.pem`, load failed: ";
    let said = desk.run_env(&["sync", "-f"], &env);
    assert!(said.stderr.starts_with(warning), "{said:?}");
    assert!(said.stderr.contains("Syncing failed: Cannot connect to server."), "{said:?}");
    assert_eq!(desk.run_env(&["unlock", "--check"], &env), out("Vault is unlocked!"));
    assert_eq!(desk.run_env(&["lock"], &env), out("Your vault is locked."));
    assert_eq!(desk.run_env(&["unlock", "--check"], &env), err("Vault is locked."));
    assert_eq!(desk.run_env(&["unlock", PASSWORD, "--raw"], &env).code, 0);
    assert_eq!(desk.run_env(&["logout"], &env), out("You have logged out."));
}

/// `openssl req -x509` makes certificates that call themselves CAs; such a server is believed when it is named.
#[test]
fn a_server_whose_certificate_signs_itself() {
    let server = durward_testkit::bitwarden::BitwardenServer::start_self_signed(
        Flavour::Vaultwarden,
        vec![crate::bw_harness::account()],
    );
    let desk = Desk::at(server);
    assert_eq!(desk.login().len(), 88);
    assert_eq!(desk.run(&["logout"]).code, 0);
    let said = desk.run_env(&["login", EMAIL, PASSWORD], &[("NODE_EXTRA_CA_CERTS", "")]);
    assert!(said.stderr.contains("Cannot connect to server."), "{said:?}");
}

#[test]
fn empty_values_are_none() {
    let (desk, key) = Desk::logged_in(Flavour::Vaultwarden);
    let run = |args: &[&str]| desk.run_env(args, &[("BW_SESSION", key.as_str())]).stdout;
    for option in ["--folderid", "--collectionid", "--organizationid", "--search", "--url"] {
        assert_eq!(run(&["list", "items", option, ""]), run(&["list", "items"]), "{option}");
    }
    assert_eq!(run(&["list", "collections", "--organizationid", ""]), run(&["list", "collections"]));
    assert_eq!(run(&["encode", "--response"]), r#"{"success":true,"data":{"object":"string","data":""}}"#);
    let file = desk.data().join("data.json");
    let text = fs::read_to_string(&file).unwrap();
    let last = desk.data_json()["user_0bc87994-7c15-4960-806d-6e807fed6694_sync_lastSync"].to_string();
    std::io::Write::write_all(&mut fs::File::create(&file).unwrap(), text.replace(&last, "null").as_bytes())
        .unwrap();
    assert_eq!(
        run(&["sync", "--last", "--response"]),
        r#"{"success":true,"data":{"object":"string","data":null}}"#
    );
    assert_eq!(run(&["sync", "--last"]), "");
}

#[test]
fn a_data_folder_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt as _;
    let desk = Desk::new(Flavour::Vaultwarden);
    let folder = desk.path().join(std::ffi::OsStr::from_bytes(b"d\xffta"));
    let mut command = desk.command(crate::bw_harness::Program::Ours);
    let output = command.arg("status").env("BITWARDENCLI_APPDATA_DIR", &folder).output().unwrap();
    assert!(output.status.success() && folder.join("data.json").is_file());
}

#[test]
fn switches_change_only_the_dress() {
    let (desk, key) = Desk::logged_in(Flavour::Vaultwarden);
    let env = [("BW_SESSION", key.as_str())];
    let run = |args: &[&str]| desk.run_env(args, &env);
    assert_eq!(
        run(&["lock", "--response"]).stdout,
        r#"{"success":true,"data":{"noColor":false,"object":"message","title":"Your vault is locked.","message":null}}"#
    );
    let said = desk.run(&["unlock", PASSWORD, "--response"]);
    let value: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(value["data"]["title"], "Your vault is now unlocked!");
    assert_eq!(value["data"]["raw"].as_str().unwrap().len(), 88);
    assert_eq!(
        desk.run(&["list", "items", "--response"]),
        Said {
            code: 1,
            stdout: r#"{"success":false,"message":"Vault is locked."}"#.into(),
            stderr: String::new()
        }
    );
    assert_eq!(
        desk.run(&["list", "items", "--response", "--quiet"]),
        Said { code: 1, stdout: String::new(), stderr: String::new() }
    );
    assert_eq!(
        desk.run(&["list", "items", "--quiet"]),
        Said { code: 1, stdout: String::new(), stderr: String::new() }
    );
    assert_eq!(desk.run(&["list", "items", "--cleanexit"]).code, 0);
    assert_eq!(desk.run_env(&["list", "items"], &[("BW_CLEANEXIT", "1")]).code, 0);
    assert_eq!(desk.run_env(&["list", "items"], &[("BW_QUIET", "true")]).stderr, "");
    assert_eq!(
        desk.run(&["lock", "--nonsense", "--cleanexit"]).code,
        1,
        "mistakes of the words stay mistakes"
    );
    assert_eq!(desk.run(&["status", "--quiet"]), out(""));
}
