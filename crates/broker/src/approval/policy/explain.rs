//! Why the policy says what it says.

use serde::Serialize;

use super::{Policy, PolicyQuestion, PolicyVerdict, Ruling};

/// A ruling, and what each rule had to do with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What to do.
    pub verdict: PolicyVerdict,
    /// Which rule decides, counted from 1; nothing when none matches.
    pub rule: Option<usize>,
    /// In a sentence.
    pub why: String,
    /// Every rule, in order.
    pub rules: Vec<MatchedRule>,
}

/// One rule, and what it had to do with the ruling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedRule {
    /// Its number.
    pub n: usize,
    /// In one line.
    pub rule: String,
    /// Its part.
    pub role: RuleRole,
    /// Why, where the role does not say all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a rule had to do with a ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleRole {
    /// It decides.
    Decides,
    /// It matches, and one before it decided.
    Later,
    /// It matches, and names agents for which the owner did not say that rules count.
    PassedOver,
    /// It does not match.
    NoMatch,
}

impl Policy {
    /// Judges, and says why.
    pub fn explain(&self, question: PolicyQuestion<'_>) -> Explanation {
        let ruling = self.judge(question);
        let circumstances = self.circumstances(question);
        let rules = self.rules.iter().enumerate().map(|(i, rule)| {
            let n = i + 1;
            let (role, note) = match rule.miss(&circumstances) {
                Some(miss) => (RuleRole::NoMatch, Some(miss.text().to_owned())),
                None if ruling.rule == Some(n) => (RuleRole::Decides, None),
                None if ruling.rule.is_some_and(|decided| n > decided) => (RuleRole::Later, None),
                None => {
                    (RuleRole::PassedOver, Some("it names agents, and the owner's yes is missing".into()))
                }
            };
            MatchedRule { n, rule: rule.to_string(), role, note }
        });
        Explanation { why: why(&ruling), rules: rules.collect(), verdict: ruling.verdict, rule: ruling.rule }
    }
}

fn why(ruling: &Ruling) -> String {
    match (ruling.rule, ruling.held) {
        (None, _) => "no rule matches: the owner is asked".into(),
        (Some(n), Some(held)) => format!("rule {n} allows, and asks this time: {}", held.text()),
        (Some(n), None) => format!("rule {n} is the first that matches and counts"),
    }
}
