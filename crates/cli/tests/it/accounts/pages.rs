//! The examples of `docs/passphrase-key-exchange.md`, and the commands.

use std::os::unix::fs::PermissionsExt as _;

use durward_testkit::approver::Reply;
use serde_json::json;

use super::serving::{PHRASE, Serving, WRONG, account, call, device};
use crate::env::TestEnvironment;

/// Knock, phrase, key, use; then list, rename, rotate, revoke: fields and texts as documented.
#[test]
fn the_examples_of_the_page() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let mac = json!({ "type": "terminal", "name": "MacBook Terminal", "fingerprint": "osx-Mac.lan" });

    let knock = server.post("/auth/knock", None, &json!({ "device": mac }));
    let challenge = knock.body["challenge"].as_str().unwrap();
    assert!(challenge.starts_with("nonce_"));
    assert_eq!(
        knock.body,
        json!({ "challenge": challenge, "expires_in": 300, "message": "Provide your passphrase within 5 minutes" })
    );
    let body = json!({ "challenge": challenge, "passphrase": WRONG, "device": mac });
    let failed = server.post("/auth/exchange", None, &body);
    assert_eq!(failed.status, 401);
    assert_eq!(
        failed.body,
        json!({
            "success": false, "error": "invalid_passphrase", "message": "Passphrase not recognized",
            "attempts_remaining": 2,
        })
    );
    let body = json!({ "challenge": challenge, "passphrase": PHRASE, "device": mac });
    assert_eq!(server.post("/auth/exchange", None, &body).error(), "invalid_challenge", "used already");

    let issued = server.exchange("alan", PHRASE, &mac);
    let key = issued.body["api_key"].as_str().unwrap().to_owned();
    let id = issued.body["device_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("dev_terminal_osx-Mac.lan_20"));
    assert!(key.starts_with("memorable_terminal_") && key.len() == "memorable_terminal_".len() + 32);
    let at = issued.body["issued_at"].clone();
    assert_eq!(
        issued.body,
        json!({
            "success": true, "api_key": key, "device_id": id, "user": "alan", "issued_at": at,
            "expires_at": null, "revoke_endpoint": format!("/auth/revoke/{id}"),
        })
    );
    assert_eq!(issued.header("cache-control"), Some("no-store"));

    let good = server.get("/auth/verify", Some(&key));
    assert_eq!(
        (good.status, good.header("remote-user"), good.header("remote-device")),
        (200, Some("alan"), Some(&*id))
    );
    assert_eq!(server.get("/auth/verify", None).error(), "invalid_api_key");
    let renamed = call(
        server.address,
        "PATCH",
        &format!("/auth/devices/{id}"),
        Some(&key),
        Some(&json!({ "name": "Mac at home" })),
    );
    assert_eq!(renamed.body["name"], "Mac at home");
    let list = server.get("/auth/devices", Some(&key));
    let used = list.body["devices"][0]["last_used"].clone();
    assert!(used.is_string(), "the list knows of this very use");
    assert_eq!(
        list.body,
        json!({ "user": "alan", "devices": [{
            "device_id": id, "type": "terminal", "name": "Mac at home", "issued_at": at, "last_used": used,
            "active": true,
        }] })
    );
    let who = server.get("/auth/whoami", Some(&key));
    assert_eq!((who.body["user"].as_str(), who.body["device_id"].as_str()), (Some("alan"), Some(&*id)));

    let rotated = server.post("/auth/rotate", Some(&key), &json!({ "grace_seconds": 60 }));
    let fresh = rotated.body["api_key"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/auth/verify", Some(&key)).status, 200, "in its grace period");
    let glasses = server.key("alan", &json!({ "type": "ar_glasses", "name": "EnvisionX" }));
    let gone = server.post("/auth/revoke", Some(&glasses), &json!({ "device_id": id }));
    assert_eq!(
        gone.body,
        json!({
            "success": true, "revoked": id,
            "message": "Device key revoked. Device must re-authenticate with passphrase.",
        })
    );
    for dead in [&key, &fresh] {
        assert_eq!(server.get("/auth/verify", Some(dead)).error(), "invalid_api_key");
    }
    let again = server.post("/auth/revoke", Some(&glasses), &json!({ "device_id": id }));
    assert_eq!((again.status, again.error()), (404, "unknown_device"));

    let change = json!({
        "current_passphrase": PHRASE, "new_passphrase": "The forest remembers every footstep.",
        "revoke_all_devices": false,
    });
    let weak = json!({ "current_passphrase": PHRASE, "new_passphrase": "too short" });
    assert_eq!(server.post("/auth/passphrase/change", Some(&glasses), &weak).error(), "weak_passphrase");
    assert_eq!(
        server.post("/auth/passphrase/change", Some(&glasses), &change).body,
        json!({
            "success": true, "message": "Passphrase changed. Existing device keys remain valid.",
            "tip": "Set revoke_all_devices:true to force all devices to re-authenticate",
        })
    );
    assert_eq!(server.get("/auth/verify", Some(&glasses)).status, 200);
    let second = server.post("/auth/passphrase/change", Some(&glasses), &change);
    assert_eq!((second.status, second.error()), (429, "rate_limited"), "one an hour");
    assert!(second.header("retry-after").is_some());
}

/// `curl` and `jq` as the page has them; only the port is the test's.
#[test]
fn the_curls_of_the_page() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let script = r#"set -eu
CHALLENGE=$(curl -s -X POST http://localhost:3000/auth/knock \
  -H "Content-Type: application/json" \
  -d '{"device":{"type":"terminal","name":"Claude Code"}}' \
  | jq -r '.challenge')
API_KEY=$(curl -s -X POST http://localhost:3000/auth/exchange \
  -H "Content-Type: application/json" \
  -d "{\"challenge\":\"$CHALLENGE\",\"passphrase\":\"I remember what I have learned from you.\",\"device\":{\"type\":\"terminal\",\"name\":\"Claude Code\"}}" \
  | jq -r '.api_key')
echo "$API_KEY"
curl -s -H "X-API-Key: $API_KEY" http://localhost:3000/auth/whoami
"#;
    let script = script.replace("localhost:3000", &server.address.to_string());
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert!(text.starts_with("memorable_terminal_"), "{text}");
    assert!(text.contains(r#""device_id":"dev_terminal_Claude-Code_"#), "{text}");
}

/// Make, list, unlock, new phrase, codes, import, remove: with a server and without one.
#[test]
fn the_commands() {
    let env = TestEnvironment::new();
    for running in [false, true] {
        let server = running.then(|| Serving::start(&env, &[]));
        let run = |arguments: &[&str]| env.run(arguments);
        assert_eq!(account(&env, "alan").len(), 10);
        let twice = env.run_with(&["account", "add", "alan", "--password-stdin"], &format!("{PHRASE}\n"));
        assert_eq!(twice.code, 64);
        assert!(twice.stderr.contains("an account of that name exists"), "{twice:?}");
        let weak = env.run_with(&["account", "add", "bert", "--password-stdin"], "short\n");
        assert!(weak.stderr.contains("at least 5 words or 24 characters"), "{weak:?}");
        let suggested = run(&["account", "add", "cora", "--suggest", "--json"]).json();
        assert_eq!(suggested["passphrase"].as_str().unwrap().split(' ').count(), 6);
        let list = run(&["account", "list", "--json"]).json();
        assert_eq!(
            list["accounts"][0],
            json!({
                "user": "alan", "active_devices": 0, "recovery_codes": 10, "opaque": true,
                "failures": 0, "locked": [],
            })
        );
        let shown = run(&["account", "list"]).stdout;
        assert!(shown.contains("RECOVERY CODES") && shown.contains("LOCKED"), "{shown}");
        assert_eq!(run(&["account", "unlock", "alan"]).code, 0);
        let nobody = run(&["account", "unlock", "nobody"]);
        assert_eq!(nobody.code, 4, "{nobody:?}");
        assert!(nobody.stderr.contains("there is no account nobody"), "{nobody:?}");
        let codes = run(&["account", "recovery", "alan"]);
        assert_eq!(codes.stdout.lines().count(), 10);
        let import =
            ["account", "import-key", "--user", "alan", "--expires", "2999-12-31", "--password-stdin"];
        let imported = env.run_with(&import, "the-shared-key-of-before\n");
        assert_eq!(imported.code, 0, "{imported:?}");
        assert!(imported.stderr.contains("until the end of 2999-12-31"), "{imported:?}");
        let devices = run(&["account", "devices", "alan", "--json"]).json();
        assert_eq!(devices["devices"][0]["imported"], true, "{devices}");
        assert_eq!(env.run_with(&import, "the-shared-key-of-before\n").code, 64, "the same key twice");
        if let Some(server) = &server {
            assert_eq!(server.get("/auth/verify", Some("the-shared-key-of-before")).status, 200);
        }
        assert_eq!(run(&["account", "remove", "cora"]).code, 64, "nobody confirmed");
        assert_eq!(run(&["account", "remove", "cora", "--yes"]).code, 0);
        assert_eq!(run(&["account", "remove", "alan", "--yes"]).code, 0);
        if let Some(server) = server {
            assert_eq!(server.get("/auth/verify", Some("the-shared-key-of-before")).status, 401);
            server.kill();
        }
    }
}

/// Whoever owns the folder sees devices and lockouts, and ends a device's key.
#[test]
fn the_owner_sees_devices_and_lockouts() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let ring = json!({ "type": "ring", "name": "Ring", "fingerprint": "oura" });
    let issued = server.exchange("alan", PHRASE, &ring);
    let (key, id) = (issued.body["api_key"].as_str().unwrap(), issued.body["device_id"].as_str().unwrap());
    for _ in 0..3 {
        assert_eq!(server.exchange("alan", WRONG, &ring).status, 401);
    }
    let list = env.run(&["account", "list", "--json"]).json();
    let alan = &list["accounts"][0];
    assert_eq!(
        (alan["failures"].as_u64(), alan["locked"][0]["address"].as_str()),
        (Some(3), Some("127.0.0.1"))
    );
    assert!(env.run(&["account", "list"]).stdout.contains("127.0.0.1 until "));
    let devices = env.run(&["account", "devices", "alan", "--json"]).json();
    assert_eq!(devices["devices"][0]["device_id"], id);
    assert!(env.run(&["account", "devices", "alan"]).stdout.contains(id));
    assert_eq!(env.run(&["account", "revoke", "alan", id]).code, 0);
    assert_eq!(server.get("/auth/verify", Some(key)).status, 401, "dead at once");
    let again = env.run(&["account", "revoke", "alan", id]);
    assert_eq!(again.code, 4, "{again:?}");
    assert!(again.stderr.contains("no active device"), "{again:?}");
    assert_eq!(env.run(&["account", "devices", "nobody"]).code, 4);
    env.run(&["account", "unlock", "alan"]);
    let list = env.run(&["account", "list", "--json"]).json();
    assert_eq!((&list["accounts"][0]["failures"], &list["accounts"][0]["locked"]), (&json!(0), &json!([])));
}

/// A second `key get` into the same file ends the first key, under whatever name; another file is another device.
#[test]
fn a_second_key_takes_the_place_of_the_first() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let url = server.url();
    let get = |more: &[&str]| {
        let mut arguments =
            vec!["key", "get", "--server", &url, "--user", "alan", "--password-stdin", "--json"];
        arguments.extend(more);
        let got = env.run_with(&arguments, &format!("{PHRASE}\n"));
        assert_eq!(got.code, 0, "{got:?}");
        std::fs::read_to_string(got.json()["file"].as_str().unwrap()).unwrap()
    };
    let (first, renamed, second) = (get(&[]), get(&["--name", "Ada's new laptop"]), get(&[]));
    for key in [&first, &renamed] {
        assert_eq!(server.get("/auth/verify", Some(key)).status, 401);
    }
    assert_eq!(server.get("/auth/verify", Some(&second)).status, 200);
    let other = env.home().join("other.key").display().to_string();
    let third = get(&["--output", &other]);
    for key in [&second, &third] {
        assert_eq!(server.get("/auth/verify", Some(key)).status, 200);
    }
    let devices = env.run(&["account", "devices", "alan", "--json"]).json();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 2, "{devices}");
}

