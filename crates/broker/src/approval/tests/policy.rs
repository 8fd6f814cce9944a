//! What the policy decides, for which sessions, and what is written down.

use durward_protocol::{Code, Field, Scope, Verdict};
use time::Duration;

use super::super::{Actor, AuditEvent, Event, GrantSpec, Policy, VaultFailure};
use super::agent::{Agent, ask};
use super::harness::{Vault, World};

fn set(world: &mut World, rules: &str) {
    let text = format!("{{\"rule\":[{rules}]}}");
    let policy = Policy::new(serde_json::from_str(&text).unwrap(), &text, |_| None).unwrap();
    world.handle(Event::SetPolicy(policy));
}

/// Pairs with the owner's yes to rules that name the agent.
fn pair_with_rules(world: &mut World, agent: &str) -> Agent {
    let displaying = world.display(agent, &Scope::none());
    let held = world.exchange(&displaying);
    let (number, code): (_, Code) = (Some(displaying.number), displaying.code.duplicate());
    world.call(|waiter| Event::TypeCode {
        waiter,
        number,
        code,
        scope: None,
        apply_rules: true,
        runs_on: None,
    });
    let response = world.exchanged(held);
    let agent = displaying.verify(&response).unwrap();
    world.confirm(&agent);
    agent
}

const ALLOW: &str = r#"{"domain":"example.com","fields":["username","password"],"verdict":"allow"}"#;
const DENY: &str = r#"{"domain":"example.com","verdict":"deny"}"#;
const ALLOW_CI: &str = r#"{"agent":"ci-*","verdict":"allow"}"#;

#[test]
fn allow_releases_without_a_question_and_says_which_rule() {
    let mut world = World::new();
    let agent = world.pair("a");
    set(&mut world, ALLOW);
    let held = world.ask(&agent, &ask(1, "login.example.com"));
    let verdict = world.verdict(&agent, held);
    assert_eq!(verdict.status, Verdict::Approved);
    assert_eq!(verdict.credential.fields(), Field::default_set());
    let log = world.store.log();
    let entry = log.iter().find(|e| e.event == AuditEvent::CredentialReleased).unwrap();
    assert_eq!(entry.actor, Actor::Policy);
    let version = world.machine.policy().version().to_owned();
    let detail = entry.detail.as_deref().unwrap();
    assert!(detail.ends_with(&format!("policy rule 1, version {version}")), "{detail}");
    assert!(log.iter().any(|e| e.outcome.as_deref() == Some("policy_changed")));
    // More than the rule lists asks.
    let more = world.ask(&agent, &ask(2, "example.com").fields(&[Field::Password, Field::Totp]));
    assert!(world.waits(more));
    assert_eq!(world.machine.sessions(world.now)[0].uses, 1);
}

#[test]
fn a_locked_vault_or_several_items_ask() {
    let mut world = World::new();
    let agent = world.pair("a");
    set(&mut world, ALLOW);
    world.vault = Vault::Fails(VaultFailure::Locked);
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert!(world.waits(held));
    assert_eq!(world.machine.waiting_requests(world.now).len(), 1);
    world.vault = Vault::Open;
    world.approve(&agent, 1);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
}

#[test]
fn deny_answers_at_once_even_against_a_grant() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    set(&mut world, &format!("{DENY},{ALLOW}"));
    for id in 1..=5 {
        let held = world.ask(&agent, &ask(id, "example.com"));
        let verdict = world.verdict(&agent, held);
        assert_eq!((verdict.status, verdict.reason.as_deref()), (Verdict::Denied, Some("policy")));
        let again = world.ask(&agent, &ask(id, "example.com"));
        assert_eq!(world.verdict(&agent, again).status, Verdict::Denied);
    }
    assert!(world.machine.paused_agents().is_empty(), "only the owner's denials count");
    assert_eq!(world.reads, 1, "the one before");
    let entry = world.store.log().into_iter().rfind(|e| e.event == AuditEvent::RequestEnded).unwrap();
    assert_eq!(entry.actor, Actor::Policy);
    assert!(entry.detail.unwrap().starts_with("policy rule 1, version "));
}

