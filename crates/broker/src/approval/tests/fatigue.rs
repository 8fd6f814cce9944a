//! The fatigue breaker: look-alikes are one prompt, and three denials in a row pause an agent.

use durward_protocol::{AgentId, ErrorCode, Field, RequestId, Verdict};
use time::Duration;

use super::super::{Actor, AuditEvent, GrantSpec, Notice, PausedWhy, VaultFailure};
use super::agent::{Agent, ask};
use super::harness::{Vault, World};
use crate::approval::Event;

fn switch(world: &mut World, agent: &str, pause: bool) -> usize {
    let agent_id = AgentId::parse(agent).unwrap();
    let waiter = world.call(|waiter| Event::SwitchAgent { waiter, agent_id, pause });
    match world.answer(waiter) {
        crate::approval::Answer::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

fn deny_times(world: &mut World, agent: &Agent, first: u8, count: u8) {
    for id in first..first + count {
        let held = world.ask(agent, &ask(id, "example.com"));
        world.deny(agent, id, "no");
        assert_eq!(world.verdict(agent, held).status, Verdict::Denied);
    }
}

#[test]
fn look_alikes_are_one_prompt_with_a_count() {
    let mut world = World::new();
    let agent = world.pair("a");
    for id in 1..=3 {
        world.ask(&agent, &ask(id, "example.com").reason(&format!("reason {id}")));
    }
    world.ask(&agent, &ask(4, "example.org"));
    world.ask(&agent, &ask(5, "example.com").fields(&[Field::Totp]));
    world.ask(&agent, &ask(6, "example.com").item("one"));
    let other = world.pair("b");
    world.ask(&other, &ask(7, "example.com"));
    let prompts = world.machine.prompts(world.now);
    let seen: Vec<(RequestId, usize)> = prompts.iter().map(|p| (p.request_id, p.alike)).collect();
    let id = |n: u8| RequestId::from_bytes([n; 16]);
    assert_eq!(seen, [(id(1), 2), (id(4), 0), (id(5), 0), (id(6), 0), (id(7), 0)]);
    assert_eq!(prompts[0].reason, "reason 1", "the oldest speaks for all");
    assert_eq!(world.machine.waiting_requests(world.now).len(), 7, "each can still be decided");
}

/// An approver that is restarted between denials pauses all the same.
#[test]
fn a_restart_forgets_no_denial() {
    let mut world = World::new();
    let agent = world.pair("a");
    deny_times(&mut world, &agent, 1, 2);
    world.restart();
    deny_times(&mut world, &agent, 3, 1);
    assert_eq!(world.machine.paused_agents().len(), 1);
    world.restart();
    assert_eq!(switch(&mut world, "a", false), 1);
    world.restart();
    deny_times(&mut world, &agent, 4, 2);
    world.restart();
    let held = world.ask(&agent, &ask(6, "example.com"));
    world.approve(&agent, 6);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    world.restart();
    deny_times(&mut world, &agent, 7, 2);
    assert!(world.machine.paused_agents().is_empty(), "an approval in between begins a new row");
}

#[test]
fn an_approval_releases_one_of_them() {
    let mut world = World::new();
    let agent = world.pair("a");
    let first = world.ask(&agent, &ask(1, "example.com"));
    let second = world.ask(&agent, &ask(2, "example.com"));
    world.approve(&agent, 1);
    assert_eq!(world.verdict(&agent, first).status, Verdict::Approved);
    assert!(world.waits(second));
    assert_eq!(world.reads, 1);
    assert_eq!(world.machine.prompts(world.now)[0].alike, 0);
}

#[test]
fn a_denial_ends_them_all_and_counts_once() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held: Vec<_> = (1..=5)
        .map(|id| world.ask(&agent, &ask(id, "example.com").reason(&format!("reason {id}"))))
        .collect();
    let other = world.ask(&agent, &ask(9, "example.org"));
    world.deny(&agent, 3, "not now");
    for waiter in held {
        let verdict = world.verdict(&agent, waiter);
        assert_eq!((verdict.status, verdict.reason.as_deref()), (Verdict::Denied, Some("not now")));
    }
    assert!(world.waits(other));
    assert!(world.machine.paused_agents().is_empty(), "five were ended by one denial");
    assert_eq!(world.store.count(AuditEvent::RequestEnded), 5);
}

#[test]
fn three_denials_in_a_row_pause_an_agent() {
    let mut world = World::new();
    let agent = world.pair("a");
    let other = world.pair("b");
    deny_times(&mut world, &agent, 1, 2);
    let waiting = world.ask(&agent, &ask(50, "example.org"));
    deny_times(&mut world, &agent, 3, 1);
    let paused = world.machine.paused_agents();
    assert_eq!(paused.len(), 1);
    assert_eq!((paused[0].agent_id.as_str(), paused[0].paused.why), ("a", PausedWhy::Denied));
    let last = world.verdict(&agent, waiting);
    assert_eq!((last.status, last.reason.as_deref()), (Verdict::Denied, Some("agent_paused")));
    let refused = world.ask(&agent, &ask(60, "example.com"));
    assert_eq!(world.code(refused), ErrorCode::AgentPaused);
    assert!(world.machine.prompts(world.now).is_empty(), "the owner is not asked");
    assert!(world.machine.sessions(world.now).iter().all(|s| s.paused == (s.agent_id.as_str() == "a")));
    assert!(world.notices.iter().any(|n| matches!(n, Notice::AgentSwitched { paused: Some(_), .. })));
    let entry = world.store.log().into_iter().find(|e| e.event == AuditEvent::AgentSwitched).unwrap();
    assert_eq!((entry.actor, entry.outcome.as_deref()), (Actor::System, Some("paused")));
    // An answer that is there can be fetched, and nobody else is concerned.
    let again = world.ask(&agent, &ask(50, "example.org"));
    assert_eq!(world.verdict(&agent, again).status, Verdict::Denied);
    let others = world.ask(&other, &ask(1, "example.com"));
    assert!(world.waits(others));
}

#[test]
fn an_approval_in_between_starts_the_count_anew() {
    let mut world = World::new();
    let agent = world.pair("a");
    deny_times(&mut world, &agent, 1, 2);
    world.ask(&agent, &ask(10, "example.com"));
    world.approve(&agent, 10);
    deny_times(&mut world, &agent, 20, 2);
    assert!(world.machine.paused_agents().is_empty());
    deny_times(&mut world, &agent, 30, 1);
    assert_eq!(world.machine.paused_agents().len(), 1);
}

#[test]
fn only_denials_of_the_owner_count() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Fails(VaultFailure::NotFound);
    for id in 1..=4 {
        world.ask(&agent, &ask(id, "example.com"));
        world.approve(&agent, id);
        world.ask(&agent, &ask(id + 10, "example.com").expires_in(60));
        world.pass(Duration::seconds(61));
    }
    assert!(world.machine.paused_agents().is_empty());
    world.fail_commits = true;
    let held = world.ask(&agent, &ask(99, "example.com"));
    assert_eq!(world.code(held), ErrorCode::StorageFailed);
}

