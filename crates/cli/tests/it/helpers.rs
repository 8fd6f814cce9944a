//! `credential-helper` and the scripts in `examples/shell`, asked by the real git and as docker and AWS would ask.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use serde_json::Value;

use crate::home::{Daemon, Finished, Home, PASSWORD, USERNAME, VAULT_PASSWORD};

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shell").canonicalize().unwrap()
}

/// `durward` and the scripts first.
pub(crate) fn path() -> std::ffi::OsString {
    let own = Path::new(env!("CARGO_BIN_EXE_durward")).parent().unwrap().to_owned();
    let others = std::env::var_os("PATH").unwrap();
    std::env::join_paths([own, scripts()].into_iter().chain(std::env::split_paths(&others))).unwrap()
}

/// An agent with a session and a vault that is open: requests need the owner's word and no more.
fn bench(items: &[&str]) -> (Home, Home, Daemon) {
    let (home, agent) = (Home::with_vault(), Home::empty());
    for domain in items {
        let add =
            ["vault", "add", domain, "--username", USERNAME, "--password-stdin", "--from-stdin", "password"];
        let added = home.run_with(&add, &format!("{VAULT_PASSWORD}\n{PASSWORD}\n"));
        assert_eq!(added.code, 0, "{added:?}");
    }
    let daemon = home.serve_quietly();
    let asking = agent.start(&["request", "example.com", "--reason", "x", "--approver", &daemon.url()]);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    assert_eq!(home.run_with(&["unlock", "--password-stdin"], VAULT_PASSWORD).code, 0);
    home.wait_requests(1);
    assert_eq!(home.run(&["requests", "approve", "1"]).code, 0);
    assert_eq!(asking.finish().code, 0);
    (home, agent, daemon)
}

/// A program in the agent's environment, with `input` on its stdin.
fn start(agent: &Home, program: &[&str], input: &str) -> crate::home::Process {
    let mut command = Command::new(program[0]);
    command
        .args(&program[1..])
        .env_clear()
        .env("PATH", path())
        .env("HOME", agent.folder())
        .env("DURWARD_HOME", agent.folder())
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(agent.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = Home::start_with(&mut command);
    process.say(input);
    process.close_stdin();
    process
}

/// The same, and the owner says yes; what the owner read.
fn approved(home: &Home, agent: &Home, program: &[&str], input: &str) -> (Finished, String) {
    let process = start(agent, program, input);
    let reason = home.wait_requests(1)[0]["reason"].as_str().unwrap().to_owned();
    let approved = home.run(&["requests", "approve", "1"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    (process.finish(), reason)
}

#[test]
fn git_clones_from_a_server_that_wants_a_password() {
    let (home, agent, _daemon) = bench(&["127.0.0.1"]);
    let git = |arguments: &[&str]| {
        let done = start(&agent, &[&["git"], arguments].concat(), "").finish();
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
    };
    git(&["init", "--quiet", "-b", "main", "work"]);
    let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    git(&[&["-C", "work"], who.as_slice(), &["commit", "--quiet", "--allow-empty", "-m", "first"]].concat());
    git(&["clone", "--quiet", "--bare", "work", "served.git"]);
    git(&["-C", "served.git", "update-server-info"]);
    let (server, refused) = serve_files(agent.folder());
    let url = format!("http://{server}/served.git");

    let clone = ["git", "-c", "credential.helper=durward", "clone", &url, "cloned"];
    let (cloned, reason) = approved(&home, &agent, &clone, "");
    assert_eq!(cloned.code, 0, "{cloned:?}");
    assert_eq!(reason, format!("git: {server}"));
    assert!(agent.path("cloned/.git/HEAD").exists());
    assert!(*refused.lock().unwrap() > 0, "the server asked for a password");
    let config = std::fs::read_to_string(agent.path("cloned/.git/config")).unwrap();
    assert!(!config.contains(PASSWORD) && !cloned.stderr.contains(PASSWORD), "{cloned:?}");

    // A no ends it: git neither asks anybody else nor tries without.
    let denied = start(&agent, &["git", "-c", "credential.helper=durward", "clone", &url, "denied"], "");
    home.wait_requests(1);
    assert_eq!(home.run(&["requests", "deny", "1"]).code, 0);
    let denied = denied.finish();
    assert_ne!(denied.code, 0);
    assert!(denied.stderr.contains("denied the request") && denied.stderr.contains("to quit"), "{denied:?}");
    assert!(!agent.path("denied").exists());
}

/// git's simple HTTP protocol: files behind Basic authentication. How often it asked for a password.
fn serve_files(folder: &Path) -> (SocketAddr, Arc<Mutex<u32>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, folder) = (listener.local_addr().unwrap(), folder.to_owned());
    let refused = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&refused);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let _ = answer(connection, &folder, &counter); // git closes as it likes
        }
    });
    (address, refused)
}