#[test]
fn a_denial_that_could_not_be_written_never_came() {
    let mut world = World::new();
    let agent = world.pair("a");
    set(&mut world, DENY);
    world.fail_commits = true;
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.code(held), durward_protocol::ErrorCode::StorageFailed);
    world.fail_commits = false;
    assert!(world.machine.waiting_requests(world.now).is_empty());
    let again = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, again).status, Verdict::Denied);
}

#[test]
fn rules_that_name_agents_count_only_on_a_yes() {
    let mut world = World::new();
    set(&mut world, ALLOW_CI);
    let claims = world.pair("ci-1");
    let held = world.ask(&claims, &ask(1, "example.com"));
    assert!(world.waits(held), "a claim is not enough");
    let displaying = world.display("ci-2", &Scope::none());
    let held = world.exchange(&displaying);
    let shown = world.machine.pairings();
    assert_eq!(shown[0].rules, ["1  allow  agent ci-*  any domain"]);
    world.handle(Event::WaitOver { waiter: held });

    let agent = pair_with_rules(&mut world, "ci-1");
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    world.restart();
    set(&mut world, ALLOW_CI);
    let held = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved, "kept over a restart");
    world.revoke(&agent);
    assert!(world.store.settings.is_empty(), "and forgotten with the session");
    let again = world.pair("ci-1");
    let held = world.ask(&again, &ask(1, "example.com"));
    assert!(world.waits(held), "a new pairing needs a new yes");
}

#[test]
fn a_rule_that_is_gone_when_the_vault_answers_releases_nothing() {
    let mut world = World::new();
    let agent = world.pair("a");
    set(&mut world, ALLOW);
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.readings.len(), 1);
    set(&mut world, "");
    world.answer_reading(0, None);
    assert!(world.waits(held));
    assert_eq!(world.machine.waiting_requests(world.now).len(), 1, "the owner is asked");
    world.pass(Duration::seconds(1));
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 0);
}

#[test]
fn a_change_of_rules_is_held_against_what_waits() {
    let mut world = World::new();
    let agent = world.pair("a");
    let (denied, released, asks) = (
        world.ask(&agent, &ask(1, "bank.example")),
        world.ask(&agent, &ask(2, "example.com")),
        world.ask(&agent, &ask(3, "other.example")),
    );
    set(&mut world, &format!(r#"{{"domain":"bank.example","verdict":"deny"}},{ALLOW}"#));
    let verdict = world.verdict(&agent, denied);
    assert_eq!((verdict.status, verdict.reason.as_deref()), (Verdict::Denied, Some("policy")));
    assert_eq!(world.verdict(&agent, released).status, Verdict::Approved);
    assert!(world.waits(asks));
    let ended = world.store.log().into_iter().rfind(|e| e.event == AuditEvent::RequestEnded).unwrap();
    assert!(ended.detail.unwrap().starts_with("policy rule 1, version "));
}

#[test]
fn a_release_by_a_new_rule_waits_for_an_open_vault() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Fails(VaultFailure::Locked);
    let held = world.ask(&agent, &ask(1, "example.com"));
    set(&mut world, ALLOW);
    assert!(world.waits(held));
    assert_eq!(world.machine.waiting_requests(world.now).len(), 1, "goes on asking");
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 0);
    world.vault = Vault::Open;
    world.approve(&agent, 1);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
}

#[test]
fn a_denial_of_what_waits_that_cannot_be_written_is_tried_again() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.fail_commits = true;
    set(&mut world, DENY);
    assert!(world.waits(held), "nothing is said that is not on disk");
    world.fail_commits = false;
    world.pass(Duration::seconds(2));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Denied);
}

