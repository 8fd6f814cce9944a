//! `durward spake serve`: the page's curls, independent Python and shell clients, the SDK's client, its own flags.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use durward_client::spake::{Client, Error, Initiate, Role, Status, Suite};
use durward_protocol::SecretString;
use durward_testkit::python::venv;
use durward_testkit::wire::Wire;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::home::Home;

/// A service that runs; killed when dropped.
struct Service {
    child: Child,
    stderr: BufReader<ChildStderr>,
    home: TempDir,
    url: String,
    /// What it printed after its address.
    second_line: String,
}

fn durward(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_durward"));
    command.env_clear().env("DURWARD_HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null());
    command
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, "info")
    }

    fn start_with(arguments: &[&str], log: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments, log)
    }

    fn start_in(home: TempDir, arguments: &[&str], log: &str) -> Self {
        let mut command = durward(home.path());
        command.args(["spake", "serve", "--port", "0"]).args(arguments).env("DURWARD_LOG", log);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        // What is no log; at level trace the log begins before.
        let mut line = || {
            let mut line = String::new();
            while line.is_empty() || line.starts_with('{') {
                line.clear();
                assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it has ended");
            }
            line.trim_end().to_owned()
        };
        let first = line();
        let url = first.strip_prefix("SPAKE service on ").unwrap_or_else(|| panic!("{first}")).to_owned();
        let second_line = line();
        Self { child, stderr, home, url, second_line }
    }

    fn token_file(&self) -> PathBuf {
        self.home.path().join("spake.token")
    }

    fn client(&self) -> Client {
        let token = std::fs::read_to_string(self.token_file()).ok().map(SecretString::new);
        Client::new(&self.url, token).unwrap()
    }

    /// Stops it as a service manager does, and returns its exit code and the rest of its log.
    fn stop(mut self) -> (Option<i32>, String) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a line of the page in a shell, with the service's own address, and returns status and body.
fn curl(service: &Service, line: &str) -> (u16, Value) {
    let line = line.replace("http://localhost:5000", &service.url);
    let line =
        line.replacen("curl ", "curl --silent --show-error --noproxy '*' --write-out '\\n%{http_code}' ", 1);
    let output = Command::new("sh").arg("-c").arg(&line).output().unwrap();
    let answer = text(&output.stdout);
    let (body, status) =
        answer.rsplit_once('\n').unwrap_or_else(|| panic!("{line}: {}", text(&output.stderr)));
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| panic!("{line}: {body}")))
}

#[test]
fn the_pages_curls_run_as_written() {
    let service = Service::start(&["--no-token"]);
    let (status, body) = curl(&service, "curl -f http://localhost:5000/health");
    assert_eq!((status, body), (200, json!({"status": "healthy", "service": "spake"})));

    let (status, body) = curl(
        &service,
        r#"curl -X POST http://localhost:5000/spake/initiate \
             -H "Content-Type: application/json" \
             -d '{"session_id": "test123", "password": "mypassword"}'"#,
    );
    assert_eq!((status, &body["session_id"], &body["status"]), (200, &json!("test123"), &json!("initiated")));
    let key = body["public_key"].as_str().unwrap();
    assert!(key.len() == 130 && key.starts_with("04"), "{key}");

    // As it stands on the page, with a word where the key belongs.
    let exchange = r#"curl -X POST http://localhost:5000/spake/exchange \
             -H "Content-Type: application/json" \
             -d '{"session_id": "test123", "client_public_key": "client_key_hex"}'"#;
    let (status, body) = curl(&service, exchange);
    assert_eq!((status, &body["error"]), (400, &json!("bad_public_key")));
    let (status, body) = curl(&service, "curl http://localhost:5000/spake/status/test123");
    assert_eq!((status, body), (200, json!({"session_id": "test123", "status": "failed"})));
    let (status, body) = curl(&service, "curl -X DELETE http://localhost:5000/spake/cleanup/test123");
    let cleaned = json!({"session_id": "test123", "message": "Session cleaned up successfully"});
    assert_eq!((status, body), (200, cleaned));

    // With a key: the service's own, of another session in which it is A.
    let key = |role: &str, id: &str| {
        let body =
            json!({"session_id": id, "password": "mypassword", "suite": "spake2-ed25519", "role": role});
        let line = format!(
            "curl -X POST http://localhost:5000/spake/initiate -H 'Content-Type: application/json' -d '{body}'"
        );
        let (status, body) = curl(&service, &line);
        assert_eq!(status, 200, "{body}");
        body["public_key"].as_str().unwrap().to_owned()
    };
    let peer = key("a", "peer");
    key("b", "test123");
    let (status, body) = curl(&service, &exchange.replace("client_key_hex", &peer));
    assert_eq!((status, &body["session_id"], &body["status"]), (200, &json!("test123"), &json!("completed")));
    assert_eq!(body["shared_secret"].as_str().unwrap().len(), 64);
    let (status, body) = curl(&service, "curl http://localhost:5000/spake/sessions");
    let listed = json!({"active_sessions": 2, "sessions": [
        {"session_id": "peer", "status": "initiated"}, {"session_id": "test123", "status": "completed"}]});
    assert_eq!((status, body), (200, listed));
}

