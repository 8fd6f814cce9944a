//! Software of others: nginx doing forward-auth, npm's OPAQUE client, PostgreSQL.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::serving::{PHRASE, Serving, account, call, device};
use crate::env::TestEnvironment;

/// A schema of one test's own, gone when dropped.
pub(super) struct Database {
    server: String,
    schema: String,
    pub(super) url: String,
}

impl Database {
    pub(super) fn new() -> Self {
        let given = std::env::var("TEST_DATABASE_URL").ok();
        let candidates = given.map_or_else(
            || ["root", "postgres"].map(|user| format!("postgres://{user}@127.0.0.1:5432/test")).to_vec(),
            |url| vec![url],
        );
        let server = candidates.into_iter().find(|url| psql(url, "SELECT 1"));
        let server = server.expect("no PostgreSQL: run `make setup`, or set TEST_DATABASE_URL");
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let schema = format!("durward_cli_{}_{count}", std::process::id());
        assert!(psql(&server, &format!("CREATE SCHEMA {schema}")));
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options[search_path]={schema}");
        Self { server, schema, url }
    }

    /// What psql prints for a statement, `{schema}` being this test's own.
    pub(super) fn query(&self, sql: &str) -> String {
        let sql = sql.replace("{schema}", &self.schema);
        let output = Command::new("psql").args([&self.server, "-Atqc", &sql]).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        psql(&self.server, &format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema));
    }
}

