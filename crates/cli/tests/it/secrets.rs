//! Every byte on the agent plane, in the logs of both ends, in the audit export and in the database:
//! none of them is a secret.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use durward_protocol::{RestKey, SecretBytes, base64url_array, base64url_decode, lp_all};
use serde_json::Value;

use crate::home::{Home, PASSWORD, USERNAME, VAULT_PASSWORD, other_code};
use crate::needles::Needle;
use crate::stream::Stream;

/// A proxy that hands everything on and keeps a copy of both directions.
struct Recorder {
    address: SocketAddr,
    tape: Stream,
}

impl Recorder {
    fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, tape) = (listener.local_addr().unwrap(), Stream::default());
        let recording = tape.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(target) else { return };
                let both = (client.try_clone().unwrap(), server.try_clone().unwrap());
                pump(both.0, server, recording.clone(), Some((address, target)));
                pump(both.1, client, recording.clone(), None);
            }
        });
        Self { address, tape }
    }
}

/// `host`: rewrites the first to the second in what is handed on, because the server checks `Host`.
fn pump(mut from: TcpStream, mut to: TcpStream, tape: Stream, host: Option<(SocketAddr, SocketAddr)>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 {
                break;
            }
            tape.push(&buffer[..n]);
            let bytes = match host {
                Some((own, target)) => {
                    let text = String::from_utf8_lossy(&buffer[..n]);
                    text.replacen(&own.to_string(), &target.to_string(), 1).into_bytes()
                }
                None => buffer[..n].to_owned(),
            };
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write); // the other side may have closed first
    });
}

/// The session keys in an agent's profile, opened with the agent's rest key.
fn session_keys(agent: &Home) -> Vec<u8> {
    let bytes: [u8; 32] = std::fs::read(agent.path("agents/.keys/rest.key")).unwrap().try_into().unwrap();
    let stored = std::fs::read(agent.path("agents/default/session.json")).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    let text = |key: &str| stored[key].as_str().unwrap();
    let identity: Vec<&[u8]> =
        ["session_id", "agent_id", "approver_id", "scope"].iter().map(|key| text(key).as_bytes()).collect();
    let sealed = base64url_decode(text("sealed_keys")).unwrap();
    let rest = RestKey::from_bytes(SecretBytes::new(bytes));
    rest.open("agent session", &lp_all(&identity), &sealed).unwrap().to_vec()
}

