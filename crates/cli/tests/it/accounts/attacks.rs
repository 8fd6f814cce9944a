//! Guessing, replaying, racing, locking out; across restarts and across two servers.

use std::sync::Arc;

use serde_json::json;

use super::serving::{PHRASE, Serving, WRONG, account, call, device};
use crate::env::TestEnvironment;

/// Forty guesses at once are three guesses; the other endpoints answer meanwhile, and memory stays small.
#[test]
fn parallel_guesses() {
    let env = TestEnvironment::new();
    // Each guess comes from where its header says: this proxy is trusted.
    let server = Arc::new(Serving::start(&env, &["--trusted-proxy", "127.0.0.1"]));
    account(&env, "alan");
    let key = server.key("alan", &device("mine"));
    let guesses: Vec<_> = (0..200)
        .map(|n| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || {
                let from = format!("198.51.100.{n}");
                let challenge = forwarded(&server, &from, "/auth/knock", &json!({ "device": device("g") }));
                let challenge = challenge.body["challenge"].as_str().unwrap().to_owned();
                let body = json!({
                    "challenge": challenge, "passphrase": WRONG, "device": device("g"), "user": format!("user{n}"),
                });
                forwarded(&server, &from, "/auth/exchange", &body).error().to_owned()
            })
        })
        .collect();
    let mut verified = 0;
    let mut most = 0;
    while guesses.iter().any(|guess| !guess.is_finished()) {
        assert_eq!(server.get("/auth/verify", Some(&key)).status, 200);
        verified += 1;
        most = most.max(resident_kib(server.pid()));
    }
    assert!(verified > 0);
    assert!(most < 100 * 1024, "{most} KiB while 200 guess");
    for guess in guesses {
        let error = guess.join().unwrap();
        assert_eq!(error, "invalid_passphrase");
    }

    let guesses: Vec<_> = (0..9)
        .map(|_| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || server.exchange("alan", WRONG, &device("g")).error().to_owned())
        })
        .collect();
    let errors: Vec<_> = guesses.into_iter().map(|guess| guess.join().unwrap()).collect();
    assert_eq!(errors.iter().filter(|error| *error == "invalid_passphrase").count(), 3, "{errors:?}");
    assert_eq!(errors.iter().filter(|error| *error == "locked_out").count(), 6, "{errors:?}");
}

/// Thirty failures from afar close the account to strangers, not to its owner; the alert hook hears of it.
#[test]
fn nobody_locks_the_owner_out_from_afar() {
    let mut env = TestEnvironment::new();
    env.program(
        "hook",
        "cat > \"$DURWARD_HOME/alert.tmp\" && mv \"$DURWARD_HOME/alert.tmp\" \"$DURWARD_HOME/alert.json\"",
    );
    let hook = env.path("bin/hook").display().to_string();
    let server = Serving::start(&env, &["--trusted-proxy", "127.0.0.1", "--alert-command", &hook]);
    account(&env, "alan");
    let login = |from: &str, phrase: &str, key: Option<&str>| {
        let knock = forwarded(&server, from, "/auth/knock", &json!({ "device": device("d") }));
        let challenge = knock.body["challenge"].as_str().unwrap().to_owned();
        let body =
            json!({ "challenge": challenge, "passphrase": phrase, "device": device("d"), "user": "alan" });
        forwarded_with(&server, from, "/auth/exchange", key, &body)
    };
    let key = login("192.0.2.1", PHRASE, None).body["api_key"].as_str().unwrap().to_owned();
    for n in 0..30 {
        let failed = login(&format!("198.51.100.{n}"), WRONG, None);
        assert_eq!(failed.error(), "invalid_passphrase", "{n}");
    }
    let stranger = login("198.51.100.99", PHRASE, None);
    assert_eq!((stranger.status, stranger.error()), (429, "locked_out"), "even with the right phrase");
    assert_eq!(login("192.0.2.1", PHRASE, None).status, 200, "an address with an earlier success");
    assert_eq!(login("203.0.113.9", PHRASE, Some(&key)).status, 200, "a new address that carries a key");
    let unknown = forwarded(&server, "203.0.113.10", "/auth/knock", &json!({ "device": device("d") }));
    assert_eq!(unknown.status, 200);
    let unlocked = env.run(&["account", "unlock", "alan"]);
    assert_eq!(unlocked.code, 0, "{unlocked:?}");
    assert_eq!(login("198.51.100.99", PHRASE, None).status, 200);
    // The hook was started before the thirtieth answer; it may still be writing.
    let alert = loop {
        if let Ok(text) = std::fs::read_to_string(env.path("alert.json")) {
            break text;
        }
        std::thread::yield_now();
    };
    let alert: serde_json::Value = serde_json::from_str(&alert).unwrap();
    assert_eq!(
        (alert["alert"].as_str(), alert["user"].as_str()),
        (Some("distributed_guessing"), Some("alan"))
    );
}

