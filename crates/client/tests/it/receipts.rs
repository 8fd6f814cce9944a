//! Receipts: checked, kept, chained; and what both sides see of each other's records.

use std::time::Duration;

use durward_client::{Agent, Ask, Error, Wait};
use durward_protocol::{Decider, Head, Heads, Verdict};
use durward_testkit::approver::{Owner, Receipts};

use crate::support::{Bench, domain};

async fn paired(bench: &Bench) -> Agent {
    let agent = bench.agent("a");
    bench.pair(&agent).await.unwrap();
    agent
}

async fn ask(agent: &Agent) -> Result<durward_client::Approval, Error> {
    let request = agent.prepare(Ask::new(domain("example.com"), "Book the flight")).unwrap();
    agent.request(&request, Wait::UntilDecided).await
}

#[tokio::test]
async fn every_verdict_is_kept_with_its_receipt() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    ask(&agent).await.unwrap();
    bench.middle().approver.owner = Owner::Denies("not now".into());
    assert!(matches!(ask(&agent).await, Err(Error::Denied { .. })));
    let kept = bench.agent("a").receipts().unwrap();
    let said: Vec<_> = kept.iter().map(|kept| (kept.n, kept.receipt.statement.verdict)).collect();
    assert_eq!(said, [(1, Verdict::Approved), (2, Verdict::Denied)]);
    assert_eq!(kept[0].receipt.statement.decided_by, Decider::Owner);
    assert!(kept[0].receipt.is_for_reason(&kept[0].reason));
    assert_eq!(&kept[0].receipt.approver_id, bench.middle().approver.id());
    let check = agent.check_receipts().unwrap();
    assert_eq!((check.count, check.newest, check.problems), (2, 2, Vec::<String>::new()));
    let text = std::fs::read_to_string(bench.profile("a").join("receipts/receipts.jsonl")).unwrap();
    assert!(!text.contains("password of"), "no values");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode =
            std::fs::metadata(bench.profile("a").join("receipts/receipts.jsonl")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_receipt_that_lies_or_is_anothers_is_no_answer_and_none_is_fine() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    for kind in [Receipts::Lies, Receipts::Stolen] {
        bench.middle().approver.receipts = kind;
        let answer = ask(&agent).await;
        assert!(
            matches!(answer, Err(Error::BadAnswer { reason }) if reason == "its receipt does not verify"),
            "{kind:?}"
        );
    }
    bench.middle().approver.receipts = Receipts::None;
    ask(&agent).await.unwrap();
    assert!(agent.receipts().unwrap().is_empty());
}

#[tokio::test]
async fn the_same_answer_is_kept_once() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    let request = agent.prepare(Ask::new(domain("example.com"), "Book the flight")).unwrap();
    for _ in 0..3 {
        agent.request(&request, Wait::UntilDecided).await.unwrap();
    }
    assert_eq!(agent.receipts().unwrap().len(), 1);
}

#[tokio::test]
async fn tampering_with_the_record_shows() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    for _ in 0..3 {
        ask(&agent).await.unwrap();
    }
    let path = bench.profile("a").join("receipts/receipts.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let problems = |text: String| {
        std::fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
        agent.check_receipts().unwrap().problems
    };
    let removed = problems(format!("{}\n{}\n", lines[0], lines[2]));
    assert_eq!(removed, ["receipt 3 was changed, or one before it was removed"]);
    let changed = problems(whole.replacen("Book the flight", "Book the fright", 1));
    assert!(changed[0].starts_with("receipt 1 was changed"), "{changed:?}");
    let unreadable = problems(format!("{whole}what is this\n"));
    assert_eq!(unreadable, ["line 4 of the record cannot be read"]);
    // Half a line is what a crash leaves: it is cut off, and the chain goes on.
    problems(format!("{whole}{{\"n\":4,"));
    ask(&agent).await.unwrap();
    assert_eq!(agent.check_receipts().unwrap().count, 4);
    assert!(agent.check_receipts().unwrap().problems.is_empty());
}

#[tokio::test]
async fn heads_go_both_ways_and_what_does_not_agree_is_kept() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    let log = |n, hash: u8| Head::new(n, &[hash; 32]);
    let answer_with = |heads| bench.middle().approver.heads = Some(heads);
    answer_with(Heads { mine: log(10, 1), yours: None });
    ask(&agent).await.unwrap();
    ask(&agent).await.unwrap();
    let seen = bench.middle().approver.heads_seen.clone();
    assert_eq!((seen[0].mine.n, &seen[0].yours), (0, &None));
    assert_eq!((seen[1].mine.n, &seen[1].yours), (1, &Some(log(10, 1))));
    let own = seen[1].mine.clone();
    assert!(agent.check_receipts().unwrap().problems.is_empty());

    // The approver's log was cut; one that came late says nothing.
    answer_with(Heads { mine: log(4, 1), yours: Some(own.clone()) });
    ask(&agent).await.unwrap();
    assert!(agent.check_receipts().unwrap().problems.is_empty(), "sealed in the same moment: overtaken");
    bench.clock.advance(Duration::from_mins(1));
    ask(&agent).await.unwrap();
    let problems = agent.check_receipts().unwrap().problems;
    assert!(problems[0].contains("ends before record 10"), "{problems:?}");
    // Another past under the same number, and one of ours that it cannot have seen.
    answer_with(Heads { mine: log(4, 2), yours: Some(Head::new(own.n, &[7; 32])) });
    ask(&agent).await.unwrap();
    answer_with(Heads { mine: log(5, 2), yours: Some(log(99, 1)) });
    ask(&agent).await.unwrap();
    let problems = agent.check_receipts().unwrap().problems;
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[1].contains("number 1 of this record is not"), "{problems:?}");
    assert!(problems[2].contains("this record ends before number 99"), "{problems:?}");
    assert_eq!(agent.receipts().unwrap().len(), 6, "and nothing was refused");
}

#[tokio::test]
async fn two_processes_of_a_profile_write_one_chain_and_the_full_file_is_put_aside() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    let other = bench.agent("a");
    for asking in [&agent, &other, &other, &agent, &agent, &other] {
        ask(asking).await.unwrap();
    }
    let check = agent.check_receipts().unwrap();
    assert_eq!((check.count, check.newest, check.problems), (6, 6, Vec::<String>::new()));

    // One answer to both: kept once, whoever wrote it down.
    let request = agent.prepare(Ask::new(domain("example.com"), "Book the flight")).unwrap();
    for asking in [&agent, &other, &agent] {
        asking.request(&request, Wait::UntilDecided).await.unwrap();
    }
    assert_eq!(agent.check_receipts().unwrap().newest, 7);

    let folder = bench.profile("a").join("receipts");
    let path = folder.join("receipts.jsonl");
    let mut filler = std::fs::read(&path).unwrap();
    filler.splice(0..0, [vec![b' '; 900_000], vec![b'\n']].concat());
    std::fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, &filler)).unwrap();
    for asking in [&agent, &other] {
        ask(asking).await.unwrap();
    }
    assert!(folder.join("receipts.1.jsonl").exists());
    let newest = std::fs::read_to_string(&path).unwrap();
    assert_eq!(newest.lines().count(), 2);
    let fresh = bench.agent("a");
    ask(&fresh).await.unwrap();
    let check = fresh.check_receipts().unwrap();
    assert_eq!(check.newest, 10);
    assert_eq!(check.problems, ["line 1 of the record cannot be read"], "the filler");
    let seen = bench.middle().approver.heads_seen.clone();
    assert_eq!(seen.last().unwrap().mine.n, 9, "the head goes on over the change of files");
}
