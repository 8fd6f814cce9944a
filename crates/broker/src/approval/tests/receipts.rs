//! Receipts and heads: what is signed about each verdict, and what both sides see of each other's log.

use durward_protocol::{CredentialResponse, Decider, Field, Head, Receipt, Verdict};
use time::Duration;

use super::super::{AuditEvent, Decision, GrantSpec, HeadsProblem, Notice, Settings, VaultFailure};
use super::agent::{Agent, ask};
use super::harness::{Vault, World};

/// The receipt of a verdict, checked as an agent checks it.
fn receipt(world: &World, agent: &Agent, verdict: &CredentialResponse, asked: u8) -> Receipt {
    let approver = world.machine.approver.id();
    let receipt = Receipt::verify_from(verdict.receipt.as_deref().unwrap(), approver).unwrap();
    let said = &receipt.statement;
    assert_eq!(said.fingerprint, agent.keys.fingerprint());
    assert_eq!(said.request_id.as_bytes(), &[asked; 16]);
    assert_eq!((said.agent_id.as_str(), said.domain.as_str()), ("a", "example.com"));
    assert!(receipt.is_for_reason("to book the flight"));
    assert_eq!(said.fields_asked, "password,username");
    assert_eq!(said.verdict, verdict.status);
    receipt
}

#[test]
fn every_verdict_comes_with_a_receipt_that_says_who_decided() {
    let mut world = World::new();
    let agent = world.pair("a");
    let mut said = Vec::new();
    let mut take = |world: &World, held, id| {
        let verdict = world.verdict(&agent, held);
        let said_now = receipt(world, &agent, &verdict, id).statement;
        said.push((said_now.verdict, said_now.decided_by, said_now.fields_released));
    };
    let fewer = Decision::Approve { grant: None, item_id: None, fields: Some(vec![Field::Password]) };
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.decide(&agent, 1, fewer);
    take(&world, held, 1);
    let held = world.ask(&agent, &ask(2, "example.com"));
    world.deny(&agent, 2, "no");
    take(&world, held, 2);
    let held = world.ask(&agent, &ask(3, "example.com"));
    world.cancel(&agent, 3);
    take(&world, held, 3);
    let held = world.ask(&agent, &ask(4, "example.com").expires_in(5));
    world.pass(Duration::seconds(6));
    take(&world, held, 4);
    world.vault = Vault::Fails(VaultFailure::NotFound);
    let held = world.ask(&agent, &ask(5, "example.com"));
    world.approve(&agent, 5);
    take(&world, held, 5);
    world.vault = Vault::Open;
    let held = world.ask(&agent, &ask(6, "example.com"));
    let grant = Some(GrantSpec::Session);
    world.decide(&agent, 6, Decision::Approve { grant, item_id: None, fields: None });
    take(&world, held, 6);
    let held = world.ask(&agent, &ask(7, "example.com"));
    take(&world, held, 7);
    let both = "password,username".to_owned();
    assert_eq!(
        said,
        [
            (Verdict::Approved, Decider::Owner, "password".to_owned()),
            (Verdict::Denied, Decider::Owner, String::new()),
            (Verdict::Cancelled, Decider::Agent, String::new()),
            (Verdict::Expired, Decider::System, String::new()),
            (Verdict::NotFound, Decider::Owner, String::new()),
            (Verdict::Approved, Decider::Owner, both.clone()),
            (Verdict::Approved, Decider::Grant, both),
        ]
    );
    let held = world.ask(&agent, &ask(8, "other.example"));
    world.revoke(&agent);
    let last = world.verdict(&agent, held);
    let approver = world.machine.approver.id().clone();
    let last = Receipt::verify_from(last.receipt.as_deref().unwrap(), &approver).unwrap();
    assert_eq!((last.statement.verdict, last.statement.decided_by), (Verdict::Denied, Decider::System));
}

#[test]
fn asked_again_the_receipt_is_the_same_and_after_a_restart_it_still_says_who() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.deny(&agent, 1, "policy"); // a reason that looks like a rule's
    let first = world.verdict(&agent, held);
    let again = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, again).receipt, first.receipt);
    world.restart();
    let again = world.ask(&agent, &ask(1, "example.com"));
    let anew = world.verdict(&agent, again);
    assert_eq!(receipt(&world, &agent, &anew, 1).statement.decided_by, Decider::Owner);
    let held = world.ask(&agent, &ask(2, "example.com"));
    world.approve(&agent, 2);
    world.verdict(&agent, held);
    world.restart();
    let again = world.ask(&agent, &ask(2, "example.com"));
    let anew = world.verdict(&agent, again);
    let anew = receipt(&world, &agent, &anew, 2).statement;
    assert_eq!((anew.verdict, anew.decided_by), (Verdict::Expired, Decider::System));
    assert_eq!(anew.fields_released, "");
}

