//! What lies in the data folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use durward_testkit::bitwarden::Flavour;

use crate::bw_harness::{Desk, EMAIL, PASSWORD, Program};

const USER: &str = "user_0bc87994-7c15-4960-806d-6e807fed6694_";

/// The account's keys after a login and a sync, as either program leaves them.
fn keys(desk: &Desk) -> Vec<String> {
    let mut keys: Vec<String> = desk.data_json().as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

#[test]
fn a_login_leaves_the_same_keys_as_the_official_one() {
    let (ours, _) = Desk::logged_in(Flavour::Official);
    let theirs = Desk::new(Flavour::Official);
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
        "encryptedSend_sendUserEncrypted",
        "domainSettings_equivalentDomains",
        "avatar_avatarColor",
    ] {
        let key = format!("{USER}{name}");
        assert_eq!(ours[&key], theirs[&key], "{name}");
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
    assert_eq!(desk.run(&["status"]).code, 0);
    assert_eq!(fs::read_to_string(desk.data().join("data.json.bak")).unwrap(), "{\"cut off");
    write("{\"stateVersion\":85,\"global_account_activeAccountId\":5}");
    assert!(desk.run(&["status"]).stderr.contains("global_account_activeAccountId"));
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
