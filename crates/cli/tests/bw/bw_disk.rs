//! What lies in the data folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use durward_testkit::bitwarden::Flavour;

use crate::bw_harness::{Desk, EMAIL, PASSWORD, Program, account};
use crate::bw_policy::policy;

const USER: &str = "user_0bc87994-7c15-4960-806d-6e807fed6694_";

/// The account's keys after a login and a sync, as either program leaves them.
fn keys(desk: &Desk) -> Vec<String> {
    let mut keys: Vec<String> = desk.data_json().as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

#[test]
fn a_login_leaves_the_same_keys_as_the_official_one() {
    let desk = || {
        let mut account = account();
        // Of types the two programs know nothing to do about.
        account.policies = vec![policy(8, &serde_json::json!({"autoEnrollEnabled": true}))];
        account.policies_new = Some(vec![policy(10, &serde_json::Value::Null)]);
        Desk::with(Flavour::Official, vec![account])
    };
    let (ours, theirs) = (desk(), desk());
    ours.login();
    let said = theirs.run_as(Program::Official("2026.9.0"), &["login", EMAIL, PASSWORD, "--raw"], &[]);
    assert_eq!(said.code, 0, "{said:?}");
    let optional = format!("{USER}crypto_localUserDataKey"); // made by their library, read by nothing of ours
    let theirs_keys: Vec<String> = keys(&theirs).into_iter().filter(|k| *k != optional).collect();
    assert_eq!(keys(&ours), theirs_keys);
    let (ours, theirs) = (ours.data_json(), theirs.data_json());
    for name in [
        "userDecryptionOptions_decryptionOptions",
        "kdfConfig_kdfConfig",
        "billing_accountProfile",
        "vaultTimeoutSettings_vaultTimeout",
        "vaultTimeoutSettings_vaultTimeoutAction",
        "keyConnector_usesKeyConnector",
        "account_verifyNewDeviceLogin",
        "crypto_everHadUserKey",
        "crypto_providerKeys",
        "providers_providers",
        "policies_policies",
        "policies_policiesNew",
        "encryptedSend_sendUserEncrypted",
        "domainSettings_equivalentDomains",
        "avatar_avatarColor",
    ] {
        let key = format!("{USER}{name}");
        assert_eq!(ours[&key], theirs[&key], "{name}");
    }
    // The official logout wipes what is registered.
    for event in ["logout", "lock"] {
        let registered = |data: &serde_json::Value| {
            let events = data[format!("global_clearEvent_{event}")].as_array().unwrap().clone();
            let mut events: Vec<String> = events.iter().map(ToString::to_string).collect();
            events.sort();
            events
        };
        assert_eq!(registered(&ours), registered(&theirs), "{event}");
    }
    // Items have the same members, though other contents.
    let shape = |data: &serde_json::Value| {
        let item = &data[format!("{USER}ciphers_ciphers")]["00000000-0000-4000-8000-000000000001"];
        let mut names: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(shape(&ours), shape(&theirs));
}

#[test]
fn a_logout_leaves_what_the_official_one_leaves() {
    let (ours, _) = Desk::logged_in(Flavour::Official);
    let theirs = Desk::new(Flavour::Official);
    let official = Program::Official("2026.9.0");
    theirs.run_as(official, &["login", EMAIL, PASSWORD, "--raw"], &[]);
    assert_eq!(ours.run(&["logout"]).code, 0);
    assert_eq!(theirs.run_as(official, &["logout"], &[]).code, 0);
    let nulls_are_absent = |desk: &Desk| {
        let data = desk.data_json();
        let mut keys: Vec<String> =
            data.as_object().unwrap().iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| k.clone()).collect();
        keys.sort();
        keys
    };
    assert_eq!(nulls_are_absent(&ours), nulls_are_absent(&theirs));
    let text = fs::read_to_string(ours.data().join("data.json")).unwrap();
    for secret in ["refresh-", "eyJ", "__PROTECTED__", "2."] {
        assert!(!text.contains(&format!("\"{secret}")), "{secret} is still there");
    }
}

#[test]
fn files_are_private_and_no_temporary_one_stays() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    fs::remove_dir_all(desk.data()).unwrap();
    let said = desk.run(&["status"]);
    let (dir, file) = (desk.data(), desk.data().join("data.json"));
    assert_eq!(
        said.stderr,
        format!(
            "Could not find dir, \"{}\"; creating it instead.\nCould not find data file, \"{}\"; creating it instead.\n",
            dir.display(),
            file.display()
        )
    );
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    desk.run(&["config", "server", &desk.server.url()]);
    desk.login();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["data.json"]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("{\n  \"stateVersion\": 85,\n") && text.ends_with("\n}"));
    assert!(!text.contains(PASSWORD));
}

