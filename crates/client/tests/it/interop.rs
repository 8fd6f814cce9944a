//! Python: the vectors, and an agent that was written from `docs/protocol.md` alone.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use durward_client::{Clock as _, SystemClock};
use durward_protocol::{Field, TypedCode};
use durward_testkit::approver::{Approver, value_of};
use durward_testkit::http::serve;
use durward_testkit::python::venv;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn python() -> Command {
    let folder = root().join("examples/python-agent");
    let mut command = Command::new(venv(&folder.join("requirements.txt")));
    command.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    command
}

#[tokio::test]
async fn python_agrees_with_the_vectors() {
    let output = python().arg("check_vectors.py").arg(root().join("docs/vectors")).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        String::from_utf8_lossy(&output.stdout)
            .starts_with("2 pairings, 6 fingerprints and every other file: good")
    );
}

/// Plays an agent and an owner who types what it shows, changed by `mistype`; its last line.
async fn play(
    arguments: &[&str],
    mistype: impl Fn(&str) -> String,
) -> (serde_json::Value, Arc<Mutex<Approver>>) {
    let approver = Arc::new(Mutex::new(Approver::new(5)));
    let handler = Arc::clone(&approver);
    let served =
        serve(move |call| Some(handler.lock().unwrap().handle(&call, SystemClock.now()))).await.unwrap();
    let mut command = python();
    command.args(["agent.py", "--approver", &served.url(), "--domain", "example.com", "--reason", "Try it"]);
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let shown = lines.next_line().await.unwrap().unwrap();
    let typed: TypedCode = shown.strip_prefix("Type this at the approver: ").unwrap().parse().unwrap();
    let code = mistype(typed.code.expose_digits());
    assert!(approver.lock().unwrap().type_code(typed.number.unwrap(), &code, None));
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    child.wait().await.unwrap();
    (serde_json::from_str(&last).unwrap(), approver)
}

#[tokio::test]
async fn a_python_agent_pairs_and_gets_a_credential() {
    let scope = r#"{ "domains": ["example.com"], "max_uses": 1 }"#;
    let (said, approver) = play(&["--field", "password", "--scope", scope], str::to_owned).await;
    assert_eq!(said["success"], true, "{said}");
    assert_eq!(said["credential"]["password"], value_of("example.com", &Field::Password));
    let approver = approver.lock().unwrap();
    assert_eq!(approver.releases.len(), 1);
    assert!(approver.sessions().is_empty(), "it revoked its session");
}

#[tokio::test]
async fn a_python_agent_notices_a_wrong_code() {
    let wrong = |code: &str| if code == "111111" { "222222".to_owned() } else { "111111".to_owned() };
    let (said, approver) = play(&[], wrong).await;
    assert_eq!(said["error"]["code"], "confirmation_failed", "{said}");
    assert!(approver.lock().unwrap().sessions().is_empty());
}
