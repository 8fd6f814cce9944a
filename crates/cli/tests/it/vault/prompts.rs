//! The same commands with a person at a terminal.

use crate::env::{PASSWORD, TestEnvironment, login, secret};

fn question(env: &TestEnvironment) -> String {
    format!("Password of the vault {}: ", env.path("vault.age").display())
}

fn one() -> TestEnvironment {
    let env = TestEnvironment::new();
    env.vault(vec![login("Example", "https://example.com", "ann", "hunter2")]);
    env
}

#[test]
fn init_asks_twice_and_shows_nothing() {
    let env = TestEnvironment::new();
    let mut terminal = env.terminal(&["vault", "init"]);
    terminal.answer("Choose the vault password: ", PASSWORD);
    terminal.answer("The same again: ", "something else");
    terminal.wait_for("The two are not the same.");
    terminal.answer("Choose the vault password: ", PASSWORD);
    let echoed = terminal.answer("The same again: ", PASSWORD);
    assert!(!echoed.contains(PASSWORD), "{echoed}");
    let (code, rest) = terminal.end();
    assert_eq!(code, 0, "{rest}");
    assert!(rest.contains("Made the vault ") && !rest.contains(PASSWORD), "{rest}");
    assert!(env.look(PASSWORD, durward_vault::Items::is_empty));
}

#[test]
fn add_asks_for_what_was_not_said() {
    let env = one();
    let mut terminal = env.terminal(&["vault", "add", "shop.example"]);
    terminal.answer("Username (Enter for none): ", "bob");
    terminal.answer("Password (hidden; Enter to generate one): ", "typed in");
    terminal.answer("TOTP secret (hidden; Enter for none): ", "");
    terminal.answer(&question(&env), PASSWORD);
    let (code, rest) = terminal.end();
    assert_eq!(code, 0, "{rest}");
    assert!(!rest.contains("typed in"), "{rest}");
    env.look(PASSWORD, |items| {
        let item = items.resolve("shop.example").unwrap();
        assert_eq!((&item.username, &item.password), (&Some(secret("bob")), &Some(secret("typed in"))));
        assert!(item.totp.is_none());
    });
}

#[test]
fn enter_generates_a_password() {
    let env = one();
    let mut terminal = env.terminal(&["vault", "add", "shop.example", "--username", "bob"]);
    terminal.answer("Password (hidden; Enter to generate one): ", "");
    terminal.answer("TOTP secret (hidden; Enter for none): ", "JBSW Y3DP EHPK 3PXP");
    terminal.answer(&question(&env), "wrong");
    terminal.wait_for("Wrong password.");
    terminal.answer(&question(&env), PASSWORD);
    assert_eq!(terminal.end().0, 0);
    env.look(PASSWORD, |items| {
        let item = items.resolve("shop.example").unwrap();
        assert_eq!(item.password.as_ref().unwrap().expose_secret().len(), 20);
        assert!(item.totp.is_some());
    });
}

#[test]
fn three_wrong_passwords_end_it() {
    let env = one();
    let mut terminal = env.terminal(&["vault", "list"]);
    for _ in 0..3 {
        terminal.answer(&question(&env), "wrong");
    }
    assert_eq!(terminal.end().0, 8);
}

#[test]
fn list_is_a_table_on_a_terminal() {
    let env = one();
    let mut terminal = env.terminal(&["vault", "list"]);
    terminal.answer(&question(&env), PASSWORD);
    let (code, rest) = terminal.end();
    assert_eq!(code, 0);
    assert!(rest.contains("NAME") && rest.contains("Example"), "{rest}");
}

#[test]
fn edit_asks_field_by_field_and_enter_keeps() {
    let env = one();
    let mut terminal = env.terminal(&["vault", "edit", "example.com"]);
    terminal.answer(&question(&env), PASSWORD);
    terminal.answer("Name [Example]: ", "");
    terminal.answer("Username [ann]: ", "ann2");
    terminal.answer("[https://example.com]: ", "");
    terminal.answer("Password (hidden; Enter keeps it): ", "");
    terminal.answer("TOTP secret (hidden; Enter keeps it): ", "");
    assert_eq!(terminal.end().0, 0);
    env.look(PASSWORD, |items| {
        let item = items.resolve("Example").unwrap();
        assert_eq!((&item.username, &item.password), (&Some(secret("ann2")), &Some(secret("hunter2"))));
        assert_eq!(item.uris, ["https://example.com"]);
    });
}

#[test]
fn remove_asks_and_no_is_the_default() {
    let env = one();
    for (answer, code, left) in [("", 12, 1), ("n", 12, 1), ("y", 0, 0)] {
        let mut terminal = env.terminal(&["vault", "remove", "Example"]);
        terminal.answer(&question(&env), PASSWORD);
        let shown = terminal.answer("[y/N] ", answer);
        assert!(shown.contains("Remove Example, ann ("), "{shown}");
        assert_eq!(terminal.end().0, code, "{answer:?}");
        assert_eq!(env.look(PASSWORD, durward_vault::Items::len), left);
    }
}

#[test]
fn passwd_checks_the_old_one_first() {
    let env = one();
    let mut terminal = env.terminal(&["vault", "passwd"]);
    terminal.answer(&question(&env), "wrong");
    terminal.wait_for("Wrong password.");
    terminal.answer(&question(&env), PASSWORD);
    terminal.answer("Choose the new vault password: ", "new horse");
    terminal.answer("The same again: ", "new horse");
    let (code, rest) = terminal.end();
    assert_eq!(code, 0, "{rest}");
    assert!(!rest.contains("new horse"), "{rest}");
    assert_eq!(env.look("new horse", durward_vault::Items::len), 1);
}

#[test]
fn a_plain_export_is_warned_about_before_the_password() {
    let env = one();
    let mut terminal = env.terminal(&["vault", "export", "all.json", "--plain"]);
    let warned = terminal.answer("Write it unencrypted? [y/N] ", "n");
    assert!(warned.contains("holds every password UNENCRYPTED"), "{warned}");
    assert_eq!(terminal.end().0, 12);
    assert!(!env.path("all.json").exists());
}

#[test]
fn import_shows_and_asks() {
    let env = one();
    let file = env.file("x.csv", "name,username,password\nNew,me,pw\n");
    let mut terminal = env.terminal(&["vault", "import", &file]);
    terminal.answer(&question(&env), PASSWORD);
    let shown = terminal.answer("Import 1 item? [y/N] ", "y");
    assert!(shown.contains("line 2: New, me") && shown.contains("1 new, 0 duplicate, 0 skipped"), "{shown}");
    assert_eq!(terminal.end().0, 0);
    assert_eq!(env.look(PASSWORD, durward_vault::Items::len), 2);
}

#[test]
fn ctrl_c_at_a_hidden_prompt_gives_the_terminal_back() {
    let env = one();
    let mut terminal = env.shell(r#""$DURWARD" vault list; echo "code $?"; stty -a; echo done"#);
    terminal.wait_for(&question(&env));
    terminal.control('c');
    terminal.wait_for("code 130");
    let settings = terminal.wait_for("done");
    assert!(settings.contains("isig icanon") && !settings.contains("-isig"), "{settings}");
}

#[test]
fn ctrl_d_at_a_prompt_is_12() {
    let env = one();
    let mut terminal = env.terminal(&["vault", "list"]);
    terminal.wait_for(&question(&env));
    terminal.control('d');
    assert_eq!(terminal.end().0, 12);
}
