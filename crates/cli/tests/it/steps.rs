//! Each command that writes, killed at each step at which it changes a file, and refused each step by a full disk.
//!
//! `strace` does both, exactly there: `inject=…:signal=KILL:when=N` and `inject=…:error=ENOSPC:when=N` for N = 1, 2, 3, …
//! until the command comes through untouched. After a kill what is there is the old content or the new, and the same
//! command goes through when it is called again; after a refusal it says so, or has done its work.

use std::path::Path;
use std::process::Command;

use crate::home::{Daemon, Finished, Home, PASSWORD, VAULT_PASSWORD};

/// What changes files.
const STEPS: &str = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat,mkdir,link,linkat,fchmod";

/// No command of these takes so many steps.
const MOST_STEPS: u32 = 400;

/// A command that writes.
struct Story {
    name: &'static str,
    /// Runs before each try, in an empty folder.
    before: fn(&Home),
    command: fn(&Home) -> Command,
    /// Said on stdin.
    input: &'static str,
    /// Whether what is there is whole. Panics when it is not.
    whole: fn(&Home),
    /// Whether the command, called again, may answer that it is done already.
    twice: i32,
}

const STORIES: &[Story] = &[
    Story {
        name: "config set",
        before: |home| home.put("config.toml", "# Mine.\nmode = \"remote\"\n"),
        command: |home| home.command(&["config", "set", "mode", "local"]),
        input: "",
        whole: |home| {
            let text = read(&home.path("config.toml"));
            assert!(
                ["# Mine.\nmode = \"remote\"\n", "# Mine.\nmode = \"local\"\n"].contains(&text.as_str()),
                "{text}"
            );
        },
        twice: 0,
    },
    Story {
        name: "token rotate",
        before: |home| assert_eq!(home.run(&["token", "add", "ci", "--scope", "pair"]).code, 0),
        command: |home| home.command(&["token", "rotate", "ci"]),
        input: "",
        whole: |home| assert_eq!(read(&home.path("tokens/ci.pair.token")).trim().len(), 43),
        twice: 0,
    },
    Story {
        name: "token add",
        before: |_| {},
        command: |home| home.command(&["token", "add", "ci", "--scope", "pair"]),
        input: "",
        whole: |home| {
            if home.path("tokens/ci.pair.token").exists() {
                assert_eq!(read(&home.path("tokens/ci.pair.token")).trim().len(), 43);
            }
        },
        twice: 64,
    },
    Story {
        name: "vault connect",
        before: |home| assert_eq!(connect(home, "one").output().unwrap().status.code(), Some(0)),
        command: |home| connect(home, "two"),
        input: "",
        whole: |home| {
            let listed = home.run(&["vault", "use", "one"]);
            assert_eq!(listed.code, 0, "{listed:?}");
        },
        twice: 64,
    },
    Story {
        name: "backup",
        before: |home| home.put("config.toml", "mode = \"local\"\n"),
        command: |home| home.command(&["backup", "kept.tar", "--plain"]),
        input: "",
        whole: |home| {
            if home.path("kept.tar").exists() {
                let archive = std::fs::read(home.path("kept.tar")).unwrap();
                assert!(archive.ends_with(&[0; 1024]), "{} bytes, and no end of an archive", archive.len());
            }
        },
        twice: 1,
    },
    Story {
        name: "bw config server",
        before: |home| assert_eq!(bw(home, "https://one.example").output().unwrap().status.code(), Some(0)),
        command: |home| bw(home, "https://two.example"),
        input: "",
        whole: |home| {
            let text = read(&home.path("bw/data.json"));
            let data: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(data.to_string().contains("example"), "the address of the server is lost: {text}");
        },
        twice: 0,
    },
];

