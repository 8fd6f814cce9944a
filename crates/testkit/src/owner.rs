//! An owner for a demonstration: a folder of its own, a vault, an approver, and the answers.

#![expect(clippy::print_stdout, reason = "a demonstration tells what it does")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The password of the demonstration's vault.
pub const VAULT_PASSWORD: &str = "correct horse battery staple";

/// What a demonstration ends with.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The programs that were built beside this example, and a folder that is removed at the end.
#[derive(Debug)]
pub struct Owner {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

/// What an agent did while the demonstration played its owner.
#[derive(Debug)]
pub struct Played {
    /// The code that it showed, if it had to pair.
    pub code: Option<String>,
    /// Its standard output.
    pub output: String,
}

impl Owner {
    /// For an example; `target` is what `make` is called with to build the `programs`.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn beside_this_example(target: &str, programs: &[&str]) -> Result<Self> {
        let example = std::env::current_exe()?;
        let folder = example.parent().and_then(Path::parent).ok_or("no target folder")?.to_owned();
        if let Some(missing) = programs.iter().find(|name| !folder.join(name).exists()) {
            return Err(format!("build {missing} first: `make {target}` does").into());
        }
        let own = tempfile::Builder::new().prefix("durward-demo-").tempdir()?;
        Ok(Self { folder: own, programs: folder })
    }

    /// One of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    /// The agent's folder: another than the owner's, as if on another machine.
    #[must_use]
    pub fn agent_home(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// `durward` as the owner.
    #[must_use]
    pub fn durward(&self) -> Command {
        let mut command = self.program("durward");
        command.env("DURWARD_HOME", self.folder.path().join("owner")).env_remove("PORT");
        command
    }

    /// Makes a vault with one login: fields by name, and their values.
    ///
    /// # Errors
    /// `durward vault` refused.
    pub fn fill_vault(&self, name: &str, username: &str, secrets: &[(&str, &str)]) -> Result<()> {
        self.pipe(&["vault", "init", "--password-stdin"], &format!("{VAULT_PASSWORD}\n"))?;
        let mut add = vec!["vault", "add", name, "--username", username, "--password-stdin"];
        let mut input = format!("{VAULT_PASSWORD}\n");
        for (field, secret) in secrets {
            add.extend(["--from-stdin", field]);
            input.push_str(secret);
            input.push('\n');
        }
        self.pipe(&add, &input)
    }

    /// Starts the approver on a port that is free.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn serve(&self) -> Result<Child> {
        let mut serve = self.durward();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--no-control-port"]).env("DURWARD_LOG", "warn");
        Ok(serve.spawn()?)
    }

    /// Asks the approver where it listens: its URL.
    ///
    /// # Errors
    /// It does not answer within ten seconds.
    pub fn approver(&self) -> Result<String> {
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

    /// The demonstration plays the owner: it reads the agent's screen and pipes the answers into `durward approve`.
    ///
    /// # Errors
    /// The agent did not end well.
    pub fn play(&self, mut agent: Command) -> Result<Played> {
        let mut agent = agent.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let screen = agent.stderr.take().ok_or("no screen")?;
        let mut approve =
            self.durward().arg("approve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let owner = approve.stdin.take().ok_or("no owner")?;
        let questions = approve.stdout.take().ok_or("no questions")?;
        let (tell, typed) = std::sync::mpsc::channel();
        std::thread::spawn(move || answer(questions, owner, &typed));
        let mut code = None;
        for line in BufReader::new(screen).lines() {
            let line = line?;
            println!("    agent │ {line}");
            if let Some(found) = number_code(&line) {
                say(
                    "4. The owner types the code, reads the request, says yes, and gives the vault password.",
                );
                tell.send(found.clone()).ok(); // the owner has gone: the agent says how it ended
                code = found.split_once('-').map(|(_, code)| code.to_owned());
            }
        }
        let mut output = String::new();
        agent.stdout.take().ok_or("no output")?.read_to_string(&mut output)?;
        for line in output.lines() {
            println!("    agent │ {line}");
        }
        let good = agent.wait()?.success();
        approve.kill()?;
        approve.wait()?;
        if good { Ok(Played { code, output }) } else { Err("the agent did not get the credential".into()) }
    }

    /// You are the owner: agent and approver share this terminal.
    ///
    /// # Errors
    /// The agent did not end well.
    pub fn by_hand(&self, mut agent: Command) -> Result<()> {
        println!("   Type the code below, then y, then the vault password: {VAULT_PASSWORD}\n");
        let mut agent = agent.stdin(Stdio::null()).spawn()?;
        // Line by line: a full screen would be written over by the agent.
        let mut approve = self.durward().args(["approve", "--plain"]).spawn()?;
        let good = agent.wait()?.success();
        approve.kill()?;
        approve.wait()?;
        Command::new("stty").arg("echo").status().ok(); // in case a password was being typed
        if good { Ok(()) } else { Err("the agent did not get the credential".into()) }
    }

    /// Runs `durward` as the owner, on this terminal.
    ///
    /// # Errors
    /// It did not end well.
    pub fn run(&self, args: &[&str]) -> Result<()> {
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

/// Answers each question once it is asked: a line from before its question is not taken.
fn answer(
    questions: impl std::io::Read,
    mut owner: impl std::io::Write,
    code: &std::sync::mpsc::Receiver<String>,
) {
    for line in BufReader::new(questions).lines().map_while(std::result::Result::ok) {
        println!("{line}");
        let said = if line.starts_with("Type the code") {
            code.recv().ok()
        } else if line.starts_with("Release it?") {
            Some("y".to_owned())
        } else if line.contains("Vault password:") {
            Some(VAULT_PASSWORD.to_owned())
        } else {
            None
        };
        if said.is_some_and(|said| writeln!(owner, "{said}").is_err()) {
            return;
        }
    }
}

/// `6-759506` somewhere in a line.
fn number_code(line: &str) -> Option<String> {
    line.split_whitespace().find_map(|word| {
        let (number, code) = word.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (number.len() <= 2 && code.len() == 6 && digits(number) && digits(code)).then(|| word.to_owned())
    })
}

/// A step of the demonstration.
pub fn say(text: &str) {
    println!("\n{text}");
}

#[cfg(test)]
mod tests {
    use super::number_code;

    #[test]
    fn a_code_is_found_among_words() {
        assert_eq!(number_code("  Type 6-759506 there").as_deref(), Some("6-759506"));
        for other in ["", "2026-11-22", "6-75950", "a-759506", "123-759506"] {
            assert_eq!(number_code(other), None, "{other}");
        }
    }
}