#[test]
fn so_many_an_hour_also_over_a_restart_and_from_the_same_moment() {
    let mut world = World::new();
    let agent = world.pair("a");
    let rule = r#"{"domain":"example.com","per_hour":2,"verdict":"allow"}"#;
    set(&mut world, rule);
    for id in 1..=2 {
        let held = world.ask(&agent, &ask(id, "example.com"));
        assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    }
    world.restart();
    set(&mut world, rule);
    let third = world.ask(&agent, &ask(3, "example.com"));
    assert!(world.waits(third), "the owner is asked");
    world.pass(Duration::minutes(9));
    world.deny(&agent, 3, "no");
    for busy in 4..10 {
        world.pass(Duration::minutes(9)); // the session stays in use
        let held = world.ask(&agent, &ask(busy, "other.example"));
        world.deny(&agent, busy, "no");
        world.verdict(&agent, held);
        world.handle(Event::SwitchAgent {
            waiter: super::super::Waiter(u64::from(busy) + 100_000),
            agent_id: "a".to_owned().try_into().unwrap(),
            pause: false,
        });
    }
    let next = world.ask(&agent, &ask(50, "example.com"));
    assert_eq!(world.verdict(&agent, next).status, Verdict::Approved, "a new hour");
    // Two that are read at once cannot both take the last one.
    world.vault = Vault::Slow;
    let (one, two) = (world.ask(&agent, &ask(51, "example.com")), world.ask(&agent, &ask(52, "example.com")));
    world.answer_reading(0, None);
    world.answer_reading(0, None);
    assert_eq!(world.verdict(&agent, one).status, Verdict::Approved);
    assert!(world.waits(two));
}

#[test]
fn the_first_use_in_a_session_asks() {
    let mut world = World::new();
    let agent = world.pair("a");
    set(&mut world, r#"{"domain":"example.com","first_use":"ask","verdict":"allow"}"#);
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert!(world.waits(held));
    world.approve(&agent, 1);
    let again = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.verdict(&agent, again).status, Verdict::Approved);
    let more = world.ask(&agent, &ask(3, "example.com").fields(&[Field::Password, Field::Totp]));
    assert!(world.waits(more), "more than was approved");
    world.restart();
    set(&mut world, r#"{"domain":"example.com","first_use":"ask","verdict":"allow"}"#);
    let again = world.ask(&agent, &ask(4, "example.com"));
    assert_eq!(world.verdict(&agent, again).status, Verdict::Approved, "remembered");
    let anew = world.pair("a");
    let held = world.ask(&anew, &ask(5, "example.com"));
    assert!(world.waits(held), "another session");
}

#[test]
fn three_identical_approvals_suggest_a_rule_and_a_denial_begins_anew() {
    let mut world = World::new();
    let agent = world.pair("a");
    let approve = |world: &mut World, id| {
        world.ask(&agent, &ask(id, "example.com"));
        world.approve(&agent, id);
    };
    (1..=2).for_each(|id| approve(&mut world, id));
    assert!(world.machine.suggestions(world.now).is_empty());
    world.ask(&agent, &ask(3, "example.com"));
    world.deny(&agent, 3, "no");
    (4..=6).for_each(|id| approve(&mut world, id));
    let list = world.machine.suggestions(world.now);
    assert_eq!((list.len(), list[0].approvals, list[0].domain.as_str()), (1, 3, "example.com"));
    let stamp = |at| durward_protocol::Timestamp::new(at);
    let rule = list[0].rule(stamp(world.now.wall), stamp(world.now.wall + Duration::days(7)));
    assert!(rule.contains("agent = \"a\"\ndomain = \"example.com\"\nsubdomains = false\n"), "{rule}");
    assert!(
        rule.contains("fields = [\"username\", \"password\"]\nuntil = \"2026-11-29T10:00:00Z\""),
        "{rule}"
    );
    world.restart();
    assert_eq!(world.machine.suggestions(world.now).len(), 1, "remembered");
    // A rule that asks is the owner's word; a rule that allows has made it so.
    set(&mut world, r#"{"domain":"example.com","verdict":"ask"}"#);
    assert!(world.machine.suggestions(world.now).is_empty());
    let granted = r#"{"agent":"a","domain":"example.com","subdomains":false,"fields":["username","password"],"verdict":"allow"}"#;
    set(&mut world, granted);
    let held = world.ask(&agent, &ask(7, "example.com"));
    assert!(world.waits(held), "names an agent: counts on a yes");
    let session_id = agent.session;
    world.call(|waiter| Event::ApplyRules { waiter, session_id });
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved, "and what waits is judged again");
    assert!(world.machine.suggestions(world.now).is_empty());
}