fn bw(home: &Home, server: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bw"));
    command.args(["config", "server", server]).env_clear().current_dir(home.folder());
    command.env("BITWARDENCLI_APPDATA_DIR", home.path("bw"));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

fn connect(home: &Home, name: &str) -> Command {
    home.command(&["vault", "connect", name, "--", "/bin/true"])
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The same command under strace, which does something to its step number `step`.
fn at_step(command: &Command, what: &str, step: u32) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={STEPS}")]);
    traced.args(["-e", &format!("inject={STEPS}:{what}:when={step}"), "--"]);
    traced.arg(command.get_program()).args(command.get_args()).env_clear();
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced.current_dir(command.get_current_dir().unwrap());
    traced.stdin(std::process::Stdio::piped());
    traced.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    traced
}

fn run(mut command: Command, input: &str) -> Finished {
    let mut process = Home::start_with(command.stdin(std::process::Stdio::piped()));
    process.say(input);
    process.close_stdin();
    process.finish()
}

/// The lock of `data.json` is a folder, as the official client has it: who finds it waits until it is ten seconds old.
fn age_lock(home: &Home) {
    if let Ok(lock) = std::fs::File::open(home.path("bw/data.json.lock")) {
        lock.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
}

/// Temporary files under the folder.
fn left_over(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(left_over(&path));
        } else if path.file_name().unwrap().to_string_lossy().ends_with(".tmp") {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_command_killed_at_any_step_leaves_whole_files() {
    for story in STORIES {
        let mut kills = 0;
        for step in 1..MOST_STEPS {
            let home = Home::empty();
            (story.before)(&home);
            let killed = run(at_step(&(story.command)(&home), "signal=KILL", step), story.input);
            (story.whole)(&home);
            if killed.code == 0 {
                break;
            }
            kills += 1;
            age_lock(&home);
            let again = run((story.command)(&home), story.input);
            assert!([0, story.twice].contains(&again.code), "{} after step {step}: {again:?}", story.name);
            (story.whole)(&home);
            if again.code == 0 {
                assert_eq!(left_over(home.folder()), [""; 0], "{} after step {step}", story.name);
            }
        }
        assert!((5..MOST_STEPS - 1).contains(&kills), "{}: {kills} kills", story.name);
    }
}

#[test]
fn a_command_on_a_full_disk_says_so_and_leaves_whole_files() {
    for story in STORIES {
        let mut refusals = 0;
        for step in 1..MOST_STEPS {
            let home = Home::empty();
            (story.before)(&home);
            let refused = run(at_step(&(story.command)(&home), "error=ENOSPC", step), story.input);
            (story.whole)(&home);
            let text = format!("{} at step {step}: {refused:?}", story.name);
            assert!(!refused.stderr.contains("panicked") && refused.code != 101, "{text}");
            if refused.code != 0 {
                let says = |words| refused.stderr.contains(words) || refused.stdout.contains(words);
                refusals += usize::from(says("No space left") || says("no room left"));
            }
            assert_eq!(left_over(home.folder()), [""; 0], "{text}");
            let untouched = refused.code == 0 && step > 1 && is_untouched(story, step);
            if untouched {
                break;
            }
        }
        assert!(refusals >= 2, "{}: {refusals} refusals", story.name);
    }
}

/// Whether the command takes fewer steps than this.
fn is_untouched(story: &Story, step: u32) -> bool {
    let home = Home::empty();
    (story.before)(&home);
    run(at_step(&(story.command)(&home), "signal=KILL", step), story.input).code == 0
}

/// The agent's folder: its session, its guesses, its receipts, what it asked.
#[test]
fn an_agent_killed_at_any_step_keeps_its_session() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve_quietly();
    pair_under_a_grant(&home, &agent, &daemon);
    let url = daemon.url();
    let ask = || agent.command(&["request", "example.com", "--reason", "Book it", "--approver", &url]);
    let mut kills = 0;
    for step in 1..MOST_STEPS {
        let killed = run(at_step(&ask(), "signal=KILL", step), "");
        if killed.code == 0 {
            break;
        }
        kills += 1;
        let again = run(ask(), "");
        assert_eq!((again.code, again.stdout.contains(PASSWORD)), (0, true), "after step {step}: {again:?}");
        assert!(!again.stderr.contains("Paired"), "no new pairing after step {step}: {again:?}");
    }
    assert!((5..MOST_STEPS - 1).contains(&kills), "{kills} kills");
    let receipts = agent.run(&["receipt", "list", "--json"]);
    assert_eq!(receipts.code, 0, "{receipts:?}");
    home.audit_holds();
    assert_eq!(left_over(agent.folder()), [""; 0]);
}

fn pair_under_a_grant(home: &Home, agent: &Home, daemon: &Daemon) {
    let unlocked = home.run_with(&["unlock", "--for", "1h", "--password-stdin"], VAULT_PASSWORD);
    assert_eq!(unlocked.code, 0, "{unlocked:?}");
    let url = daemon.url();
    let asking = agent.start(&["request", "example.com", "--reason", "Book it", "--approver", &url]);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    let waiting = home.wait_requests(1);
    let id = waiting[0]["request_id"].as_str().unwrap().to_owned();
    let approved = home.run(&["requests", "approve", "--session", "--", &id]);
    assert_eq!(approved.code, 0, "{approved:?}");
    assert_eq!(asking.finish().code, 0);
}
