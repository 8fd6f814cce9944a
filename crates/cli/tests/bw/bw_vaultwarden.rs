//! The whole way over a server that answers as Vaultwarden does: today's, and the one of 2024 that many still run.

use durward_testkit::bitwarden::{Account, Flavour};

use crate::bw_harness::{Desk, EMAIL, PASSWORD, PLAIN_PASSWORD, Said, account};

const CODE: &str = "492039";

fn guarded() -> Account {
    let mut account = account();
    account.two_factor = vec![(0, CODE.to_owned())];
    account
}

fn login(desk: &Desk, more: &[&str]) -> Said {
    desk.run(&[&["login", EMAIL, PASSWORD, "--raw"], more].concat())
}

/// Log in with a code, read, sync, lock, unlock without network, log out, and in again by API key.
fn story(flavour: Flavour) {
    let desk = Desk::with(flavour, vec![guarded()]);
    assert_eq!(desk.run(&["login", EMAIL, "wrong"]).stderr, "Username or password is incorrect. Try again");
    assert_eq!(login(&desk, &[]).stderr, "Code is required.");
    let wrong = login(&desk, &["--method", "0", "--code", "000000"]);
    assert!(wrong.stderr.starts_with("Invalid TOTP code! Server time"), "{wrong:?}");
    let said = login(&desk, &["--method", "0", "--code", CODE]);
    assert_eq!((said.code, said.stdout.len(), said.stderr.as_str()), (0, 88, ""), "{said:?}");

    let reads = |key: &str| {
        let get = |args: &[&str]| desk.run_env(args, &[("BW_SESSION", key)]);
        assert_eq!(get(&["get", "password", "Plain login"]).stdout, PLAIN_PASSWORD);
        assert_eq!(get(&["get", "password", "itemkey.example.net"]).stdout, "s3cret-itemkey");
        assert_eq!(get(&["get", "username", "carol"]).stdout, "carol", "an organisation's");
        assert_eq!(get(&["get", "totp", "Plain login"]).stdout.len(), 6);
        assert!(get(&["status"]).stdout.contains("\"status\":\"unlocked\""));
    };
    reads(&said.stdout);
    assert_eq!(desk.run(&["sync"]).stdout, "Syncing complete.");
    assert_eq!(desk.run(&["sync", "-f"]).stdout, "Syncing complete.");
    assert_eq!(desk.run(&["lock"]).stdout, "Your vault is locked.");
    let env = [("BW_SESSION", said.stdout.as_str())];
    assert_eq!(desk.run_env(&["list", "items"], &env).stderr, "Vault is locked.");

    let calls = desk.server.calls().len();
    assert_eq!(desk.run(&["unlock", "wrong"]).stderr, "Invalid master password.");
    reads(&desk.run(&["unlock", PASSWORD, "--raw"]).stdout);
    assert_eq!(desk.server.calls().len(), calls, "unlocking and reading ask nobody");

    assert_eq!(desk.run(&["logout"]).stdout, "You have logged out.");
    assert_eq!(desk.run(&["login", "--check"]).stderr, "You are not logged in.");
    let (id, secret) = desk.server.world().accounts[0].api_key.clone();
    let by_key = |secret: &str| {
        desk.run_env(&["login", "--apikey"], &[("BW_CLIENTID", id.as_str()), ("BW_CLIENTSECRET", secret)])
    };
    assert_eq!(by_key("wrong").stderr, "Incorrect client_secret");
    assert_eq!(by_key(&secret).code, 0);
    reads(&desk.run(&["unlock", PASSWORD, "--raw"]).stdout);
}

#[test]
fn vaultwarden_the_whole_way() {
    story(Flavour::Vaultwarden);
}

#[test]
fn vaultwarden_of_2024_the_whole_way() {
    story(Flavour::OldVaultwarden);
}

/// Pascal case, absent members and `data` beside the item's own object change nothing of what is shown.
#[test]
fn both_generations_show_the_same_items() {
    let account = account();
    let shown = [Flavour::Vaultwarden, Flavour::OldVaultwarden, Flavour::Official].map(|flavour| {
        let desk = Desk::with(flavour, vec![account.clone()]);
        let key = desk.login();
        let env = [("BW_SESSION", key.as_str())];
        let reads = ["items", "folders", "collections", "organizations"];
        let all = reads.map(|what| desk.run_env(&["list", what], &env));
        assert!(all[0].stdout.contains("Própèr Ñame") && all[0].stdout.contains("older"), "{all:?}");
        all
    });
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0], shown[2]);
}

/// The older server knows the older path only; its 404 is not the end of a login.
#[test]
fn the_older_path_of_the_prelogin_is_found() {
    let (desk, _) = Desk::logged_in(Flavour::OldVaultwarden);
    let calls = desk.server.calls();
    let asked: Vec<&str> =
        calls.iter().filter_map(|call| call.strip_prefix("POST /identity/accounts/")).collect();
    assert_eq!(asked, ["prelogin/password", "prelogin"]);
}