fn answer(mut connection: TcpStream, folder: &Path, refused: &Mutex<u32>) -> std::io::Result<()> {
    let expected =
        format!("Authorization: Basic {}", BASE64.encode(format!("{USERNAME}:{PASSWORD}").as_bytes()));
    let lines: Vec<String> = BufReader::new((&connection).take(64 * 1024))
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or("/");
    let path = path.split('?').next().unwrap_or_default().trim_start_matches('/');
    let (status, body) = if !lines.contains(&expected) {
        *refused.lock().unwrap() += 1;
        ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"", Vec::new())
    } else if let Ok(bytes) = std::fs::read(folder.join(path)) {
        ("200 OK", bytes)
    } else {
        ("404 Not Found", Vec::new())
    };
    write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    connection.write_all(&body)
}

#[test]
fn git_is_told_nothing_it_should_not_know() {
    let (home, agent, _daemon) = bench(&[]);
    let helper = |operation: &'static str, input: &str| {
        start(&agent, &["durward", "credential-helper", "git", operation], input)
    };
    let open = helper("get", "protocol=http\nhost=example.com\n\n").finish();
    assert_eq!((open.code, open.stdout.as_str()), (9, ""), "{open:?}");
    assert!(open.stderr.contains("in the open"), "{open:?}");
    for operation in ["store", "erase"] {
        let input = format!("protocol=https\nhost=example.com\nusername=x\npassword={PASSWORD}\n\n");
        let done = helper(operation, &input).finish();
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "", ""), "{done:?}");
    }
    assert_eq!(helper("get", "nonsense\n").finish().code, 64);
    // The address names another person.
    let input = "protocol=https\nhost=example.com\nusername=eve\n\n";
    let (other, reason) = approved(&home, &agent, &["durward", "credential-helper", "git", "get"], input);
    assert_eq!((other.code, other.stdout.as_str()), (4, ""), "{other:?}");
    assert_eq!(reason, "git: example.com as eve");
    // No item: git may ask elsewhere, so it is not told to quit.
    let input = "protocol=https\nhost=nowhere.example\n\n";
    let missing = helper("get", input);
    home.wait_requests(1);
    home.run(&["requests", "approve", "1"]);
    let missing = missing.finish();
    assert_eq!((missing.code, missing.stdout.as_str()), (4, ""), "{missing:?}");
}

#[test]
fn docker_reads_what_its_protocol_says() {
    let (home, agent, _daemon) = bench(&[]);
    let script = scripts().join("docker-credential-durward");
    let script = script.to_str().unwrap();
    let (got, reason) = approved(&home, &agent, &[script, "get"], "https://example.com/v1/");
    assert_eq!(got.code, 0, "{got:?}");
    let json: Value = got.json();
    assert_eq!(json["ServerURL"], "https://example.com/v1/");
    assert_eq!((&json["Username"], &json["Secret"]), (&USERNAME.into(), &PASSWORD.into()));
    assert_eq!(json.as_object().unwrap().len(), 3);
    assert_eq!(reason, "docker: https://example.com/v1/");

    let missing = start(&agent, &[script, "get"], "nowhere.example");
    home.wait_requests(1);
    home.run(&["requests", "approve", "1"]);
    let missing = missing.finish();
    assert_eq!(missing.stdout, "credentials not found in native keychain\n", "{missing:?}");
    assert_ne!(missing.code, 0);
    assert_eq!(start(&agent, &[script, "list"], "").finish().stdout, "{}\n");
    assert_eq!(start(&agent, &[script, "erase"], "example.com").finish().code, 0);
    let stored = start(&agent, &[script, "store"], &format!("{{\"Secret\":\"{PASSWORD}\"}}")).finish();
    assert_ne!(stored.code, 0);
    assert!(stored.stdout.contains("durward vault add") && !stored.stdout.contains(PASSWORD), "{stored:?}");
}

#[test]
fn aws_reads_what_its_protocol_says() {
    let (home, agent, _daemon) = bench(&[]);
    let script = scripts().join("aws-credential-durward");
    let script = script.to_str().unwrap();
    let (got, reason) = approved(&home, &agent, &[script, "--domain", "example.com"], "");
    assert_eq!(got.code, 0, "{got:?}");
    let json = got.json();
    assert_eq!(json["Version"], 1);
    assert_eq!((&json["AccessKeyId"], &json["SecretAccessKey"]), (&USERNAME.into(), &PASSWORD.into()));
    assert_eq!(json.as_object().unwrap().len(), 3, "no session token, no expiration: {json}");
    assert_eq!(reason, "AWS credential_process");
}