/// A server that is killed between attempts forgets none of them.
#[test]
fn a_restart_buys_no_guess() {
    let env = TestEnvironment::new();
    account(&env, "alan");
    for left in [2, 1, 0] {
        let server = Serving::start(&env, &[]);
        let failed = server.exchange("alan", WRONG, &device("d"));
        assert_eq!(failed.body["attempts_remaining"], left);
        server.kill();
    }
    let server = Serving::start(&env, &[]);
    let locked = server.exchange("alan", PHRASE, &device("d"));
    assert_eq!((locked.status, locked.error()), (429, "locked_out"));
    let wait: u32 = locked.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait));
    // A name without an account is answered alike.
    for left in [2, 1, 0] {
        assert_eq!(server.exchange("nobody", WRONG, &device("d")).body["attempts_remaining"], left);
    }
    assert_eq!(server.exchange("nobody", PHRASE, &device("d")).error(), "locked_out");
}

/// One challenge, many exchanges: one key.
#[test]
fn a_challenge_is_good_once() {
    let env = TestEnvironment::new();
    let server = Arc::new(Serving::start(&env, &[]));
    account(&env, "alan");
    let challenge = server.knock(&device("d"));
    let body = json!({ "challenge": challenge, "passphrase": PHRASE, "device": device("d") });
    let other = json!({ "challenge": challenge, "passphrase": PHRASE, "device": device("other") });
    assert_eq!(server.post("/auth/exchange", None, &other).error(), "invalid_challenge", "another device");
    let racers: Vec<_> = (0..10)
        .map(|_| {
            let (server, body) = (Arc::clone(&server), body.clone());
            std::thread::spawn(move || server.post("/auth/exchange", None, &body).status)
        })
        .collect();
    let statuses: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

/// Two servers on one PostgreSQL: what one counts, uses or revokes holds at the other.
#[test]
fn two_servers_one_database() {
    let (first, second) = (TestEnvironment::new(), TestEnvironment::new());
    let database = super::peers::Database::new();
    let other = ["--database-url", &database.url];
    let one = Serving::start(&first, &other);
    let foreign = second.run(&[
        "serve",
        "--no-control-port",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        &database.url,
    ]);
    assert!(
        foreign.stderr.contains("rest key"),
        "a server with another rest key does not start: {foreign:?}"
    );
    let rest = std::fs::read_to_string(first.path("keys/rest.key")).unwrap();
    second.file("keys/rest.key", &rest);
    let two = Serving::start(&second, &other);
    account(&first, "alan");

    let key = one.key("alan", &device("d"));
    assert_eq!(two.get("/auth/verify", Some(&key)).status, 200);
    let id = two.get("/auth/whoami", Some(&key)).body["device_id"].as_str().unwrap().to_owned();
    assert_eq!(two.post("/auth/revoke", Some(&key), &json!({ "device_id": id })).status, 200);
    assert_eq!(one.get("/auth/verify", Some(&key)).status, 401, "dead at once, everywhere");

    let challenge = one.knock(&device("d"));
    let body = json!({ "challenge": challenge, "passphrase": PHRASE, "device": device("d") });
    assert_eq!(two.post("/auth/exchange", None, &body).status, 200, "a challenge of the other server");
    assert_eq!(one.post("/auth/exchange", None, &body).error(), "invalid_challenge");
    for (server, left) in [(&one, 2), (&two, 1), (&one, 0)] {
        assert_eq!(server.exchange("alan", WRONG, &device("d")).body["attempts_remaining"], left);
    }
    assert_eq!(two.exchange("alan", PHRASE, &device("d")).error(), "locked_out");
    let knocks =
        (0..20).map(|n| [&one, &two][n % 2].post("/auth/knock", None, &json!({ "device": device("d") })));
    assert!(knocks.filter(|reply| reply.status == 200).count() <= 4, "ten a minute, together");
    let url = two.url();
    let get = ["key", "get", "--server", &url, "--user", "alan", "--password-stdin"];
    assert_eq!(second.run_with(&get, &format!("{PHRASE}\n")).code, 10, "limits hold for everybody");
}

fn forwarded(server: &Serving, from: &str, path: &str, body: &serde_json::Value) -> super::serving::Reply {
    forwarded_with(server, from, path, None, body)
}

fn forwarded_with(
    server: &Serving,
    from: &str,
    path: &str,
    key: Option<&str>,
    body: &serde_json::Value,
) -> super::serving::Reply {
    // The header rides on the key's line: `call` sends what it is given.
    let key = format!("{}\r\nX-Forwarded-For: {from}", key.unwrap_or("none"));
    call(server.address, "POST", path, Some(&key), Some(body))
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().split(' ').next().unwrap_or_default().parse().unwrap_or(0)
}
