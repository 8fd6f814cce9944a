//! A server of one test, and HTTP without a library: what is sent is what the test says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::env::TestEnvironment;

pub(super) const PHRASE: &str = "I remember what I have learned from you.";
pub(super) const WRONG: &str = "I forgot all that you have ever said.";

/// `durward serve`, killed when dropped.
pub(super) struct Serving {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Serving {
    pub(super) fn start(env: &TestEnvironment, more: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--no-control-port", "--log-json"];
        if !more.contains(&"--listen") {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        arguments.extend(more);
        let mut child = env.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the server did not start: {seen}")).unwrap();
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = said["fields"]["listen"].as_str() {
                break address.parse().unwrap();
            }
            seen.push_str(&line);
        };
        // A full pipe would stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// Ends it as a crash would.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Reply {
        call(self.address, "POST", path, key, Some(body))
    }

    pub(super) fn get(&self, path: &str, key: Option<&str>) -> Reply {
        call(self.address, "GET", path, key, None)
    }

    pub(super) fn knock(&self, device: &Value) -> String {
        let reply = self.post("/auth/knock", None, &json!({ "device": device }));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["challenge"].as_str().unwrap().to_owned()
    }

    pub(super) fn exchange(&self, user: &str, phrase: &str, device: &Value) -> Reply {
        let challenge = self.knock(device);
        let body = json!({ "challenge": challenge, "passphrase": phrase, "device": device, "user": user });
        self.post("/auth/exchange", None, &body)
    }

    pub(super) fn key(&self, user: &str, device: &Value) -> String {
        let reply = self.exchange(user, PHRASE, device);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["api_key"].as_str().unwrap().to_owned()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub(super) fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Reply {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if let Some(key) = key {
        head.extend(["X-API-Key: ", key, "\r\n"]);
    }
    if !body.is_empty() {
        head.push_str("Content-Type: application/json\r\n");
    }
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
    Reply { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap_or_default() }
}

/// An account with [`PHRASE`]; its recovery codes.
pub(super) fn account(env: &TestEnvironment, user: &str) -> Vec<String> {
    let made = env.run_with(&["account", "add", user, "--password-stdin", "--json"], &format!("{PHRASE}\n"));
    assert_eq!(made.code, 0, "{made:?}");
    made.json()["recovery_codes"].as_array().unwrap().iter().map(|c| c.as_str().unwrap().to_owned()).collect()
}

pub(super) fn device(name: &str) -> Value {
    json!({ "type": "terminal", "name": name })
}
