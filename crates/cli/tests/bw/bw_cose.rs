//! Accounts of the second kind: a COSE key at the root, everything under it in COSE too.

use durward_testkit::bitwarden::{Account, AccountSpec, Flavour, ItemSpec, SymmetricKeyAlgorithm};

use crate::bw_harness::{Desk, EMAIL, PASSWORD, Program};

const ID: &str = "0bc87994-7c15-4960-806d-6e807fed6694";

fn account(algorithm: SymmetricKeyAlgorithm) -> Account {
    let mut account = Account::cose(AccountSpec::quick(EMAIL, PASSWORD), algorithm);
    account.contents.add(&ItemSpec {
        totp: Some("JBSWY3DPEHPK3PXP".into()),
        notes: Some("a note".into()),
        in_folder: true,
        ..ItemSpec::login("Plain", "ada", "s3cret-of-plain", "https://plain.example")
    });
    account.contents.add(&ItemSpec {
        own_key: true,
        ..ItemSpec::login("Keyed", "bob", "s3cret-of-keyed", "https://keyed.example")
    });
    account.contents.add(&ItemSpec {
        shared: true,
        ..ItemSpec::login("Shared", "carol", "s3cret-of-shared", "https://shared.example")
    });
    account
}

fn reads(desk: &Desk, program: Program, key: &str) {
    let run = |args: &[&str]| desk.run_as(program, args, &[("BW_SESSION", key)]);
    for (name, secret) in
        [("Plain", "s3cret-of-plain"), ("Keyed", "s3cret-of-keyed"), ("Shared", "s3cret-of-shared")]
    {
        let said = run(&["get", "password", name]);
        assert_eq!((said.stdout.as_str(), said.code), (secret, 0), "{program:?} {name}: {said:?}");
    }
    assert_eq!(run(&["get", "totp", "plain.example"]).stdout.len(), 6, "{program:?}");
    assert_eq!(run(&["get", "notes", "Plain"]).stdout, "a note", "{program:?}");
    assert!(run(&["list", "folders"]).stdout.contains("\"name\":\"Work\""), "{program:?}");
}

fn session(desk: &Desk, program: Program, args: &[&str]) -> String {
    let said = desk.run_as(program, args, &[]);
    assert_eq!((said.code, said.stdout.len()), (0, 88), "{program:?} {args:?}: {said:?}");
    said.stdout
}

#[test]
fn a_cose_account_goes_the_whole_way() {
    for algorithm in [SymmetricKeyAlgorithm::XChaCha20Poly1305, SymmetricKeyAlgorithm::XAes256Gcm] {
        let desk = Desk::with(Flavour::Official, vec![account(algorithm)]);
        let key = session(&desk, Program::Ours, &["login", EMAIL, PASSWORD, "--raw"]);
        reads(&desk, Program::Ours, &key);
        let data = desk.data_json();
        let state = &data[format!("user_{ID}_crypto_accountCryptographicState")];
        for part in ["private_key", "signing_key", "signed_public_key", "security_state"] {
            assert!(state["V2"][part].is_string(), "{part}: {state}");
        }
        let key_id = desk.server.world().accounts[0].user_key().id().unwrap();
        assert_eq!(data[format!("user_{ID}_crypto_userKeyId")], key_id);

        assert_eq!(desk.run(&["sync", "-f"]).stdout, "Syncing complete.");
        assert_eq!(desk.run(&["lock"]).code, 0);
        assert_eq!(desk.run_env(&["list", "items"], &[("BW_SESSION", &key)]).stderr, "Vault is locked.");
        assert_eq!(desk.run(&["unlock", "wrong"]).stderr, "Invalid master password.");
        let key = session(&desk, Program::Ours, &["unlock", PASSWORD, "--raw"]);
        reads(&desk, Program::Ours, &key);
        assert_eq!(desk.run(&["logout"]).stdout, "You have logged out.");
    }
}

/// One folder, either program, the same session. Of the official program, 2026.7.0 opens accounts under
/// XChaCha20-Poly1305 only, and 2026.9.0 those under XAES-256-GCM only; ours opens both.
fn shared(version: &'static str, algorithm: SymmetricKeyAlgorithm) {
    let official = Program::Official(version);
    let desk = Desk::with(Flavour::Official, vec![account(algorithm)]);
    let key = session(&desk, Program::Ours, &["login", EMAIL, PASSWORD, "--raw"]);
    reads(&desk, official, &key);
    let key = session(&desk, official, &["unlock", PASSWORD, "--raw"]);
    reads(&desk, Program::Ours, &key);
    assert_eq!(desk.run(&["logout"]).code, 0);
    let key = session(&desk, official, &["login", EMAIL, PASSWORD, "--raw"]);
    reads(&desk, Program::Ours, &key);
}

#[test]
fn the_official_program_of_july_shares_it() {
    shared("2026.7.0", SymmetricKeyAlgorithm::XChaCha20Poly1305);
}

#[test]
fn the_official_program_of_september_shares_it() {
    shared("2026.9.0", SymmetricKeyAlgorithm::XAes256Gcm);
}