#[test]
fn the_limits_of_the_configuration_hold() {
    let home = tempfile::tempdir().unwrap();
    Home::around(home.path()).put("config.toml", "[limits]\nmax_spake_sessions = 1\n");
    let service = Service::start_in(home, &["--no-token"], "info");
    let initiate = |id: &str| {
        let body = json!({"session_id": id, "password": "p", "suite": "spake2-ed25519"});
        let line = format!(
            "curl -X POST http://localhost:5000/spake/initiate -H 'Content-Type: application/json' -d '{body}'"
        );
        curl(&service, &line)
    };
    assert_eq!(initiate("one").0, 200);
    let (status, body) = initiate("two");
    assert_eq!((status, &body["error"]), (429, &json!("too_many_sessions")));
}

#[test]
fn every_suite_and_role_agrees_with_python_over_http() {
    let service = Service::start(&[]);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/spake-python");
    let output = Command::new(venv(&example.join("requirements.txt")))
        .arg(example.join("check.py"))
        .args(["--url", &service.url, "--token-file"])
        .arg(service.token_file())
        .output()
        .unwrap();
    let report = text(&output.stderr);
    assert!(output.status.success(), "{report}");
    for suite in ["p256-sha256", "p256-sha256-raw", "spake2-ed25519"] {
        for role in ["a", "b"] {
            let line = format!("ok {suite}, service is {role}");
            assert!(report.contains(&line), "no line {line:?} in\n{report}");
        }
    }
    assert!(report.contains("ok refusals"), "{report}");
}

#[test]
fn two_services_agree_through_the_shell_example() {
    let (a, b) = (Service::start(&[]), Service::start(&[]));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/spake-curl/spake.sh");
    let run = |password: &str, token_b: &Path| -> Output {
        let mut command = Command::new("sh");
        command.arg(&script).arg("--token-file").arg(a.token_file()).arg("--token-file").arg(token_b);
        command.args([&a.url, &b.url]).env("SPAKE_PASSWORD", password).output().unwrap()
    };
    let output = run("pässword \"with\" 'quotes' $HOME", &b.token_file());
    assert_eq!(
        text(&output.stdout),
        "Secrets match; A has B's proof: true, B has A's proof: true\n",
        "{}",
        text(&output.stderr)
    );
    let output = run("password", &a.token_file());
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("unauthorized"), "{}", text(&output.stderr));
}

#[test]
fn two_services_agree_through_the_sdk() {
    let (here, there) = (Service::start(&[]), Service::start(&["--no-token"]));
    let (a, b) = (here.client(), there.client());
    let password = SecretString::new("correct horse".into());
    runtime().block_on(async {
        for suite in [Suite::P256Sha256, Suite::Spake2Ed25519] {
            let ask = Initiate::new("backup~7", &password).suite(suite).identities("x", "büro");
            let from_a = a.initiate(&ask.role(Role::A)).await.unwrap();
            let from_b = b.initiate(&ask).await.unwrap();
            assert_eq!((from_a.role, from_b.role, from_b.suite), (Role::A, Role::B, suite));
            let at_a = a.exchange("backup~7", &from_b.public_key, None).await.unwrap();
            let at_b = b.exchange("backup~7", &from_a.public_key, Some(&at_a.confirmation)).await.unwrap();
            assert!((at_a.peer_confirmed, at_b.peer_confirmed) == (false, true));
            a.confirm("backup~7", &at_b.confirmation).await.unwrap();
            assert!(at_a.shared_secret == at_b.shared_secret);
            assert_eq!(a.status("backup~7").await.unwrap(), Status::Completed);
            assert_eq!(b.sessions().await.unwrap().len(), 1);
            a.cleanup("backup~7").await.unwrap();
            b.cleanup("backup~7").await.unwrap();
            match a.status("backup~7").await {
                Err(Error::Refused { status: 404, code, .. }) => assert_eq!(code, "session_not_found"),
                other => panic!("{other:?}"),
            }
        }
        let nobody = Client::new(&here.url, None).unwrap().sessions().await;
        assert!(matches!(nobody, Err(Error::Refused { status: 401, .. })), "{nobody:?}");
    });
    drop(here);
    let gone = runtime().block_on(a.sessions()).unwrap_err();
    assert!(matches!(gone, Error::NoAnswer { .. }) && gone.to_string().contains("spake serve"), "{gone}");
}

