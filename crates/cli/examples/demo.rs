//! `make demo`: the whole job on one machine, with what crosses the wire in plain sight.
//!
//! An approver, an agent, and between them a proxy that shows every message. With `DEMO_AUTO=1` the
//! demo plays the owner too; without, you type the code and the answer. Everything lives in a folder
//! that is removed at the end.

#![expect(clippy::print_stdout, reason = "it is a demonstration")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

const VAULT_PASSWORD: &str = "correct horse battery staple";
const ITEM_PASSWORD: &str = "s3cret-for-the-demo";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let auto = std::env::var("DEMO_AUTO").is_ok_and(|value| value == "1");
    let stage = Stage::build()?;
    say("1. The owner makes a vault and puts a login into it (file: age, scrypt 2^17).");
    stage.fill_vault()?;
    say("2. The owner starts the approver; the agent will reach it through a proxy that shows the wire.");
    let mut server = stage.serve()?;
    let wire = Wire::between(stage.approver_address()?)?;
    say("3. The agent asks for example.com. It has no session yet, so it shows a number and a code.");
    let result = if auto { play(&stage, &wire) } else { by_hand(&stage, &wire) };
    let outcome = result.and_then(|code| {
        say("5. What the wire did not carry:");
        wire.must_not_contain("the vault password", VAULT_PASSWORD)?;
        wire.must_not_contain("the item's password", ITEM_PASSWORD)?;
        code.map_or(Ok(()), |code| wire.must_not_contain("the pairing code", &code))?;
        say("6. The audit log, and whether its chain holds:");
        stage.run(&["audit"])?;
        stage.run(&["audit", "verify"])
    });
    server.kill()?;
    server.wait()?;
    outcome?;
    say(
        "Done. The same in two terminals of your own: `durward up` and `durward request example.com --reason ...`",
    );
    Ok(())
}

/// The demo plays the owner: it reads the agent's screen and pipes the answers into `durward approve`.
fn play(stage: &Stage, wire: &Wire) -> Result<Option<String>> {
    let mut agent = stage.agent(wire).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let screen = agent.stderr.take().ok_or("no screen")?;
    let mut approve = stage.durward().arg("approve").stdin(Stdio::piped()).spawn()?;
    let mut owner = approve.stdin.take().ok_or("no owner")?;
    let mut code = None;
    for line in BufReader::new(screen).lines() {
        let line = line?;
        println!("    agent │ {line}");
        if let Some(found) = number_code(&line) {
            say("4. The owner types the code, reads the request, says yes, and gives the vault password.");
            writeln!(owner, "{found}\ny\n{VAULT_PASSWORD}")?;
            code = found.split_once('-').map(|(_, code)| code.to_owned());
        }
    }
    let mut answer = String::new();
    agent.stdout.take().ok_or("no output")?.read_to_string(&mut answer)?;
    for line in answer.lines() {
        println!("    agent │ {line}");
    }
    let good = agent.wait()?.success();
    drop(owner);
    approve.wait()?;
    if !good || !answer.contains(ITEM_PASSWORD) {
        return Err("the agent did not get the credential".into());
    }
    Ok(code)
}

/// You are the owner: agent and approver share this terminal.
fn by_hand(stage: &Stage, wire: &Wire) -> Result<Option<String>> {
    println!("   Type the code below, then y, then the vault password: {VAULT_PASSWORD}\n");
    let mut agent = stage.agent(wire).spawn()?;
    let mut approve = stage.durward().args(["approve", "--plain"]).spawn()?;
    let good = agent.wait()?.success();
    approve.kill()?;
    approve.wait()?;
    Command::new("stty").arg("echo").status().ok(); // in case a password was being typed
    if good { Ok(None) } else { Err("the agent did not get the credential".into()) }
}

/// `  6-759506  ` somewhere in a line.
fn number_code(line: &str) -> Option<String> {
    line.split_whitespace().find_map(|word| {
        let (number, code) = word.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (number.len() <= 2 && code.len() == 6 && digits(number) && digits(code)).then(|| word.to_owned())
    })
}

/// Folders, and the binary.
struct Stage {
    folder: tempfile::TempDir,
    binary: PathBuf,
}