/// With the key that lies here: list, whoami, rotate, revoke.
#[test]
fn a_device_manages_keys_with_its_own() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let url = server.url();
    let key = |verb: &[&str]| env.run(&[&["key"], verb, &["--server", &url]].concat());
    let none = key(&["list"]);
    assert_eq!(none.code, 4, "{none:?}");
    assert!(none.stderr.contains("durward key get"), "{none:?}");
    let get = ["key", "get", "--server", &url, "--user", "alan", "--password-stdin", "--json"];
    let got = env.run_with(&get, &format!("{PHRASE}\n")).json();
    let file = got["file"].as_str().unwrap();
    let ring = server.exchange("alan", PHRASE, &json!({ "type": "ring", "name": "Ring" }));
    let lost = ring.body["device_id"].as_str().unwrap();
    let who = key(&["whoami", "--json"]).json();
    assert_eq!((&who["user"], &who["device_id"]), (&json!("alan"), &got["device_id"]));
    let list = key(&["list"]).stdout;
    assert!(list.contains(lost) && list.contains(got["device_id"].as_str().unwrap()), "{list}");
    assert_eq!(key(&["revoke", lost]).code, 0);
    assert_eq!(server.get("/auth/verify", ring.body["api_key"].as_str()).status, 401);
    let again = key(&["revoke", lost, "--json"]);
    assert_eq!((again.code, again.json()["error"]["code"].as_str()), (4, Some("unknown_device")));
    let again = key(&["revoke", lost]);
    assert!(again.stderr.contains("durward key list") && !again.stderr.contains("GET"), "{again:?}");
    for refused in [key(&["revoke", "ring"]), env.run(&["account", "revoke", "alan", "ring"])] {
        assert_eq!(refused.code, 64, "{refused:?}");
        assert!(refused.stderr.contains("looks like dev_ring_oura_20260110"), "{refused:?}");
    }
    let old = std::fs::read_to_string(file).unwrap();
    let rotated = key(&["rotate", "--grace-seconds", "0", "--json"]);
    let new = std::fs::read_to_string(file).unwrap();
    assert!(rotated.code == 0 && new != old && !rotated.stdout.contains(&new), "{rotated:?}");
    assert_eq!(key(&["whoami", "--user", "alan"]).code, 0, "the new key lies where the old one did");
    assert_eq!(server.get("/auth/verify", Some(&old)).status, 401);
}

