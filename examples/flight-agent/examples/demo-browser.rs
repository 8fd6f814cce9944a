//! `make demo-browser`: an owner, an approver, an airline and an agent with a real browser, on one machine.
//!
//! With `DEMO_AUTO=1` the demonstration plays the owner too; without, you type the code and the answer. Everything
//! lies in a folder that is removed at the end.

#![expect(clippy::print_stdout, reason = "it is a demonstration")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use durward_flight_agent::airline::{DEMO_PASSWORD, DEMO_TOTP, DEMO_USERNAME, HOST};

const VAULT_PASSWORD: &str = "correct horse battery staple";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let auto = std::env::var("DEMO_AUTO").is_ok_and(|value| value == "1");
    let stage = Stage::build()?;
    say("1. The owner makes a vault with a login for the demo airline: user name, password, TOTP secret.");
    stage.fill_vault()?;
    say("2. The owner starts the approver.");
    let mut server = stage.serve()?;
    let outcome = stage.approver().and_then(|approver| {
        say(
            "3. The agent opens Skyward Air in Chromium and asks. It has no session yet, so it shows a code.",
        );
        if auto { stage.play(&approver) } else { stage.by_hand(&approver) }
    });
    let log = outcome.and_then(|()| {
        say("5. The audit log:");
        stage.run(&["audit"])
    });
    server.kill()?;
    server.wait()?;
    log?;
    say("Done. The agent is examples/flight-agent; its README says how to point it at another site.");
    Ok(())
}

/// Folders and programs.
struct Stage {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Stage {
    fn build() -> Result<Self> {
        let example = std::env::current_exe()?;
        let programs = example.parent().and_then(Path::parent).ok_or("no target folder")?.to_owned();
        for name in ["durward", "flight-agent"] {
            if !programs.join(name).exists() {
                return Err(format!("build {name} first: `make demo-browser` does").into());
            }
        }
        Ok(Self { folder: tempfile::Builder::new().prefix("durward-demo-").tempdir()?, programs })
    }

    /// `durward` as the owner.
    fn durward(&self) -> Command {
        let mut command = Command::new(self.programs.join("durward"));
        command.env("DURWARD_HOME", self.folder.path().join("owner")).env_remove("PORT");
        command
    }

    fn agent(&self, approver: &str) -> Command {
        let mut command = Command::new(self.programs.join("flight-agent"));
        command
            .args(["--from", "JFK", "--to", "LHR", "--date", "2026-12-24", "--approver", approver, "--home"])
            .arg(self.folder.path().join("agent"));
        if std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some() {
            command.arg("--window");
        }
        command
    }

    fn fill_vault(&self) -> Result<()> {
        self.pipe(&["vault", "init", "--password-stdin"], &format!("{VAULT_PASSWORD}\n"))?;
        let add = [
            "vault",
            "add",
            HOST,
            "--username",
            DEMO_USERNAME,
            "--password-stdin",
            "--from-stdin",
            "password",
        ];
        let add = [add.as_slice(), &["--from-stdin", "totp"]].concat();
        self.pipe(&add, &format!("{VAULT_PASSWORD}\n{DEMO_PASSWORD}\n{DEMO_TOTP}\n"))
    }

    fn serve(&self) -> Result<Child> {
        let mut serve = self.durward();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--no-control-port"]).env("DURWARD_LOG", "warn");
        Ok(serve.spawn()?)
    }

    /// Asks the running approver where it listens.
    fn approver(&self) -> Result<String> {
        for _ in 0..200 {
            let output = self.durward().args(["status", "--json"]).output()?;
            if output.status.success() {
                let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
                return Ok(status["listen"].as_str().ok_or("no address")?.to_owned());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Err("the approver did not start".into())
    }

    /// The demonstration plays the owner: it reads the agent's screen and pipes answers into `durward approve`.
    fn play(&self, approver: &str) -> Result<()> {
        let mut agent = self.agent(approver).stderr(Stdio::piped()).spawn()?;
        let screen = agent.stderr.take().ok_or("no screen")?;
        let mut approve = self.durward().arg("approve").stdin(Stdio::piped()).spawn()?;
        let mut owner = approve.stdin.take().ok_or("no owner")?;
        for line in BufReader::new(screen).lines() {
            let line = line?;
            println!("    agent │ {line}");
            if let Some((_, code)) =
                line.split_once("Type this at the approver").and_then(|(_, rest)| rest.rsplit_once(' '))
            {
                say(
                    "4. The owner types the code, reads the request, says yes, and gives the vault password.",
                );
                writeln!(owner, "{code}\ny\n{VAULT_PASSWORD}")?;
            }
        }
        let good = agent.wait()?.success();
        drop(owner);
        approve.wait()?;
        if good { Ok(()) } else { Err("the agent did not find a flight".into()) }
    }

    /// You are the owner: agent and approver share this terminal.
    fn by_hand(&self, approver: &str) -> Result<()> {
        println!("   Type the code below, then y, then the vault password: {VAULT_PASSWORD}\n");
        let mut agent = self.agent(approver).stdin(Stdio::null()).spawn()?;
        // Line by line, where `approve` can fill the screen: the agent writes on it too.
        let help = self.durward().args(["approve", "--help"]).output()?;
        let plain = String::from_utf8_lossy(&help.stdout).contains("--plain").then_some("--plain");
        let mut approve = self.durward().arg("approve").args(plain).spawn()?;
        let good = agent.wait()?.success();
        approve.kill()?;
        approve.wait()?;
        Command::new("stty").arg("echo").status().ok(); // in case a password was being typed
        if good { Ok(()) } else { Err("the agent did not find a flight".into()) }
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

fn say(text: &str) {
    println!("\n{text}");
}
