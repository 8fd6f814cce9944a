//! `durward selftest`: every attack on the list is made, and every one is stopped.

use serde_json::Value;

use crate::home::Home;

#[test]
fn every_attack_is_stopped() {
    let home = Home::empty();
    let finished = home.run(&["selftest", "--json"]);
    let report: Value = finished.json();
    let findings = report["findings"].as_array().unwrap();
    let through: Vec<&Value> = findings.iter().filter(|finding| finding["stopped"] != true).collect();
    assert!(through.is_empty(), "got through: {through:#?}");
    assert_eq!(finished.code, 0);
    let attacks: Vec<&str> = findings.iter().map(|finding| finding["attack"].as_str().unwrap()).collect();
    for attack in ["guess the code", "swap", "replay", "reorder", "truncate", "downgrade", "cross-session"] {
        assert!(attacks.contains(&attack), "{attack} was not tried");
    }
    // The owner's own folder was left alone.
    assert_eq!(std::fs::read_dir(home.folder()).map_or(0, Iterator::count), 0);
}
