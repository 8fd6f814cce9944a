//! `make demo`: the whole job on one machine, with what crosses the wire in plain sight.
//!
//! An approver, an agent, and between them a proxy that shows every message. With `DEMO_AUTO=1` the
//! demo plays the owner too; without, you type the code and the answer. Everything lives in a folder
//! that is removed at the end.

#![expect(clippy::print_stdout, reason = "it is a demonstration")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use durward_testkit::owner::{Owner, Result, VAULT_PASSWORD, say};

const ITEM_PASSWORD: &str = "s3cret-for-the-demo";

fn main() -> Result<()> {
    let auto = std::env::var("DEMO_AUTO").is_ok_and(|value| value == "1");
    let owner = Owner::beside_this_example("demo", &["durward"])?;
    say("1. The owner makes a vault and puts a login into it (file: age, scrypt 2^17).");
    owner.fill_vault("example.com", "ada", &[("password", ITEM_PASSWORD)])?;
    say("2. The owner starts the approver; the agent will reach it through a proxy that shows the wire.");
    let mut server = owner.serve()?;
    let outcome = ask(&owner, auto);
    server.kill()?;
    server.wait()?;
    outcome?;
    say(
        "Done. The same in two terminals of your own: `durward up` and `durward request example.com --reason ...`",
    );
    Ok(())
}

/// From the agent's question to the audit log.
fn ask(owner: &Owner, auto: bool) -> Result<()> {
    let wire = Wire::between(owner.approver()?.trim_start_matches("http://").to_owned())?;
    say("3. The agent asks for example.com. It has no session yet, so it shows a number and a code.");
    let agent = agent(owner, &wire);
    let code = if auto {
        let played = owner.play(agent)?;
        if !played.output.contains(ITEM_PASSWORD) {
            return Err("the agent did not get the credential".into());
        }
        played.code
    } else {
        owner.by_hand(agent)?;
        None
    };
    say("5. What the wire did not carry:");
    wire.must_not_contain("the vault password", VAULT_PASSWORD)?;
    wire.must_not_contain("the item's password", ITEM_PASSWORD)?;
    code.map_or(Ok(()), |code| wire.must_not_contain("the pairing code", &code))?;
    say("6. The audit log, and whether its chain holds:");
    owner.run(&["audit"])?;
    owner.run(&["audit", "verify"])
}

/// `durward` as the agent, which reaches the approver over the wire.
fn agent(owner: &Owner, wire: &Wire) -> Command {
    let mut command = owner.program("durward");
    command
        .env("DURWARD_HOME", owner.agent_home())
        .args(["request", "example.com", "--reason", "Book the flight", "--name", "Flight Booking Agent"])
        .args(["--approver", &format!("http://{}", wire.address)]);
    command
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
