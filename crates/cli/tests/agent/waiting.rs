//! What an agent says while it waits and when it has waited, and how a wait is ended from outside.

use durward_client::Agent;
use durward_protocol::ErrorCode;
use durward_testkit::approver::Owner;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::bench::{Bench, Finished, finish};

const ASK: [&str; 4] = ["request", "example.com", "--reason", "Book the flight"];

/// Starts a request and returns when it says that it waits.
async fn waiting(bench: &Bench) -> Child {
    bench.approver().owner = Owner::IsSilent;
    let mut child = bench.command(&ASK).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).await.unwrap();
    assert!(line.contains("waiting for the owner's decision on example.com"), "{line}");
    child.stderr = Some(lines.into_inner());
    child
}

#[tokio::test]
async fn it_says_what_the_owner_decided_and_after_how_long() {
    let bench = Bench::paired().await;
    for (owner, code, said) in
        [(Owner::Approves, 0, "approved after "), (Owner::Denies("not now".to_owned()), 6, "denied after ")]
    {
        let child = waiting(&bench).await;
        bench.approver().owner = owner;
        let Finished { code: ended, stderr, .. } = finish(child, String::new()).await;
        assert_eq!(ended, code, "{stderr}");
        let line = stderr.lines().next().unwrap();
        let seconds = line.strip_prefix(said).and_then(|rest| rest.strip_suffix(" s")).unwrap_or_default();
        assert!(seconds.parse::<u64>().is_ok(), "{stderr}");
    }
}

#[tokio::test]
#[cfg(unix)]
async fn ctrl_c_and_sigterm_take_the_request_back() {
    use nix::sys::signal::{Signal, kill};
    let bench = Bench::paired().await;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let child = waiting(&bench).await;
        kill(pid(&child), signal).unwrap();
        is_taken_back(&bench, child).await;
    }
}

#[tokio::test]
#[cfg(unix)]
async fn they_do_so_from_the_moment_on_that_the_approver_has_it() {
    use nix::sys::signal::{Signal, kill};
    let bench = Bench::paired().await;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        bench.approver().owner = Owner::IsSilent;
        let before = bench.approver().prompts.len();
        let child = bench.command(&ASK).spawn().unwrap();
        while bench.approver().prompts.len() == before {
            tokio::task::yield_now().await;
        }
        kill(pid(&child), signal).unwrap();
        is_taken_back(&bench, child).await;
    }
}

#[cfg(unix)]
fn pid(child: &Child) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap())
}

#[cfg(unix)]
async fn is_taken_back(bench: &Bench, child: Child) {
    let finished = finish(child, String::new()).await;
    assert_eq!(finished.code, 130, "{finished:?}");
    assert!(!finished.stderr.contains("could not tell the approver"), "{finished:?}");
    bench.approver().owner = Owner::Approves;
    let listed = bench.run(&["agent", "requests", "list"]).await;
    assert_eq!(listed.stdout, "");
    assert_eq!(bench.approver().releases.len(), 1, "only the first pairing's");
}

#[tokio::test]
async fn what_never_reached_the_approver_is_not_kept() {
    let bench = Bench::paired().await;
    let nowhere = [ASK.as_slice(), &["--approver", "http://127.0.0.1:9"]].concat();
    assert_eq!(bench.run(&nowhere).await.code, 2);
    assert_eq!(bench.run(&["agent", "requests", "list"]).await.stderr, "Nothing is waiting.\n");
}

#[tokio::test]
async fn the_log_has_the_fingerprint_when_it_is_asked_for() {
    let bench = Bench::new().await;
    let mut logging = bench.command(&ASK);
    logging.env("DURWARD_LOG", "durward_client=info");
    let logged = bench.pair_child(logging.spawn().unwrap(), str::to_owned, None).await;
    let line = logged.stderr.lines().find(|line| line.contains("session key established"));
    let line = line.unwrap_or_else(|| panic!("{}", logged.stderr));
    let config = durward_client::Config::new(bench.path("agents/default"), bench.path("agents/.keys"));
    let session = Agent::open(config).unwrap().session().unwrap();
    assert!(line.contains(&session.fingerprint.to_string()), "{line}");
    assert!(line.contains(&session.session_id.to_string()), "{line}");

    let quiet = bench.pair_and(&[ASK.as_slice(), &["--pair"]].concat()).await;
    assert!(!quiet.stderr.contains("session key established"), "{}", quiet.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_too() {
    let bench = Bench::paired().await;
    bench.approver().owner = Owner::IsSilent;
    let mut terminal = bench.on_terminal(&ASK);
    tokio::task::spawn_blocking(move || {
        terminal.exp_string("waiting for the owner's decision on example.com").unwrap();
        bench.approver().owner = Owner::Approves;
        terminal.exp_string("approved after ").unwrap();
        terminal.exp_string("password: password of example.com").unwrap();
        terminal.exp_eof().unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_question() {
    let bench = Bench::paired().await;
    bench.approver().failures = vec![ErrorCode::SessionNotFound];
    let mut terminal = bench.on_terminal(&ASK);
    let ended = tokio::task::spawn_blocking(move || {
        terminal.exp_string("Pair again? [y/N] ").unwrap();
        terminal.send_control('c').unwrap();
        terminal.exp_eof().unwrap();
        terminal.process().wait().unwrap()
    });
    let ended = ended.await.unwrap();
    assert!(matches!(ended, nix::sys::wait::WaitStatus::Exited(_, 130)), "{ended:?}");
}
