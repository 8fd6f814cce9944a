//! `vault connect --provider bitwarden`: the folder is named or found, and what cannot be is refused.

use crate::env::TestEnvironment;

#[test]
fn a_bitwarden_account_is_a_vault() {
    let mut env = TestEnvironment::new();
    env.file("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    env.file("bw/data.json", "{}");
    let connect = |env: &TestEnvironment, more: &[&str]| {
        let words = [&["vault", "connect"], more, &["--provider", "bitwarden", "--json"]].concat();
        env.run(&words)
    };
    let added =
        connect(&env, &["work", "--folder", "bw", "--extra-ca", "ca.pem", "--proxy", "http://127.0.0.1:9"]);
    assert_eq!((added.code, added.json()["vault"].as_str()), (0, Some("work")), "{added:?}");
    assert_eq!(added.stderr, "", "there is a data.json");
    env.set("BITWARDENCLI_APPDATA_DIR", &env.path("elsewhere").display().to_string());
    let found = connect(&env, &["home", "--use"]);
    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.stderr.contains("log in with `bw login`"), "{found:?}");
    let list = env.run(&["vault", "use", "--json"]).json();
    let of =
        |name: &str| list["vaults"].as_array().unwrap().iter().find(|v| v["name"] == name).unwrap().clone();
    assert_eq!(
        (of("work")["provider"].as_str(), of("work")["exists"].as_bool()),
        (Some("bitwarden"), Some(true))
    );
    assert_eq!((of("home")["exists"].as_bool(), of("home")["in_use"].as_bool()), (Some(false), Some(true)));
    for (name, folder) in [("work", "bw"), ("home", "elsewhere")] {
        let location = of(name)["location"].as_str().unwrap().to_owned();
        assert!(location.contains(&env.path(folder).display().to_string()), "{location}");
    }
    for (more, word) in [
        (vec!["x", "--extra-ca", "nowhere.pem"], "nowhere.pem"),
        (vec!["x", "--proxy", "proxy:3128"], "http://proxy.example:3128"),
        (vec!["x", "--preset", "rbw"], "--preset"),
        (vec!["home"], "home"),
    ] {
        let refused = connect(&env, &more);
        assert_eq!(refused.code, 64, "{more:?} {refused:?}");
        assert!(format!("{}{}", refused.stdout, refused.stderr).contains(word), "{more:?} {refused:?}");
    }
    assert_eq!(env.run(&["vault", "connect", "x", "--folder", "bw"]).code, 64, "a folder of what?");
}