/// What the answer says about the approver's log.
fn seen(world: &mut World, agent: &Agent, id: u8, mine: (u64, u8), yours: Option<Head>) -> Head {
    let held = world.ask(agent, &ask(id, "example.com").heads(mine, yours));
    if world.waits(held) {
        world.approve(agent, id);
    }
    world.verdict(agent, held).heads.unwrap().mine
}

fn problems(world: &World) -> Vec<String> {
    let log = world.store.log();
    let differ = log.into_iter().filter(|entry| entry.event == AuditEvent::HeadsDiffer);
    differ.filter_map(|entry| entry.outcome).collect()
}

#[test]
fn the_agent_sees_the_record_of_its_own_release_and_the_approver_the_agents() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com").heads((3, 1), None));
    world.approve(&agent, 1);
    let heads = world.verdict(&agent, held).heads.unwrap();
    let released = world.store.audit.iter().rfind(|r| r.body.contains("credential_released")).unwrap();
    assert!(heads.mine.n >= released.n);
    assert_eq!(
        heads.mine.hash_bytes(),
        world.store.audit.get(usize::try_from(heads.mine.n).unwrap() - 1).map(|r| r.hash)
    );
    assert_eq!(heads.yours, Some(Head::new(3, &[1; 32])));
    let mut last = heads.mine;
    for id in 2..6 {
        last = seen(&mut world, &agent, id, (u64::from(id) + 2, 1), Some(last));
    }
    world.restart();
    seen(&mut world, &agent, 6, (8, 1), Some(last));
    assert!(problems(&world).is_empty(), "an honest day");
}

#[test]
fn a_log_that_was_cut_or_rewritten_shows_and_refuses_nobody() {
    let mut world = World::new();
    let agent = world.pair("a");
    let last = seen(&mut world, &agent, 1, (1, 1), None);
    // Restored from before that release: the agent has seen more than there is.
    let (mut audit, mut head) = (world.store.audit.clone(), world.store.head);
    world.store.audit.truncate(3);
    world.store.head.n = 3;
    world.store.head.hash = world.store.audit[2].hash;
    world.restart();
    let verdict = seen(&mut world, &agent, 2, (2, 1), Some(last.clone()));
    assert!(verdict.n > 0, "answered all the same");
    assert_eq!(problems(&world), ["log_ends_before"]);
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::HeadsDiffer { .. })));
    let known = &world.machine.agent_heads()[0];
    assert_eq!(known.problem, Some(HeadsProblem::LogEndsBefore { n: last.n }));
    assert_eq!(known.seen, Some(last.clone()), "kept, though the log grows past it");
    seen(&mut world, &agent, 3, (3, 1), Some(last.clone()));
    world.restart();
    assert_eq!(world.machine.agent_heads()[0].seen, Some(last.clone()), "and over a restart");
    // Another past under the same numbers, looked up in the log because it is older than this process.
    std::mem::swap(&mut audit, &mut world.store.audit);
    std::mem::swap(&mut head, &mut world.store.head);
    world.call(|waiter| super::super::Event::ForgetHeads { waiter });
    let forged = Head::new(2, &[9; 32]);
    world.restart();
    seen(&mut world, &agent, 4, (4, 1), Some(forged));
    assert_eq!(problems(&world).last().map(String::as_str), Some("log_differs"));
}

#[test]
fn an_agent_whose_record_was_cut_shows_too_and_overtaking_does_not() {
    let mut world = World::with(Settings::default());
    let agent = world.pair("a");
    seen(&mut world, &agent, 1, (7, 1), None);
    seen(&mut world, &agent, 2, (6, 2), None); // sealed earlier, came later
    assert!(problems(&world).is_empty());
    world.pass(Duration::seconds(30));
    seen(&mut world, &agent, 3, (1, 3), None);
    assert_eq!(problems(&world), ["agent_ends_before"]);
    seen(&mut world, &agent, 4, (1, 4), None);
    assert_eq!(problems(&world), ["agent_ends_before", "agent_differs"]);
    // Nonsense is no reason to refuse.
    let mut odd = ask(5, "example.com").heads((1, 1), None);
    odd.request.heads = odd.request.heads.map(|mut heads| {
        heads.mine.hash = "not a hash".into();
        heads
    });
    let held = world.ask(&agent, &odd);
    assert!(world.waits(held));
}