#[test]
fn unknown_keys_survive_every_command() {
    let (desk, key) = Desk::logged_in(Flavour::Vaultwarden);
    let file = desk.data().join("data.json");
    let text = fs::read_to_string(&file).unwrap();
    let odd = "\n  \"user_x_fromTheFuture\": { \"a\":1.50 },";
    let text = text.replacen('{', &format!("{{{odd}"), 1);
    std::io::Write::write_all(&mut fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    for args in [&["sync", "-f"][..], &["lock"], &["unlock", PASSWORD], &["status"], &["logout"]] {
        assert_eq!(desk.run_env(args, &[("BW_SESSION", &key)]).code, 0, "{args:?}");
        assert!(fs::read_to_string(&file).unwrap().contains(odd), "{args:?}");
    }
}

#[test]
fn other_layouts_and_damaged_files() {
    let desk = Desk::new(Flavour::Vaultwarden);
    let file = desk.data().join("data.json");
    let write = |text: &str| {
        std::io::Write::write_all(&mut fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    };
    write("{\"stateVersion\": 81}");
    let said = desk.run(&["status"]);
    assert!(said.stderr.contains("layout of an older program (stateVersion 81)"), "{said:?}");
    write("{\"stateVersion\": 82}");
    assert_eq!(desk.run(&["config", "server", "https://a.example"]).code, 0);
    assert_eq!(desk.data_json()["stateVersion"], 82, "a number that is good enough stays");
    write("{\"cut off");
    let said = desk.run(&["status"]);
    assert_eq!(said.code, 0);
    let kept = desk.data().join("data.json.bak");
    assert_eq!(
        said.stderr,
        format!("The data file is damaged and counts as empty. It was kept as \"{}\".\n", kept.display())
    );
    assert_eq!(fs::read_to_string(desk.data().join("data.json.bak")).unwrap(), "{\"cut off");
    write("{\"stateVersion\":85,\"global_account_activeAccountId\":5}");
    assert!(desk.run(&["status"]).stderr.contains("global_account_activeAccountId"));
}

/// Dotfiles are often links; the entry of the session key must go where it is, not from beside the link.
#[test]
fn a_linked_data_file_is_changed_where_it_is() {
    let (desk, key) = Desk::logged_in(Flavour::Vaultwarden);
    let (file, elsewhere) = (desk.data().join("data.json"), desk.path().join("dotfiles"));
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(&file, elsewhere.join("real.json")).unwrap();
    std::os::unix::fs::symlink("../dotfiles/link.json", &file).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("real.json"), elsewhere.join("link.json")).unwrap();
    let check = || desk.run_env(&["unlock", "--check"], &[("BW_SESSION", &key)]).code;
    assert_eq!(check(), 0);
    assert_eq!(desk.run(&["lock"]).code, 0);
    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
    assert!(!fs::read_to_string(elsewhere.join("real.json")).unwrap().contains("__PROTECTED__"));
    assert_eq!(check(), 1);
    // The official program's lock is behind the link, too.
    let lock = elsewhere.join("real.json.lock");
    fs::create_dir(&lock).unwrap();
    let child = desk.command(Program::Ours).arg("lock").spawn().unwrap();
    fs::remove_dir(&lock).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    // A link to nothing is filled, not replaced.
    fs::remove_file(elsewhere.join("real.json")).unwrap();
    assert_eq!(desk.run(&["status"]).code, 0);
    assert!(elsewhere.join("real.json").is_file());
    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
}

/// The entry opens, and what it holds is not this account's key: the official program throws it away.
#[test]
fn a_stored_key_of_another_account_is_thrown_away() {
    let (desk, key) = Desk::logged_in(Flavour::Official);
    let file = desk.data().join("data.json");
    let text = fs::read_to_string(&file).unwrap();
    let state =
        desk.data_json()[format!("{USER}crypto_accountCryptographicState")]["V1"]["private_key"].clone();
    let state = state.as_str().unwrap();
    let other = durward_bitwarden::crypto::UserKey::generate().encrypt_bytes(b"no key at all").unwrap();
    let own = desk.server.world().accounts[0].user_key().encrypt_bytes(b"no PKCS #8 at all").unwrap();
    for private in [other, own] {
        for args in [&["status"][..], &["unlock", "--check"], &["list", "folders"]] {
            let bent = text.replace(state, &private);
            std::io::Write::write_all(&mut fs::File::create(&file).unwrap(), bent.as_bytes()).unwrap();
            let said = desk.run_env(args, &[("BW_SESSION", &key)]);
            assert!(
                said.stderr.starts_with("Invalid key, throwing away stored keys\n"),
                "{args:?}: {said:?}"
            );
            assert!(!said.stdout.contains("\"unlocked\""), "{args:?}: {said:?}");
            assert!(!fs::read_to_string(&file).unwrap().contains("__PROTECTED__"), "{args:?}");
        }
    }
}

#[test]
fn a_lock_left_behind_is_broken_and_a_live_one_is_waited_for() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let lock = desk.data().join("data.json.lock");
    fs::create_dir(&lock).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::open(&lock).unwrap().set_modified(old).unwrap();
    assert_eq!(desk.run(&["lock"]).code, 0);
    assert!(!lock.exists());
    // A live one: the command waits, and goes on when it is gone.
    fs::create_dir(&lock).unwrap();
    let child = desk.command(Program::Ours).arg("lock").spawn().unwrap();
    fs::remove_dir(&lock).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
}

#[test]
fn commands_at_the_same_time_do_not_lose_each_others_changes() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let children: Vec<_> = (0..6)
        .map(|i| {
            let args: &[&str] = if i % 2 == 0 { &["unlock", PASSWORD, "--raw"] } else { &["sync", "-f"] };
            desk.command(Program::Ours).args(args).stdout(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let data = desk.data_json();
    assert!(data["__PROTECTED__0bc87994-7c15-4960-806d-6e807fed6694_user_auto"].is_string());
    assert_eq!(data[format!("{USER}ciphers_ciphers")].as_object().unwrap().len(), 14);
}
