//! `durward://domain/field`: a value by name, in environment files and templates.

use std::collections::BTreeMap;

use durward_protocol::{Domain, Field, SecretString};

use super::agent::{Fetched, Question};
use crate::exit::{CliError, Exit};

/// How a reference begins.
pub(crate) const SCHEME: &str = "durward://";

/// One field of one domain's credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) domain: Domain,
    pub(crate) field: Field,
}

impl Reference {
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        let bad = |why: &str| {
            CliError::new(Exit::Usage, "invalid_reference", format!("{why}: write durward://DOMAIN/FIELD"))
        };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| bad("not a reference"))?;
        let (domain, field) = rest.split_once('/').ok_or_else(|| bad("the field is missing"))?;
        Ok(Self {
            domain: Domain::from_input(domain).map_err(|error| bad(&error.to_string()))?,
            field: field.parse().map_err(|error: durward_protocol::Error| bad(&error.to_string()))?,
        })
    }
}

/// One question a domain, with all the fields that are referred to.
pub(crate) fn questions<'a>(
    references: impl Iterator<Item = &'a Reference>,
    reason: &str,
) -> Result<Vec<Question>, CliError> {
    let mut by_domain: BTreeMap<&Domain, Vec<Field>> = BTreeMap::new();
    for reference in references {
        by_domain.entry(&reference.domain).or_default().push(reference.field.clone());
    }
    by_domain
        .into_iter()
        .map(|(domain, fields)| {
            let question = Question::parse(domain.as_str(), &[], reason)?;
            Ok(Question { fields, ..question })
        })
        .collect()
}

/// The value of a reference among the answers.
pub(crate) fn resolve<'a>(wanted: &Reference, fetched: &'a [Fetched]) -> Result<&'a SecretString, CliError> {
    let answer = fetched.iter().find(|fetched| fetched.domain == wanted.domain);
    answer.and_then(|fetched| fetched.approval.credential.get(&wanted.field)).ok_or_else(|| {
        let text = format!("the item for {} has no {}", wanted.domain, wanted.field);
        CliError::new(Exit::NotFound, "field_not_found", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let reference = Reference::parse("durward://DB.internal/custom:API key").unwrap();
        assert_eq!(reference.domain.as_str(), "db.internal");
        assert_eq!(reference.field, Field::Custom("API key".into()));
        for bad in [
            "durward://db.internal",
            "durward:///password",
            "durward://a b/password",
            "op://a/b",
            "durward://a.example/pin",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_question_a_domain() {
        let list =
            ["durward://a.example/password", "durward://b.example/totp", "durward://a.example/username"];
        let list: Vec<Reference> = list.iter().map(|text| Reference::parse(text).unwrap()).collect();
        let questions = questions(list.iter(), "deploy").unwrap();
        assert_eq!(questions.len(), 2);
        assert_eq!(questions[0].fields, [Field::Password, Field::Username]);
    }
}