/// Everything in a folder but the files that are meant to hold what they hold.
fn files(folder: &Path, except: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, except));
        } else if path.is_file() && !except.iter().any(|name| path.ends_with(name)) {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn no_secret_is_on_the_wire_in_a_log_or_in_the_database() {
    let (owner, agent) = (Home::with_vault(), Home::empty());
    let daemon = owner.serve();
    let proxy = Recorder::before(daemon.listen);
    let url = format!("http://{}", proxy.address);
    let ask = ["request", "example.com", "--reason", "Book the flight", "--approver", &url];
    let mut approver = owner.approve();
    let mut codes = Vec::new();

    // A wrong code first.
    let first = Home::start_with(agent.command(&ask).env("DURWARD_LOG", "trace"));
    codes.push(first.code());
    codes.push(other_code(&codes[0]));
    approver.stdout.wait_for_count("Type the code from the agent's screen", 1);
    approver.say(&format!("{}\n", codes[1]));
    let first = first.finish();
    assert_eq!(first.code, 5, "{first:?}");

    // Then the right one, a wrong vault password, the right one.
    let second = Home::start_with(agent.command(&ask).env("DURWARD_LOG", "trace"));
    codes.push(second.code());
    approver.stdout.wait_for_count("Type the code from the agent's screen", 2);
    approver.say(&format!("{}\n", codes[2]));
    approver.stdout.wait_for("Release it?");
    approver.say("y 15m\n");
    approver.stdout.wait_for_count("Vault password:", 1);
    approver.say("wrong-Password-of-the-owner\n");
    approver.stdout.wait_for("Wrong vault password.");
    approver.stdout.wait_for_count("Vault password:", 2);
    approver.say(&format!("{VAULT_PASSWORD}\n"));
    let second = second.finish();
    assert_eq!(second.code, 0, "{second:?}");
    assert!(second.stdout.contains(USERNAME) && second.stdout.contains(PASSWORD), "{second:?}");

    // Under the grant, with the vault kept open.
    let unlocked = owner.run_with(&["unlock", "--for", "5m", "--password-stdin"], VAULT_PASSWORD);
    assert_eq!(unlocked.code, 0, "{unlocked:?}");
    let third = agent.run(&ask);
    assert_eq!((third.code, &third.stdout), (0, &second.stdout), "{third:?}");
    approver.close_stdin();
    let approver = approver.finish();

    // What must not be found.
    let mut needles = vec![
        Needle::new("vault password", VAULT_PASSWORD.as_bytes()),
        Needle::new("wrong vault password", b"wrong-Password-of-the-owner"),
        Needle::new("username", USERNAME.as_bytes()),
        Needle::new("password", PASSWORD.as_bytes()),
    ];
    for code in &codes {
        needles.push(Needle::new("code", code.split_once('-').unwrap().1.as_bytes()));
    }
    let keys = session_keys(&agent);
    needles.push(Needle::new("key a to b", &keys[..32]));
    needles.push(Needle::new("key b to a", &keys[32..64]));
    let rest = std::fs::read_to_string(owner.path("keys/rest.key")).unwrap();
    needles.push(Needle::new("rest key", &base64url_array::<32>(rest.trim()).unwrap()));
    let token = std::fs::read_to_string(owner.path("api.token")).unwrap();
    needles.push(Needle::new("token", token.trim().as_bytes()));

    // Where.
    let export = owner.run(&["audit", "export"]);
    assert!(export.stdout.lines().count() > 8, "{export:?}");
    let mut hays = vec![
        ("wire".to_owned(), proxy.tape.bytes()),
        ("server log".to_owned(), daemon.process.stderr.bytes()),
        ("server stdout".to_owned(), daemon.process.stdout.bytes()),
        ("approver".to_owned(), [approver.stdout, approver.stderr].concat().into_bytes()),
        ("audit".to_owned(), export.stdout.into_bytes()),
    ];
    for finished in [first, second, third] {
        // The box is where the code belongs.
        let lines = finished.stderr.lines().filter(|line| !line.contains('│'));
        hays.push(("agent log".to_owned(), lines.collect::<Vec<_>>().join("\n").into_bytes()));
    }
    hays.extend(files(owner.folder(), &["keys/rest.key", "api.token"]));
    hays.extend(files(agent.folder(), &[]));
    let names: Vec<&str> = hays.iter().map(|(name, _)| name.as_str()).collect();
    for wanted in ["durward.db", "durward.db-wal", "session.json"] {
        assert!(names.iter().any(|name| name.ends_with(wanted)), "{wanted} is not among {names:?}");
    }

    // The search works on these very places: what must be there is found, and what is planted.
    let wire = String::from_utf8_lossy(&hays[0].1);
    for needed in
        ["/pairing/exchange", "pake_message", "/pairing/confirm", "encrypted_payload", "\"session_id\""]
    {
        assert!(wire.contains(needed), "{needed} is not on the tape");
    }
    let log = String::from_utf8_lossy(&hays[1].1);
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is at its loudest");
    assert!(log.contains("session key established"), "and tells of the key without telling the key");
    for needle in &needles {
        for (name, hay) in &hays {
            if let Some(dress) = needle.found_in(hay) {
                panic!("{} is in {name} ({dress})", needle.name);
            }
        }
    }
    let planted = [hays[0].1.as_slice(), b"xx", PASSWORD.as_bytes()].concat();
    assert_eq!(needles[3].found_in(&planted), Some("plain"));
    drop(daemon);
}

/// The database of a server that was stopped in order holds everything in one file.
#[test]
fn nor_after_an_orderly_stop() {
    let (owner, agent) = (Home::with_vault(), Home::empty());
    let daemon = owner.serve();
    let ask = ["request", "example.com", "--reason", "Book it", "--approver", &daemon.url()];
    let asking = Home::start_with(agent.command(&ask).stdin(Stdio::null()));
    let code = asking.code();
    owner.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(owner.enter(&code).code, 0);
    assert_eq!(owner.approve_first().code, 0);
    assert_eq!(asking.finish().code, 0);
    assert_eq!(owner.run(&["down"]).code, 0);
    assert_eq!(daemon.process.finish().code, 0);
    let keys = session_keys(&agent);
    let needles = [
        Needle::new("vault password", VAULT_PASSWORD.as_bytes()),
        Needle::new("password", PASSWORD.as_bytes()),
        Needle::new("code", code.split_once('-').unwrap().1.as_bytes()),
        Needle::new("key a to b", &keys[..32]),
        Needle::new("key b to a", &keys[32..64]),
    ];
    for (name, hay) in files(owner.folder(), &["keys/rest.key"]) {
        for needle in &needles {
            assert_eq!(needle.found_in(&hay), None, "{} is in {name}", needle.name);
        }
    }
}