fn psql(url: &str, sql: &str) -> bool {
    let mut command = Command::new("psql");
    command.args([url, "-qc", sql]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// nginx in the foreground, killed when dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The page's third curl: a service that knows nothing of keys, behind nginx, which asks `/auth/verify`. The
/// configuration is the one of the documentation, with the test's ports.
#[test]
fn forward_auth_through_nginx() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &["--trusted-proxy", "127.0.0.1"]);
    account(&env, "alan");
    let service = toy_service();
    let front = free_address();
    let nginx = start_nginx(&env, &server, service.1, front);

    let curl = |arguments: &str| {
        let line = format!("curl -s -w '\\n%{{http_code}}' {arguments} 'http://{front}/memory?entity=alan'");
        let output = Command::new("bash").args(["-c", &line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let script = format!(
        r#"CHALLENGE=$(curl -s -X POST http://{front}/auth/knock -H "Content-Type: application/json" \
  -d '{{"device":{{"type":"terminal","name":"Claude Code"}}}}' | jq -r '.challenge')
curl -s -X POST http://{front}/auth/exchange -H "Content-Type: application/json" \
  -d "{{\"challenge\":\"$CHALLENGE\",\"passphrase\":\"{PHRASE}\",\"device\":{{\"type\":\"terminal\",\"name\":\"Claude Code\"}}}}" | jq -r '.api_key'"#
    );
    let key = Command::new("bash").args(["-c", &script]).output().unwrap();
    let key = String::from_utf8(key.stdout).unwrap().trim().to_owned();
    assert!(key.starts_with("memorable_terminal_"), "{key}");

    let forged = "-H 'Remote-User: mallory' -H 'Remote-Device: mallory' -H 'Remote-Device-Type: mallory'";
    for carried in ["X-API-Key: ", "Authorization: Bearer "] {
        let answer = curl(&format!("-H '{carried}{key}' {forged}"));
        assert!(answer.ends_with("\n200"), "{answer}");
        assert!(answer.contains(r#""remote-user": "alan""#), "{answer}");
        assert!(answer.contains(r#""remote-device": "dev_terminal_Claude-Code_"#), "{answer}");
        assert!(answer.contains(r#""remote-device-type": "terminal""#), "{answer}");
        assert!(!answer.contains("mallory") && !answer.contains(&key), "{answer}");
    }
    assert!(curl("").ends_with("\n401"));
    assert!(curl("-H 'X-API-Key: memorable_terminal_wrong'").ends_with("\n401"));
    drop(nginx);
}

/// The page's curls and the lost device, as the example plays them.
#[test]
fn the_forward_auth_example_runs() {
    let ports = [free_address(), free_address(), free_address()].map(|address| address.port().to_string());
    let mut command = Command::new("bash");
    command.arg(example("run.sh")).env("DURWARD", env!("CARGO_BIN_EXE_durward"));
    for (name, port) in ["FRONT_PORT", "SERVICE_PORT", "AUTH_PORT"].iter().zip(&ports) {
        command.env(name, port);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("likes the forest"), "{said}");
    assert!(lines[1].contains("\"revoked\":\"dev_ring_oura_"), "{said}");
    assert_eq!(lines[2], "the lost ring: 401, the terminal: 200");
}

/// A browser's OPAQUE library logs in over HTTP; the phrase never travels.
#[test]
fn npm_opaque_logs_in() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let folder = opaque_package();
    let script = format!(
        r#"import * as opaque from "{}";
await opaque.ready;
const fold = (s) => s.normalize("NFKC").toLowerCase().normalize("NFKC");
const canonical = (s) =>
  fold(fold(s).replace(/\p{{White_Space}}+/gu, " ").replace(/[\p{{P}}\p{{C}}]/gu, "")).replace(/ +/g, " ").trim();
const post = async (path, body) => {{
  const answer = await fetch("{}" + path, {{
    method: "POST", headers: {{ "Content-Type": "application/json" }}, body: JSON.stringify(body) }});
  return answer.json();
}};
const login = async (phrase) => {{
  const device = {{ type: "browser", name: "Dashboard" }};
  const {{ challenge }} = await post("/auth/knock", {{ device }});
  const password = canonical(phrase);
  const {{ clientLoginState, startLoginRequest }} = opaque.client.startLogin({{ password }});
  const start = await post("/auth/opaque/start", {{ challenge, device, user: "alan", start_login_request: startLoginRequest }});
  const done = opaque.client.finishLogin({{ clientLoginState, loginResponse: start.login_response, password }});
  if (!done) return {{ error: "client says wrong" }};
  const finish = {{ login_id: start.login_id, finish_login_request: done.finishLoginRequest }};
  const first = await post("/auth/opaque/finish", finish);
  return {{ ...first, again: (await post("/auth/opaque/finish", finish)).error }};
}};
console.log(JSON.stringify([await login("{PHRASE}"), await login("something else entirely it is")]));
"#,
        folder.join("node_modules/@serenity-kit/opaque/esm/index.js").display(),
        server.url(),
    );
    let path = env.file("login.mjs", &script);
    let output = Command::new("node").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let key = answers[0]["api_key"].as_str().unwrap_or_else(|| panic!("{answers}"));
    assert!(key.starts_with("memorable_browser_"));
    assert_eq!(answers[0]["again"], "invalid_challenge", "a login is finished once");
    assert_eq!(answers[1]["error"], "client says wrong");
    assert_eq!(server.get("/auth/verify", Some(key)).header("remote-device-type"), Some("browser"));
    // Two starts were counted, one given back: a plain failure is the second one.
    let failed = server.exchange("alan", "I forgot all that you have ever said.", &device("d"));
    assert_eq!(failed.body["attempts_remaining"], 1);
}

/// The package that `tests/interop/opaque/install.sh` installs, here if it is not there yet.
fn opaque_package() -> PathBuf {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/opaque").canonicalize().unwrap();
    let output = Command::new("sh").arg(folder.join("install.sh")).current_dir(&folder).output().unwrap();
    assert!(
        output.status.success(),
        "npm's package could not be installed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder
}

/// The example's service, killed when dropped.
struct Service(Child, SocketAddr);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn toy_service() -> Service {
    let mut command = Command::new("python3");
    let mut child = command.arg(example("service.py")).arg("0").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().parse().unwrap_or_else(|_| panic!("the toy service says {line:?}"));
    Service(child, address)
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/forward-auth").join(file)
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// nginx with the example's configuration, whose locations are those of the documentation.
fn start_nginx(env: &TestEnvironment, server: &Serving, service: SocketAddr, front: SocketAddr) -> Nginx {
    let config = std::fs::read_to_string(example("nginx.conf")).unwrap();
    let page = include_str!("../../../../../docs/passphrase-key-exchange.md");
    let locations = page.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let shown = lines(locations);
    assert!(lines(&config).windows(shown.len()).any(|part| part == shown), "the page and the example differ");
    let config = config
        .replace("127.0.0.1:3000", &front.to_string())
        .replace("127.0.0.1:8080", &service.to_string())
        .replace("127.0.0.1:5000", &server.address.to_string());
    let path = env.file("nginx.conf", &config);
    let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
    let program = program.into_iter().find(|path| Path::new(path).exists());
    let program = program.expect("nginx is not installed: run `make setup`");
    let child = Command::new(program).arg("-p").arg(env.home()).args(["-c", &path]).spawn().unwrap();
    let nginx = Nginx(child);
    while std::net::TcpStream::connect(front).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(call(front, "GET", "/auth/verify", None, None).status, 401);
    nginx
}