/// A server may answer what it likes: nothing of it reaches a terminal as it is.
#[test]
fn a_server_that_deceives_is_shown_harmless() {
    let env = TestEnvironment::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let body = json!({ "devices": [{ "name": "Ring\u{202e}" }] }).to_string().into_bytes();
    let serving = durward_testkit::http::serve(move |_| Some(Reply { status: 200, body: body.clone() }));
    let served = runtime.block_on(serving).unwrap();
    let file = env.file("some.key", "a-key");
    for more in [&[][..], &["--json"]] {
        let listed =
            env.run(&[&["key", "list", "--server", &served.url(), "--key-file", &file], more].concat());
        assert_eq!(listed.code, 0, "{listed:?}");
        assert!(listed.stdout.contains("Ring\\u") && !listed.stdout.contains('\u{202e}'), "{listed:?}");
    }
}

/// Wrong phrases say how many are left, over OPAQUE too, and a lock how long it lasts.
#[test]
fn a_refused_login_says_how_it_stands() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let url = server.url();
    for user in ["alan", "nobody"] {
        let get = ["key", "get", "--server", &url, "--user", user, "--password-stdin", "--json"];
        for left in [2, 1, 0] {
            let wrong = env.run_with(&get, &format!("{WRONG}\n"));
            assert_eq!(wrong.json()["error"]["attempts_remaining"], left, "{wrong:?}");
        }
        let locked = env.run_with(&get, &format!("{PHRASE}\n"));
        assert_eq!(locked.code, 10, "{locked:?}");
        let seconds = locked.json()["error"]["retry_after_seconds"].as_u64().unwrap();
        assert!((800..=900).contains(&seconds), "{seconds}");
        assert!(locked.stderr.contains("wait 15 min") || locked.stderr.contains("wait 14 min"), "{locked:?}");
    }
}