#[test]
fn a_pause_outlives_restart_session_and_pairing() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    deny_times_on(&mut world, &agent, "example.org");
    let refused = world.ask(&agent, &ask(70, "example.com"));
    assert_eq!(world.code(refused), ErrorCode::AgentPaused, "a grant does not help");
    world.restart();
    let refused = world.ask(&agent, &ask(71, "example.com"));
    assert_eq!(world.code(refused), ErrorCode::AgentPaused);
    let again = world.pair("a");
    let refused = world.ask(&again, &ask(1, "example.com"));
    assert_eq!(world.code(refused), ErrorCode::AgentPaused);
    assert_eq!(switch(&mut world, "a", false), 1);
    assert_eq!(switch(&mut world, "a", false), 0, "not twice");
    let asked = world.ask(&again, &ask(2, "example.com"));
    assert!(world.waits(asked));
    world.restart();
    assert!(world.machine.paused_agents().is_empty());
    deny_times(&mut world, &again, 10, 1);
    assert!(world.machine.paused_agents().is_empty(), "resumed with a count of nothing");
}

fn deny_times_on(world: &mut World, agent: &Agent, domain: &str) {
    for id in 1..=3 {
        world.ask(agent, &ask(id, domain));
        world.deny(agent, id, "no");
    }
}

#[test]
fn the_owner_pauses_and_a_crash_in_between_leaves_nothing_waiting() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.hold_commits = true;
    let creating = world.ask(&agent, &ask(2, "example.com"));
    let agent_id = AgentId::parse("a").unwrap();
    world.call(|waiter| Event::SwitchAgent { waiter, agent_id, pause: true });
    world.finish_commits(true);
    for waiter in [held, creating] {
        assert_eq!(world.verdict(&agent, waiter).reason.as_deref(), Some("agent_paused"));
    }
    world.hold_commits = false;
    assert_eq!(switch(&mut world, "a", false), 1);

    let waits = world.ask(&agent, &ask(3, "example.com"));
    world.hold_commits = true;
    let agent_id = AgentId::parse("a").unwrap();
    world.call(|waiter| Event::SwitchAgent { waiter, agent_id, pause: true });
    world.finish_commit(true); // the pause is on disk, the end of what waits is not
    world.hold_commits = false;
    world.restart();
    assert!(world.waits(waits));
    assert!(world.machine.waiting_requests(world.now).is_empty());
    let again = world.ask(&agent, &ask(3, "example.com"));
    assert_eq!(world.verdict(&agent, again).reason.as_deref(), Some("agent_paused"));
}

#[test]
fn a_pause_that_could_not_be_written_is_written_later() {
    let mut world = World::new();
    world.pair("a");
    world.fail_commits = true;
    let agent_id = AgentId::parse("a").unwrap();
    let waiter = world.call(|waiter| Event::SwitchAgent { waiter, agent_id, pause: true });
    assert_eq!(world.code(waiter), ErrorCode::StorageFailed);
    assert_eq!(world.machine.paused_agents().len(), 1, "and it holds already");
    world.fail_commits = false;
    world.pass(Duration::seconds(2));
    assert!(world.store.settings.contains_key("paused_agent/a"));
}
