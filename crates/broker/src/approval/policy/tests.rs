//! Rulings, patterns, windows, and mistakes that are refused.

use durward_protocol::{AgentId, Domain, Field};
use time::OffsetDateTime;
use time::macros::datetime;

use super::pattern::AgentPattern;
use super::*;

const NOON: OffsetDateTime = datetime!(2026-11-23 12:00:00 UTC); // a Monday

/// So many releases in this hour, and whether the owner approved before.
struct Before(u32, bool);

impl Past for Before {
    fn releases_in_hour(&self, _: &str) -> u32 {
        self.0
    }

    fn approved_before(&self, _: &Domain, _: &[Field]) -> bool {
        self.1
    }
}

fn policy(rules: &str) -> Policy {
    let file: PolicyFile = serde_json::from_str(&format!("{{\"rule\":{rules}}}")).unwrap();
    Policy::new(file, rules, |_| None).unwrap()
}

fn judge(policy: &Policy, agent: &str, bound: bool, domain: &str, fields: &[Field]) -> String {
    let (agent_id, domain) = (AgentId::parse(agent).unwrap(), Domain::parse(domain).unwrap());
    let question = PolicyQuestion {
        agent_id: &agent_id,
        named_rules_apply: bound,
        domain: &domain,
        fields,
        at: NOON,
        past: &Before(0, false),
    };
    let ruling = policy.judge(question);
    format!("{} {}", ruling.verdict.as_str(), ruling.rule.unwrap_or_default())
}

#[test]
fn golden_rulings() {
    let policy = policy(
        r#"[
        {"domain":"bank.example","verdict":"deny"},
        {"fields":["notes","custom:pin"],"verdict":"deny"},
        {"agent":"ci-*","domain":"git.example","fields":["username","password"],"verdict":"allow"},
        {"agent":"night-*","verdict":"ask"},
        {"domain":"wiki.example","fields":["username","password"],"verdict":"allow"},
        {"agent":"*-old","verdict":"deny"}
    ]"#,
    );
    let pair = Field::default_set();
    let table: &[(&str, bool, &str, &[Field], &str)] = &[
        ("any", false, "bank.example", &pair, "deny 1"),
        ("ci-1", true, "login.bank.example", &pair, "deny 1"),
        ("any", false, "notbank.example", &pair, "ask 0"),
        ("ci-1", true, "git.example", &[Field::Username, Field::Notes], "deny 2"),
        ("ci-1", true, "git.example", &[Field::Custom("pin".into())], "deny 2"),
        ("ci-1", true, "git.example", &pair, "allow 3"),
        ("ci-1", true, "git.example", &[Field::Password], "allow 3"),
        ("ci-1", true, "git.example", &[Field::Password, Field::Totp], "ask 0"),
        ("ci-1", false, "git.example", &pair, "ask 0"),
        ("xci-1", true, "git.example", &pair, "ask 0"),
        ("any", false, "wiki.example", &pair, "allow 5"),
        ("night-7", true, "wiki.example", &pair, "ask 4"),
        ("night-7", false, "wiki.example", &pair, "ask 4"),
        ("night-7", false, "bank.example", &pair, "deny 1"),
        ("night-old", false, "other.example", &pair, "deny 6"),
        ("x-old", false, "other.example", &pair, "deny 6"),
        ("x-old", false, "wiki.example", &pair, "allow 5"),
        ("other", true, "other.example", &pair, "ask 0"),
    ];
    for (agent, bound, domain, fields, expected) in table {
        let ruling = judge(&policy, agent, *bound, domain, fields);
        assert_eq!(ruling, *expected, "{agent} {bound} {domain} {fields:?}");
    }
    assert_eq!(policy.rules_naming(&AgentId::parse("ci-old").unwrap()), [3, 6]);
    assert_eq!(policy.rules()[2], "allow  agent ci-*  domain git.example  fields username, password");
    assert_eq!(policy.version().len(), 16);
}

#[test]
fn without_rules_everything_asks() {
    assert_eq!(judge(&Policy::default(), "a", true, "example.com", &[Field::Totp]), "ask 0");
}