/// Half a pair of TLS files is a mistake, not plain HTTP.
#[test]
fn half_a_tls_pair_is_refused() {
    for (line, missing) in [("tls_cert = \"a.pem\"", "tls_key"), ("tls_key = \"a.pem\"", "tls_cert")] {
        let env = TestEnvironment::new();
        env.file("config.toml", &format!("[server]\n{line}\n"));
        for command in [&["config", "check"][..], &["serve", "--no-control-port"]] {
            let refused = env.run(command);
            assert_eq!(refused.code, 64, "{refused:?}");
            assert!(refused.stderr.contains(&format!("without {missing}")), "{refused:?}");
        }
    }
}

/// The key lands in a file for its owner alone, and works; OPAQUE by itself, plain when asked.
#[test]
fn key_get() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    for plain in [false, true] {
        let url = server.url();
        let mut arguments = vec!["key", "get", "--server", &url, "--user", "alan", "--name", "laptop"];
        arguments.extend(["--password-stdin", "--json"]);
        arguments.extend(plain.then_some("--plain"));
        let got = env.run_with(&arguments, "i remember what i have learned from you\n");
        assert_eq!(got.code, 0, "{got:?}");
        let file = got.json()["file"].as_str().unwrap().to_owned();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let key = std::fs::read_to_string(&file).unwrap();
        assert_eq!(server.get("/auth/verify", Some(&key)).header("remote-user"), Some("alan"));
        assert!(!got.stdout.contains(&key) && !got.stderr.contains(&key));
        let wrong = env.run_with(&arguments, &format!("{WRONG}\n"));
        assert_eq!((wrong.code, wrong.json()["error"]["code"].as_str()), (3, Some("invalid_passphrase")));
    }
    let bare = env.run_with(
        &["key", "get", "--server", "http://192.0.2.1", "--user", "alan", "--password-stdin"],
        &format!("{PHRASE}\n"),
    );
    assert_eq!(bare.code, 9, "{bare:?}");
}

