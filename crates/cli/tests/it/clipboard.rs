//! `--copy`, with a clipboard that is a file.

use crate::env::{PASSWORD, TestEnvironment, login};

const COPY: [&str; 7] = ["request", "example.com", "--reason", "x", "--mode", "local", "--copy"];

fn with_clipboard() -> TestEnvironment {
    let mut env = TestEnvironment::new();
    let clipboard = env.path("clipboard").display().to_string();
    let copy = format!("if [ \"$1\" = --clear ]; then : > '{clipboard}'; else cat > '{clipboard}'; fi");
    env.program("wl-copy", &copy);
    env.program("wl-paste", &format!("cat '{clipboard}'"));
    env.set("WAYLAND_DISPLAY", "wayland-0");
    env.vault(vec![login("Example", "https://example.com", "ann", "hunter2")]);
    env
}

#[test]
fn the_password_goes_to_the_clipboard_and_nowhere_else() {
    let env = with_clipboard();
    let mut terminal = env.terminal(&COPY);
    terminal.answer("Vault password (Enter denies): ", PASSWORD);
    terminal.answer("Release password to default? [y/N] ", "y");
    let (code, rest) = terminal.end();
    assert_eq!(
        (code, rest.as_str()),
        (0, "The password is on the clipboard; it is cleared in 45 seconds.\n")
    );
    assert_eq!(std::fs::read_to_string(env.path("clipboard")).unwrap(), "hunter2");
}

#[test]
fn it_is_cleared_only_while_it_still_holds_the_secret() {
    let env = with_clipboard();
    let clear = ["clear-clipboard", "--after", "0"];
    env.file("clipboard", "something else");
    assert_eq!(env.run_with(&clear, "hunter2").code, 0);
    assert_eq!(std::fs::read_to_string(env.path("clipboard")).unwrap(), "something else");
    env.file("clipboard", "hunter2");
    assert_eq!(env.run_with(&clear, "hunter2").code, 0);
    assert_eq!(std::fs::read_to_string(env.path("clipboard")).unwrap(), "");
}

#[test]
fn without_a_clipboard_it_says_so_before_anybody_is_asked() {
    let env = TestEnvironment::new();
    insta::assert_snapshot!("copy_no_clipboard", env.run(&COPY).screen(&env));
    let env = with_clipboard();
    let several = env.run(&[COPY.as_slice(), &["--field", "username", "--field", "password"]].concat());
    assert_eq!(several.code, 64, "{several:?}");
}
