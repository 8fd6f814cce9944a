//! The offline fixture: a complete data file with what the official command line printed for it.

use secrecy::SecretString;
use serde_json::Value;

use super::uri::UriMatch;
use super::*;
use crate::Error;
use crate::crypto::SessionKey;
use crate::state::Document;
use crate::vault::Vault;

fn fixture() -> (Document, SessionKey, Vec<Value>) {
    let vectors: Value =
        serde_json::from_str(include_str!("../../tests/vectors/bitwarden-vectors.json")).unwrap();
    let fixture = &vectors["offlineFixture"];
    let document = Document::parse(serde_json::to_string(&fixture["dataJson"]).unwrap()).unwrap();
    let session = SessionKey::parse(&SecretString::from(fixture["BW_SESSION"].as_str().unwrap())).unwrap();
    (document, session, fixture["expected"].as_array().unwrap().clone())
}

fn run(vault: &Vault<'_>, args: &[&str]) -> Result<String, Error> {
    let json = |v: &dyn erased::Json| v.json();
    let text = |t: Option<&ItemText>| t.map(|t| t.expose().to_owned()).unwrap_or_default();
    Ok(match args {
        ["list", "items"] => json(&vault.items(&ItemFilter::default())),
        ["list", "items", "--url", url] => {
            json(&vault.items(&ItemFilter { url: Some((*url).to_owned()), ..ItemFilter::default() }))
        }
        ["list", "items", "--search", search] => {
            json(&vault.items(&ItemFilter { search: Some((*search).to_owned()), ..ItemFilter::default() }))
        }
        ["list", "folders"] => json(&vault.folders(None)),
        ["list", "collections"] => json(&vault.collections(None, None)),
        ["get", "item", term] => json(&vault.item(term, Wanted::Item)?),
        ["get", "password", term] => {
            text(vault.item(term, Wanted::Password)?.login.as_ref().and_then(|l| l.password.as_ref()))
        }
        ["get", "username", term] => {
            text(vault.item(term, Wanted::Username)?.login.as_ref().and_then(|l| l.username.as_ref()))
        }
        ["get", "uri", term] => vault
            .item(term, Wanted::Uri)?
            .login
            .map(|l| l.uris[0].uri.expose().to_owned())
            .unwrap_or_default(),
        ["get", "notes", term] => text(vault.item(term, Wanted::Notes)?.notes.as_ref()),
        other => panic!("the fixture runs {other:?}, this test does not"),
    })
}

mod erased {
    pub(super) trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}

#[test]
fn every_recorded_read_gives_the_same_bytes() {
    let (document, session, expected) = fixture();
    let vault = Vault::with_session(&document, &session).unwrap();
    let mut checked = 0;
    for case in &expected {
        let args: Vec<&str> = case["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        if args == ["status"] {
            continue;
        }
        match run(&vault, &args) {
            Ok(stdout) => assert_eq!(stdout, case["stdout"].as_str().unwrap(), "{args:?}"),
            Err(e) => assert_eq!(e.to_string(), case["stderr"].as_str().unwrap(), "{args:?}"),
        }
        checked += 1;
    }
    assert_eq!(checked, 15);
}

#[test]
fn another_session_key_finds_the_vault_locked() {
    let (document, _, _) = fixture();
    assert!(matches!(Vault::with_session(&document, &SessionKey::generate()), Err(Error::Locked)));
}

#[test]
fn items_of_an_unknown_organisation_are_listed_empty() {
    let (mut document, session, _) = fixture();
    let key = document.keys().find(|k| k.ends_with("crypto_organizationKeys")).unwrap().to_owned();
    document.set(&key, &serde_json::json!({})).unwrap();
    let vault = Vault::with_session(&document, &session).unwrap();
    let items = vault.items(&ItemFilter::default());
    assert_eq!(items.len(), 4);
    let lost: Vec<_> = items.iter().filter(|i| i.organization_id.is_some()).collect();
    assert_eq!(lost.len(), 2);
    assert!(lost.iter().all(|i| i.name.expose().is_empty() && i.fields.is_empty()));
}

#[test]
fn the_user_password_opens_it_too() {
    let (document, _, _) = fixture();
    let account = document.account().unwrap().unwrap();
    let user = account.open_with_password(&SecretString::from("correct horse battery staple")).unwrap();
    assert_eq!(Vault::with_user_key(account, user).unwrap().items(&ItemFilter::default()).len(), 4);
    assert!(matches!(account.open_with_password(&SecretString::from("wrong")), Err(Error::WrongPassword)));
}

#[test]
fn unknown_keys_and_values_survive_a_change_byte_for_byte() {
    let text = "{\n  \"stateVersion\": 85,\n  \"odd\": { \"a\":1.50, \"b\": [ ] },\n  \"esc\\\"aped\": \"\\u00e4\"\n}";
    let mut document = Document::parse(text).unwrap();
    assert!(!document.is_changed());
    assert_eq!(document.render(), text);
    document.set("new", &serde_json::json!({"x": [1]})).unwrap();
    let changed = document.render();
    assert!(changed.starts_with(text.trim_end_matches("\n}")), "{changed}");
    assert!(changed.ends_with("  \"new\": {\n    \"x\": [\n      1\n    ]\n  }\n}"), "{changed}");
}

#[test]
fn rules_of_addresses() {
    let fits = |rule, saved: &str, target: &str| UriMatch::from_rule(rule).matches(saved, target);
    for (rule, saved, target, expected) in [
        (None, "https://github.com", "https://gist.github.com", true),
        (Some(0), "http://192.168.1.10:8080/", "http://192.168.1.10:9", true),
        (Some(0), "https://alice.github.io", "https://bob.github.io", false),
        (Some(0), "https://co.uk", "https://example.co.uk", false),
        (Some(0), "https://bücher.example", "https://xn--bcher-kva.example", true),
        (Some(0), "https://google.com", "https://script.google.com", false),
        (Some(0), "example.com", "foo", false),
        (Some(0), "example.com", "login.example.com", true),
        (Some(0), "http://localhost:3000", "localhost", true),
        (Some(1), "http://localhost:3000", "localhost", false),
        (Some(1), "https://a.example.com:8443/x", "https://a.example.com:8443/y", true),
        (Some(1), "https://a.example.com", "https://b.example.com", false),
        (Some(2), "https://a.example/app", "https://a.example/app/login", true),
        (Some(2), "https://a.example/app", "https://a.example/", false),
        (Some(3), "https://a.example", "https://a.example/", false),
        (Some(3), "https://a.example", "https://a.example", true),
        (Some(4), r"^https://[a-z]+\.EXAMPLE\.com/", "https://foo.example.com/x", true),
        (Some(4), "(unclosed", "(unclosed", false),
        (Some(5), "https://a.example", "https://a.example", false),
        (Some(9), "https://a.example", "https://a.example", false),
        (None, "", "https://a.example", false),
        (None, "data:text/plain,x", "data:text/plain,x", false),
    ] {
        assert_eq!(fits(rule, saved, target), expected, "{rule:?} {saved} {target}");
    }
}

#[test]
fn lists_are_ordered_like_the_official_ones() {
    let mut names = [
        "Própèr Ñame",
        "item 10",
        "A secure note",
        "Regex",
        "item 2",
        "Bare domain",
        "propes",
        "My Visa",
        "_x",
    ];
    sort_by_name(&mut names, |n| n);
    assert_eq!(
        names,
        [
            "_x",
            "A secure note",
            "Bare domain",
            "item 2",
            "item 10",
            "My Visa",
            "Própèr Ñame",
            "propes",
            "Regex"
        ]
    );
}
