//! What organisations demand, and what becomes of an account without a master password.

use std::fs;

use durward_protocol::{Domain, Field, SecretString};
use durward_testkit::bitwarden::Flavour;
use durward_vault::{BitwardenVault, Error, Vault as _};
use serde_json::{Value, json};

use crate::bw_harness::{Desk, PASSWORD, Program, account};

const USER: &str = "user_0bc87994-7c15-4960-806d-6e807fed6694_";
const PLAIN: &str = "00000000-0000-4000-8000-000000000001";
const SHARED: &str = "00000000-0000-4000-8000-000000000003";
const RESTRICTED: &str = "Access to this item type is restricted by organizational policy.";

pub(crate) fn policy(kind: u64, data: &Value) -> Value {
    json!({
        "id": "11111111-1111-4111-8111-111111111111", "organizationId": "27e478ff-393e-4d96-ac01-4bd163aed5d7",
        "type": kind, "data": data, "enabled": true, "canToggleState": true,
        "revisionDate": "2026-01-01T00:00:00Z", "object": "policy",
    })
}

/// An account, an owner's, whose organisation has this policy. Servers have sent it in one list or in the other.
fn desk(policy: Value, in_newer_list: bool) -> (Desk, String) {
    let mut account = account();
    if in_newer_list {
        account.policies_new = Some(vec![policy]);
    } else {
        account.policies = vec![policy];
    }
    let desk = Desk::with(Flavour::Official, vec![account]);
    let key = desk.login();
    (desk, key)
}

fn names(desk: &Desk, key: &str) -> Vec<String> {
    let said = desk.run_env(&["list", "items"], &[("BW_SESSION", key)]);
    let items: Vec<Value> = serde_json::from_str(&said.stdout).unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn restricted_types_are_neither_listed_nor_given() {
    for in_newer_list in [false, true] {
        let (desk, key) = desk(policy(15, &json!([1])), in_newer_list);
        assert_eq!(names(&desk, &key), ["A secure note", "Key", "My identity", "My Visa"]);
        let get = |args: &[&str]| desk.run_env(args, &[("BW_SESSION", &key)]);
        for args in [
            ["get", "item", PLAIN],
            ["get", "password", PLAIN],
            ["get", "password", "plain"],
            ["get", "totp", "plain"],
            ["get", "item", "login"], // several
            ["get", "password", SHARED],
        ] {
            let said = get(&args);
            assert_eq!(
                (said.code, said.stdout.as_str(), said.stderr.as_str()),
                (1, "", RESTRICTED),
                "{args:?}"
            );
        }
        assert_eq!(get(&["get", "item", "no such thing"]).stderr, "Not found.");
        assert_eq!(get(&["get", "item", "my visa"]).code, 0);
    }
}

#[test]
fn a_policy_that_names_no_types_means_cards() {
    let (desk, key) = desk(policy(15, &Value::Null), false);
    assert!(!names(&desk, &key).contains(&"My Visa".to_owned()));
    assert!(names(&desk, &key).contains(&"Plain login".to_owned()));
}

#[test]
fn the_approver_releases_nothing_of_a_restricted_type() {
    let (desk, _) = desk(policy(15, &json!([1])), false);
    let password = SecretString::new(PASSWORD.to_owned());
    let domain = Domain::parse("login.example.com").unwrap();
    let open = BitwardenVault::at(desk.data()).unlock(&password).unwrap();
    assert_eq!(open.find(&domain).unwrap(), []);
    let refused = open.read(PLAIN, &[Field::Password], &domain, time::OffsetDateTime::UNIX_EPOCH);
    assert!(matches!(refused, Err(Error::ItemNotFound { .. })), "{refused:?}");
}

#[test]
fn generated_passwords_meet_what_is_demanded() {
    let demand =
        json!({"minLength": 24, "useUpper": true, "useSpecial": true, "minNumbers": 4, "minSpecial": 3});
    let (desk, _) = desk(policy(2, &demand), true);
    // Locked or not is no matter.
    let text = desk.run(&["generate", "-l", "--length", "8"]).stdout;
    assert_eq!(text.len(), 24, "{text}");
    assert!(text.contains(|c: char| c.is_ascii_uppercase()), "{text}");
    assert!(text.chars().filter(char::is_ascii_digit).count() >= 4, "{text}");
    assert!(text.chars().filter(|c| "!@#$%^&*".contains(*c)).count() >= 3, "{text}");
    assert_eq!(desk.run(&["generate", "--length", "200"]).stdout.len(), 128);
    assert_eq!(
        desk.run(&["generate", "-p", "--words", "30", "--separator", "#"]).stdout.matches('#').count(),
        19
    );
    assert_eq!(desk.run(&["logout"]).code, 0);
    assert_eq!(desk.run(&["generate", "--length", "8"]).stdout.len(), 8);
    assert_eq!(desk.run(&["generate", "--length", "200"]).stdout.len(), 200);
    for (length, is) in [("-5", 5), ("25abc", 25), ("20.7", 20), ("x", 14)] {
        assert_eq!(desk.run(&["generate", "--length", length]).stdout.len(), is, "{length}");
    }
    assert_eq!(
        desk.run(&["generate", "-p", "--words", "-1", "--separator", "#"]).stdout.matches('#').count(),
        2
    );
}

#[test]
fn a_generator_needs_no_data_folder_and_makes_none() {
    let desk = Desk::new(Flavour::Official);
    fs::remove_dir_all(desk.data()).unwrap();
    let said = desk.run(&["generate"]);
    assert_eq!((said.code, said.stdout.len(), said.stderr.as_str()), (0, 14, ""));
    assert!(!desk.data().exists());
}

#[test]
fn the_archive_is_for_paying_accounts() {
    let mut account = account();
    account.premium = false;
    let desk = Desk::with(Flavour::Official, vec![account]);
    let key = desk.login();
    let said = desk.run_env(&["list", "items", "--archived", "--search", "plain"], &[("BW_SESSION", &key)]);
    assert!(said.stdout.contains("Plain login"), "{said:?}");
    desk.server.world().accounts[0].premium = true;
    assert_eq!(desk.run(&["sync", "-f"]).code, 0);
    let said = desk.run_env(&["list", "items", "--archived", "--search", "plain"], &[("BW_SESSION", &key)]);
    assert_eq!(said.stdout, "[]");
}

/// Such an account could not be opened again after a lock.
#[test]
fn with_a_key_connector_a_lock_is_a_logout() {
    let (desk, key) = Desk::logged_in(Flavour::Official);
    let file = desk.data().join("data.json");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace(
        &format!("\"{USER}keyConnector_usesKeyConnector\": false"),
        &format!("\"{USER}keyConnector_usesKeyConnector\": true"),
    );
    std::io::Write::write_all(&mut fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    assert_eq!(desk.run_env(&["get", "username", "plain"], &[("BW_SESSION", &key)]).stdout, "alice");
    // Nobody is asked for a password that there is none of.
    let mut command = desk.command(Program::Ours);
    let output = command.args(["list", "items"]).env_remove("BW_NOINTERACTION").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Your vault is locked. You must unlock your vault using your session key.\n\
         If you do not have your session key, you can get a new one by logging out and logging in again."
    );
    let said = desk.run(&["lock"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (
            1,
            "You cannot lock your vault because you are using Key Connector. To protect your vault, you have been logged out."
        )
    );
    assert_eq!(desk.run(&["login", "--check"]).stderr, "You are not logged in.");
    assert!(!fs::read_to_string(&file).unwrap().contains("__PROTECTED__"));
}
