//! `durward token`

use std::os::unix::fs::PermissionsExt as _;

use crate::env::TestEnvironment;

#[test]
fn add_rotate_remove() {
    let env = TestEnvironment::new();
    insta::assert_snapshot!("token_none", env.run(&["token", "list"]).screen(&env));
    let added = env.run(&["token", "add", "firefox", "--scope", "pair"]);
    insta::assert_snapshot!("token_add", added.screen(&env));
    let path = env.path("tokens/firefox.pair.token");
    let first = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(first.len(), 43, "256 bits");
    assert!(!added.stdout.contains(&first) && !added.stderr.contains(&first), "the value is never printed");

    insta::assert_snapshot!("token_list", env.run(&["token", "list"]).screen(&env));
    assert_eq!(env.run(&["token", "path", "firefox"]).stdout.trim_end(), path.display().to_string());

    assert_eq!(env.run(&["token", "rotate", "firefox"]).code, 0);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), first);

    let removed = env.run(&["token", "remove", "firefox", "--json"]);
    assert_eq!(removed.json()["token"]["name"], "firefox");
    assert!(!path.exists());
}

#[test]
fn json_is_one_object() {
    let env = TestEnvironment::new();
    let added = env.run(&["token", "add", "ci", "--scope", "spake", "--json"]);
    let listed = env.run(&["token", "list", "--json"]);
    assert_eq!(added.json()["success"], true);
    assert_eq!(listed.json()["tokens"][0], added.json()["token"]);
    assert_eq!(listed.json()["tokens"][0]["scope"], "spake");
}

#[test]
fn mistakes() {
    let env = TestEnvironment::new();
    assert_eq!(env.run(&["token", "add", "ci", "--scope", "owner"]).code, 0);
    for (arguments, code) in [
        (vec!["token"], 64),
        (vec!["token", "add", "x"], 64),
        (vec!["token", "add", "x", "--scope", "all"], 64),
        (vec!["token", "add", "../x", "--scope", "pair"], 64),
        (vec!["token", "add", "ci", "--scope", "pair"], 64),
        (vec!["token", "rotate", "nobody"], 4),
        (vec!["token", "remove", "nobody"], 4),
        (vec!["token", "path", "nobody"], 4),
    ] {
        assert_eq!(env.run(&arguments).code, code, "{arguments:?}");
    }
    let unknown = env.run(&["token", "path", "nobody", "--json"]);
    assert_eq!(unknown.json()["error"]["code"], "token_not_found");
}
