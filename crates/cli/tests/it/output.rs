//! `--json`, where people put it.

use crate::home::Home;

#[test]
fn json_is_taken_before_and_after_the_verb() {
    let home = Home::empty();
    let _daemon = home.serve();
    for command in [["pairing", "list"], ["sessions", "list"], ["requests", "list"], ["grants", "list"]] {
        let after = home.run(&[command[0], command[1], "--json"]);
        let before = home.run(&[command[0], "--json", command[1]]);
        assert_eq!((after.code, &after.stdout), (0, &before.stdout), "{after:?}");
        assert!(after.json().is_object());
    }
}