/// `durward serve` answers the same calls: on its control port to the `spake` and the owner's token, on its socket, and
/// not to agents.
#[test]
fn a_running_approver_serves_it_too() {
    let home = Home::empty();
    let daemon = home.serve_quietly();
    let alone = Service::start(&[]);
    let token = |name: &str| SecretString::new(std::fs::read_to_string(home.path(name)).unwrap());
    let url = format!("http://{}", daemon.control);
    let client = |name: &str| Client::new(&url, Some(token(name))).unwrap();
    let (here, there) = (client("spake.token"), alone.client());
    let password = SecretString::new("correct horse".into());
    let refused = |answer: Result<Vec<durward_client::spake::Session>, Error>| match answer {
        Err(Error::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    };
    runtime().block_on(async {
        for suite in [Suite::P256Sha256, Suite::Spake2Ed25519] {
            let ask = Initiate::new("shared", &password).suite(suite);
            let from_a = here.initiate(&ask.role(Role::A)).await.unwrap();
            let from_b = there.initiate(&ask).await.unwrap();
            let at_a = here.exchange("shared", &from_b.public_key, None).await.unwrap();
            let at_b = there.exchange("shared", &from_a.public_key, Some(&at_a.confirmation)).await.unwrap();
            here.confirm("shared", &at_b.confirmation).await.unwrap();
            assert!(at_b.peer_confirmed && at_a.shared_secret == at_b.shared_secret);
            there.cleanup("shared").await.unwrap();
            here.cleanup("shared").await.unwrap();
        }
        assert!(client("api.token").sessions().await.unwrap().is_empty(), "the owner may");
        assert_eq!(refused(client("pair.token").sessions().await), 403);
        assert_eq!(refused(Client::new(&url, None).unwrap().sessions().await), 401);
    });
    let mut socket = Wire::control(&home.path("run/control.sock")).unwrap();
    let listed: Value = socket.get("/spake/sessions").unwrap();
    assert_eq!(listed["active_sessions"], 0);
    let agents = crate::wire::call(daemon.listen, "GET", "/spake/sessions", &[], b"").unwrap();
    assert_eq!((agents.status, agents.error().as_str()), (404, "not_found"), "not on the agent plane");
    // A token that another process rotates is dead for the next call.
    assert_eq!(home.run(&["token", "rotate", "spake"]).code, 0);
    let fresh = client("spake.token");
    runtime().block_on(async {
        assert_eq!(refused(here.sessions().await), 401);
        assert!(fresh.sessions().await.unwrap().is_empty());
    });
}

#[test]
fn the_log_names_sessions_and_no_secrets() {
    let service = Service::start_with(&["--log-json"], "trace");
    let token = std::fs::read_to_string(service.token_file()).unwrap();
    let client = service.client();
    let password = SecretString::new("hunter2-hunter2".into());
    let mut never = vec![token, "hunter2-hunter2".to_owned()];
    runtime().block_on(async {
        for (id, role) in [("first", Role::A), ("second", Role::B)] {
            let ask = Initiate::new(id, &password).suite(Suite::Spake2Ed25519).role(role);
            never.push(client.initiate(&ask).await.unwrap().public_key);
        }
        let done = client.exchange("second", &never[2], None).await.unwrap();
        never.push(data_encoding::HEXLOWER.encode(done.shared_secret.expose_bytes()));
        never.push(done.confirmation);
        let wrong = "5a".repeat(32);
        client.exchange("first", &never[3], Some(&wrong)).await.unwrap_err();
        never.push(wrong);
    });
    let (code, log) = service.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("confirmation_failed") && log.contains("\"session_id\":\"first\""), "{log}");
    let warned = log.lines().find(|line| line.contains("confirmation_failed")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(warned).unwrap()["level"], "WARN");
    for secret in never {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn the_token_file_is_named_and_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let service = Service::start(&[]);
    assert_eq!(service.second_line, format!("Token file: {}", service.token_file().display()));
    let mode = std::fs::metadata(service.token_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (code, log) = service.stop();
    assert_eq!((code, log.as_str()), (Some(0), ""));

    let service = Service::start(&["--no-token", "--listen", "[::1]"]);
    assert!(service.url.starts_with("http://[::1]:"), "{}", service.url);
    assert!(service.second_line.starts_with("warning: --no-token: every process of every user"));
    assert!(!service.token_file().exists());
    assert_eq!(service.stop(), (Some(0), String::new()), "one line of warning");
}

#[test]
fn what_cannot_be_served_says_why() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], port: Option<&str>| {
        let mut command = durward(home.path());
        command.args(["spake", "serve"]).args(arguments);
        if let Some(port) = port {
            command.env("PORT", port);
        }
        let output = command.output().unwrap();
        assert_eq!(text(&output.stdout), "");
        (output.status.code(), text(&output.stderr))
    };
    for arguments in [&["--listen", "0.0.0.0"][..], &["--no-token", "--listen", "192.0.2.1:5000"]] {
        let (code, error) = run(arguments, None);
        assert_eq!(code, Some(64), "{error}");
        assert!(
            error.contains("is not a loopback address") && error.contains("with the password"),
            "{error}"
        );
    }
    for (arguments, port) in
        [(&["--port", "65536"][..], None), (&["--listen", "example.com"], None), (&[], Some("x"))]
    {
        assert_eq!(run(arguments, port).0, Some(64), "{arguments:?} {port:?}");
    }
    let other = Service::start(&["--no-token"]);
    let port = other.url.rsplit_once(':').unwrap().1;
    let (code, error) = run(&[], Some(port));
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("is taken by another program") && error.contains("--port"), "{error}");
}