/// Ten codes, each good once; a success ends the lock of this address.
#[test]
fn recovery() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    let codes = account(&env, "alan");
    for _ in 0..3 {
        assert_eq!(server.exchange("alan", WRONG, &device("a")).error(), "invalid_passphrase");
    }
    assert_eq!(server.exchange("alan", PHRASE, &device("a")).error(), "locked_out");
    let new = "The forest remembers every footstep.";
    let recover = |code: &str| {
        let challenge = server.knock(&device("a"));
        let body =
            json!({ "challenge": challenge, "user": "alan", "recovery_code": code, "new_passphrase": new });
        server.post("/auth/recover", None, &body)
    };
    assert_eq!(recover("0000-0000-0000-0000").error(), "invalid_passphrase");
    let good = recover(&codes[0].replace('-', " ").to_uppercase());
    assert_eq!((good.status, good.body["recovery_codes_remaining"].as_u64()), (200, Some(9)), "{good:?}");
    assert_eq!(recover(&codes[0]).error(), "invalid_passphrase", "once");
    let challenge_left = server.exchange("alan", new, &device("a"));
    assert_eq!(challenge_left.status, 200, "{challenge_left:?}");
}

/// Off loopback the server starts with TLS or without accounts, and says so.
#[test]
fn no_bare_secrets_beyond_this_machine() {
    let env = TestEnvironment::new();
    let refused = env.run(&["serve", "--listen", "0.0.0.0:0", "--no-control-port"]);
    assert_ne!(refused.code, 0);
    for word in ["--tls-cert", "--tls-self-signed", "--no-accounts"] {
        assert!(refused.stderr.contains(word), "{refused:?}");
    }
    let off = Serving::start(&env, &["--listen", "0.0.0.0:0", "--no-accounts"]);
    let port = off.address.port();
    let there = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(call(there, "GET", "/auth/verify", Some("k"), None).error(), "not_found");
    assert_eq!(env.run(&["account", "list"]).code, 9, "the running server has none");
    off.kill();

    let secure = Serving::start(&env, &["--tls-self-signed"]);
    account(&env, "alan");
    let url = format!("https://localhost:{}", secure.address.port());
    let get = |more: &[&str]| {
        let mut arguments = vec!["key", "get", "--server", &url, "--user", "alan", "--password-stdin"];
        arguments.extend(more);
        env.run_with(&arguments, &format!("{PHRASE}\n"))
    };
    assert_eq!(get(&[]).code, 2, "a certificate that nobody vouches for");
    let certificate = env.path("tls/self-signed.crt").display().to_string();
    let got = get(&["--ca", &certificate]);
    assert_eq!(got.code, 0, "{got:?}");
    let mode = std::fs::metadata(env.path("tls/self-signed.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