impl Stage {
    fn build() -> Result<Self> {
        let example = std::env::current_exe()?;
        let target = example.parent().and_then(Path::parent).ok_or("no target folder")?;
        let binary = target.join("durward");
        if !binary.exists() {
            return Err("build the binary first: `make demo` does".into());
        }
        Ok(Self { folder: tempfile::Builder::new().prefix("durward-demo-").tempdir()?, binary })
    }

    /// `durward` as the owner.
    fn durward(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("DURWARD_HOME", self.folder.path().join("owner")).env_remove("PORT");
        command
    }

    /// `durward` as the agent: another folder, as if on another machine.
    fn agent(&self, wire: &Wire) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env("DURWARD_HOME", self.folder.path().join("agent"))
            .args(["request", "example.com", "--reason", "Book the flight", "--name", "Flight Booking Agent"])
            .args(["--approver", &format!("http://{}", wire.address)]);
        command
    }

    fn fill_vault(&self) -> Result<()> {
        self.pipe(&["vault", "init", "--password-stdin"], &format!("{VAULT_PASSWORD}\n"))?;
        let add = [
            "vault",
            "add",
            "example.com",
            "--username",
            "ada",
            "--password-stdin",
            "--from-stdin",
            "password",
        ];
        self.pipe(&add, &format!("{VAULT_PASSWORD}\n{ITEM_PASSWORD}\n"))
    }

    fn serve(&self) -> Result<Child> {
        let mut serve = self.durward();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--no-control-port"]).env("DURWARD_LOG", "warn");
        Ok(serve.stderr(Stdio::inherit()).spawn()?)
    }

    /// Asks the running approver where it listens.
    fn approver_address(&self) -> Result<String> {
        for _ in 0..100 {
            let output = self.durward().args(["status", "--json"]).output()?;
            if output.status.success() {
                let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
                let url = status["listen"].as_str().ok_or("no address")?;
                return Ok(url.trim_start_matches("http://").to_owned());
            }
            thread::park_timeout(std::time::Duration::from_millis(50));
        }
        Err("the approver did not start".into())
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        let good = self.durward().args(args).status()?.success();
        if good { Ok(()) } else { Err(format!("durward {} failed", args.join(" ")).into()) }
    }

    fn pipe(&self, args: &[&str], input: &str) -> Result<()> {
        let mut child = self.durward().args(args).stdin(Stdio::piped()).spawn()?;
        child.stdin.take().ok_or("no input")?.write_all(input.as_bytes())?;
        let good = child.wait()?.success();
        if good { Ok(()) } else { Err(format!("durward {} failed", args.join(" ")).into()) }
    }
}

/// A proxy that forwards, shows and remembers.
struct Wire {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    fn between(approver: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        thread::spawn(move || {
            for agent in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&approver) else { continue };
                let copies = (agent.try_clone(), server.try_clone());
                let (Ok(agent_copy), Ok(server_copy)) = copies else { continue };
                let host = (address.to_string(), approver.clone());
                forward(agent_copy, server_copy, "agent -> approver", Arc::clone(&record), Some(host));
                forward(server, agent, "approver -> agent", Arc::clone(&record), None);
            }
        });
        Ok(Self { address, seen })
    }

    fn must_not_contain(&self, what: &str, secret: &str) -> Result<()> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.windows(secret.len()).any(|window| window == secret.as_bytes()) {
            return Err(format!("{what} was seen on the wire").into());
        }
        println!("    {what}: not in the {} bytes that crossed", seen.len());
        Ok(())
    }
}

/// Copies one direction, shows the JSON bodies, and rewrites `Host`, which names the proxy.
fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    label: &'static str,
    record: Arc<Mutex<Vec<u8>>>,
    host: Option<(String, String)>,
) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 {
                break;
            }
            let mut bytes = buffer[..n].to_vec();
            record.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes);
            show(label, &bytes);
            if let Some((own, theirs)) = &host {
                bytes = String::from_utf8_lossy(&bytes).replace(own, theirs).into_bytes();
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

fn show(label: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let first = text.lines().next().unwrap_or_default();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    let short: String = body.chars().take(160).collect();
    let more = if short.len() < body.len() { "…" } else { "" };
    println!("     wire │ {label}: {} {short}{more}", first.trim_end_matches(" HTTP/1.1"));
}

fn say(text: &str) {
    println!("\n{text}");
}