#[test]
fn patterns_of_agents() {
    let matches = |pattern: &str, agent: &str| {
        AgentPattern::try_from(pattern.to_owned()).unwrap().matches(&AgentId::parse(agent).unwrap())
    };
    for (pattern, agent) in [
        ("*", "a"),
        ("a*", "a"),
        ("a*c", "abc"),
        ("a*b*c", "aXbYc"),
        ("a", "a"),
        ("*b*", "b"),
        ("a**b", "ab"),
    ] {
        assert!(matches(pattern, agent), "{pattern} {agent}");
    }
    for (pattern, agent) in [("a", "ab"), ("a*c", "ab"), ("*b", "bc"), ("a*a", "a"), ("a*b*b", "ab")] {
        assert!(!matches(pattern, agent), "{pattern} {agent}");
    }
    for bad in ["", "a b", "a/b", "ä"] {
        assert!(AgentPattern::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn mistakes_are_refused() {
    for bad in [
        r#"[{"verdict":"maybe"}]"#,
        r#"[{"domain":"example.com"}]"#,
        r#"[{"verdict":"allow","domian":"example.com"}]"#,
        r#"[{"verdict":"allow","domain":"Example.com"}]"#,
        r#"[{"verdict":"allow","domain":"*.example.com"}]"#,
        r#"[{"verdict":"allow","agent":"a b"}]"#,
        r#"[{"verdict":"allow","fields":["pasword"]}]"#,
    ] {
        assert!(serde_json::from_str::<PolicyFile>(&format!("{{\"rule\":{bad}}}")).is_err(), "{bad}");
    }
}

fn question<'a>(
    agent_id: &'a AgentId,
    domain: &'a Domain,
    at: OffsetDateTime,
    past: &'a Before,
) -> PolicyQuestion<'a> {
    PolicyQuestion { agent_id, named_rules_apply: true, domain, fields: &[Field::Password], at, past }
}

fn file(zone: &str, rules: &str) -> Result<Policy, String> {
    let text = format!("{{\"zone\":\"{zone}\",\"rule\":{rules}}}");
    let file: PolicyFile = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    // A zone that goes from +01:00 to +02:00 on the first of April.
    let summer = datetime!(2026-04-01 01:00:00 UTC);
    Policy::new(file, &text, |name| {
        (name == "Test/Summer").then(|| {
            Zone::new(name, move |at| {
                let hours = if at < summer { 1 } else { 2 };
                time::UtcOffset::from_hms(hours, 0, 0).unwrap()
            })
        })
    })
}

#[test]
fn days_and_hours_are_those_of_the_zone() {
    let (agent, domain) = (AgentId::parse("a").unwrap(), Domain::parse("example.com").unwrap());
    let at = |zone: &str, rule: &str, at: OffsetDateTime| {
        let policy = file(zone, &format!("[{{{rule},\"verdict\":\"allow\"}}]")).unwrap();
        policy.judge(question(&agent, &domain, at, &Before(0, false))).rule.is_some()
    };
    let hours = r#""hours":"08:00-18:00""#;
    for (zone, moment, expected) in [
        ("UTC", datetime!(2026-11-23 07:59:59 UTC), false),
        ("UTC", datetime!(2026-11-23 08:00:00 UTC), true),
        ("UTC", datetime!(2026-11-23 18:00:00 UTC), false),
        ("+02:00", datetime!(2026-11-23 06:00:00 UTC), true),
        ("-05:30", datetime!(2026-11-23 13:29:00 UTC), false),
        ("-05:30", datetime!(2026-11-23 13:30:00 UTC), true),
        ("Test/Summer", datetime!(2026-03-31 06:30:00 UTC), false),
        ("Test/Summer", datetime!(2026-04-02 06:30:00 UTC), true),
    ] {
        assert_eq!(at(zone, hours, moment), expected, "{zone} {moment}");
    }
    let week = r#""days":["mon-fri"]"#;
    assert!(at("UTC", week, datetime!(2026-11-27 23:59:00 UTC)), "Friday");
    assert!(!at("+02:00", week, datetime!(2026-11-27 23:59:00 UTC)), "Saturday there");
    let turn = r#""days":["sat-mon"]"#;
    assert!(at("UTC", turn, datetime!(2026-11-22 00:00:00 UTC)) && at("UTC", turn, NOON));
    assert!(!at("UTC", turn, datetime!(2026-11-24 00:00:00 UTC)));
    // The night from Friday to Saturday is Friday's.
    let night = r#""days":["fri"],"hours":"22:00-06:00""#;
    assert!(at("UTC", night, datetime!(2026-11-27 22:00:00 UTC)));
    assert!(at("UTC", night, datetime!(2026-11-28 05:59:00 UTC)));
    assert!(!at("UTC", night, datetime!(2026-11-27 05:59:00 UTC)));
    assert!(!at("UTC", night, datetime!(2026-11-28 22:00:00 UTC)));
    let until = r#""until":"2026-11-23T12:00:00Z""#;
    assert!(at("UTC", until, NOON - time::Duration::seconds(1)) && !at("UTC", until, NOON));
    let only = r#""domain":"example.com","subdomains":false"#;
    assert!(at("UTC", only, NOON));
    let below = Domain::parse("login.example.com").unwrap();
    let policy = file("UTC", &format!("[{{{only},\"verdict\":\"allow\"}}]")).unwrap();
    assert_eq!(policy.judge(question(&agent, &below, NOON, &Before(0, true))).rule, None);
}

#[test]
fn an_allow_asks_when_its_hour_is_used_up_or_at_first_use() {
    let (agent, domain) = (AgentId::parse("a").unwrap(), Domain::parse("example.com").unwrap());
    let rules = r#"[{"per_hour":3,"first_use":"ask","verdict":"allow"},{"verdict":"deny"}]"#;
    let policy = file("UTC", rules).unwrap();
    let judge = |used, approved| {
        let ruling = policy.judge(question(&agent, &domain, NOON, &Before(used, approved)));
        (ruling.verdict, ruling.rule, ruling.held)
    };
    assert_eq!(judge(0, true), (PolicyVerdict::Allow, Some(1), None));
    assert_eq!(judge(2, true), (PolicyVerdict::Allow, Some(1), None));
    assert_eq!(judge(3, true), (PolicyVerdict::Ask, Some(1), Some(Held::Rate)), "and not the next rule");
    assert_eq!(judge(0, false), (PolicyVerdict::Ask, Some(1), Some(Held::FirstUse)));
}

#[test]
fn an_explanation_has_a_word_on_each_rule() {
    let (agent, domain) = (AgentId::parse("a").unwrap(), Domain::parse("example.com").unwrap());
    let rules = r#"[{"domain":"other.example","verdict":"deny"},{"agent":"a","verdict":"allow"},
        {"verdict":"ask"},{"verdict":"deny"},{"hours":"01:00-02:00","verdict":"allow"}]"#;
    let policy = file("UTC", rules).unwrap();
    let mut asked = question(&agent, &domain, NOON, &Before(0, false));
    asked.named_rules_apply = false;
    let explained = policy.explain(asked);
    assert_eq!((explained.verdict, explained.rule), (PolicyVerdict::Ask, Some(3)));
    let roles: Vec<_> = explained.rules.iter().map(|rule| rule.role).collect();
    use RuleRole::{Decides, Later, NoMatch, PassedOver};
    assert_eq!(roles, [NoMatch, PassedOver, Decides, Later, NoMatch]);
    assert_eq!(explained.rules[4].note.as_deref(), Some("another time of day"));
    assert_eq!(explained.why, "rule 3 is the first that matches and counts");
}

#[test]
fn mistakes_that_concern_several_keys_name_the_rule() {
    for (zone, rule, expected) in [
        ("Mars/Olympus", r#"{"verdict":"ask"}"#, "is not known here"),
        ("+25:00", r#"{"verdict":"ask"}"#, "is not known here"),
        ("UTC", r#"{"fields":[],"verdict":"deny"}"#, "rule 1: an empty list"),
        ("UTC", r#"{"per_hour":3,"verdict":"ask"}"#, "rule 1: per_hour and first_use"),
        ("UTC", r#"{"per_hour":0,"verdict":"allow"}"#, "rule 1: per_hour is 1 to 1000"),
        ("UTC", r#"{"subdomains":false,"verdict":"allow"}"#, "rule 1: subdomains = false needs a domain"),
        ("UTC", r#"{"first_use":"allow","verdict":"allow"}"#, "unknown variant"),
        ("UTC", r#"{"days":["someday"],"verdict":"allow"}"#, "a day is mon"),
        ("UTC", r#"{"hours":"8-18","verdict":"allow"}"#, "hours are written as"),
        ("UTC", r#"{"hours":"08:00-08:00","verdict":"allow"}"#, "hours are written as"),
        ("UTC", r#"{"until":"tomorrow","verdict":"allow"}"#, ""),
    ] {
        let error = file(zone, &format!("[{rule}]")).unwrap_err();
        assert!(error.contains(expected), "{rule}: {error}");
    }
    let text = r#"{"rule":[{"verdict":"ask"},{"hours":"08:00-18:00","verdict":"allow"}]}"#;
    let error = Policy::new(serde_json::from_str(text).unwrap(), text, |_| None).unwrap_err();
    assert!(error.starts_with("rule 2: days and hours need a zone"), "{error}");
}
