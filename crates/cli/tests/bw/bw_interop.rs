//! Side by side with Bitwarden's own command line: the same script with either, and with both over one folder.

use durward_testkit::bitwarden::{Account, AccountSpec, Flavour};

use crate::bw_harness::{Desk, EMAIL, PASSWORD, PLAIN_PASSWORD, Program, Said, account};

const OLD: Program = Program::Official("2026.7.0");
const NEW: Program = Program::Official("2026.9.0");

/// Reads whose whole answer must be the same.
const READS: &[&[&str]] = &[
    &["status"],
    &["list", "items"],
    &["list", "items", "--pretty"],
    &["list", "items", "--search", "org key"],
    &["list", "items", "--search", "proper"],
    &["list", "items", "--search", "lovelace"],
    &["list", "items", "--url", "https://gist.login.example.com"],
    &["list", "items", "--url", "https://foo.regex.example/x"],
    &["list", "items", "--url", "https://never.example"],
    &["list", "items", "--url", "http://192.168.1.10:9"],
    &["list", "items", "--url", "https://xn--bcher-kva.example"],
    &["list", "items", "--url", "https://itemkey.example.net"],
    &["list", "items", "--url", "https://gone.example"],
    &["list", "items", "--trash"],
    &["list", "items", "--folderid", "null"],
    &["list", "items", "--folderid", "notnull", "--organizationid", "notnull"],
    &["list", "items", "--collectionid", "5b6f8e4a-25e1-417d-853d-690e0ef4bc8e"],
    &["list", "folders"],
    &["list", "folders", "--search", "wor"],
    &["list", "collections"],
    &["list", "organizations"],
    &["list", "organizations", "--search", "nope"],
    &["get", "item", "Plain login"],
    &["get", "item", "00000000-0000-4000-8000-000000000005"],
    &["get", "item", "00000000-0000-4000-8000-000000000004"],
    &["get", "item", "My Visa"],
    &["get", "item", "Lovelace"],
    &["get", "item", "ssh-ed"],
    &["get", "password", "plain"],
    &["get", "password", "Própèr"],
    &["get", "password", "A secure note"],
    &["get", "password", "itemkey.example.net"],
    &["get", "password", "dave"],
    &["get", "username", "carol"],
    &["get", "username", "No user"],
    &["get", "uri", "plain"],
    &["get", "notes", "secure note"],
    &["get", "item", "login"],
    &["get", "item", "nothing-fits"],
    &["get", "item", "nothing-fits", "--response"],
    &["get", "item", "login", "--response"],
    &["get", "item", "Plain login", "--response"],
    &["get", "password", "plain", "--response"],
    &["list", "folders", "--response"],
    &["status", "--response"],
    &["status", "--response", "--pretty"],
    &["get", "folder", "work"],
    &["get", "folder", "nope"],
    &["get", "collection", "shared"],
    &["get", "organization", "test"],
    &["list", "Items"],
    &["get", "nonsense", "x"],
    &["get", "item", "nothing-fits", "--quiet"],
    &["get", "item", "nothing-fits", "--cleanexit"],
    &["sync", "--last"],
    &["login", "--check"],
    &["unlock", "--check"],
    &["config", "server"],
    &["config", "server", "https://elsewhere.example"],
    &["config", "nonsense"],
    &["login", "somebody@example.com", "x"],
    &["lock", "extra"],
    &["lock", "--nonsense"],
    &["nonsense", "words"],
    &["completion"],
    &["completion", "--shell", "tcsh"],
    &["generate", "--length"],
];

fn session(desk: &Desk, program: Program, args: &[&str]) -> String {
    let said = desk.run_as(program, args, &[]);
    assert_eq!(said.code, 0, "{program:?} {args:?}: {said:?}");
    assert_eq!(said.stdout.len(), 88, "{program:?} {args:?}: {said:?}");
    said.stdout
}

fn both(desk: &Desk, official: Program, args: &[&str], key: &str) -> (Said, Said) {
    let env = [("BW_SESSION", key)];
    (desk.run_as(Program::Ours, args, &env), desk.run_as(official, args, &env))
}

#[test]
fn reads_are_the_same_to_the_byte() {
    let desk = Desk::new(Flavour::Vaultwarden);
    let key = session(&desk, Program::Ours, &["login", EMAIL, PASSWORD, "--raw"]);
    for args in READS {
        let (ours, theirs) = both(&desk, NEW, args, &key);
        assert_eq!(ours, theirs, "{args:?}");
    }
}

#[test]
fn the_older_version_reads_the_same_too() {
    // It still shows hidden fields of items whose password may not be seen; so no such item here.
    let mut account = account();
    for cipher in &mut account.contents.ciphers {
        cipher["viewPassword"] = true.into();
    }
    let desk = Desk::with(Flavour::Vaultwarden, vec![account]);
    let key = session(&desk, Program::Ours, &["login", EMAIL, PASSWORD, "--raw"]);
    // And it does not know that punycode and Unicode are the same domain.
    for args in READS[..17].iter().filter(|args| !args.concat().contains("xn--")) {
        let (ours, theirs) = both(&desk, OLD, args, &key);
        assert_eq!(ours, theirs, "{args:?}");
    }
}

#[test]
fn totp_codes_agree() {
    let (desk, key) = Desk::logged_in(Flavour::Vaultwarden);
    // The step may turn between two calls; it cannot turn between all of three.
    let agree = (0..3).any(|_| {
        let (ours, theirs) = both(&desk, NEW, &["get", "totp", "Plain login"], &key);
        assert_eq!(ours.stdout.len(), 6, "{ours:?}");
        ours == theirs
    });
    assert!(agree);
}

/// Logs in with the first, goes on with the second, in the same folder and with the same session key.
fn alternate(flavour: Flavour, first: Program, second: Program) {
    let desk = Desk::new(flavour);
    let key = session(&desk, first, &["login", EMAIL, PASSWORD, "--raw"]);
    let run = |program, args: &[&str], key: &str| desk.run_as(program, args, &[("BW_SESSION", key)]);
    let get = |program, key: &str| run(program, &["get", "password", "Plain login"], key);

    assert_eq!(get(second, &key).stdout, PLAIN_PASSWORD, "{first:?} then {second:?}");
    assert_eq!(get(first, &key).stdout, PLAIN_PASSWORD);
    assert_eq!(run(second, &["sync"], &key).stdout, "Syncing complete.");
    let list = ["list", "items", "--search", "plain"];
    assert_eq!(run(first, &list, &key), run(second, &list, &key));

    assert_eq!(run(second, &["lock"], "").stdout, "Your vault is locked.");
    assert_eq!(get(first, &key).stderr, "Vault is locked.");
    let key = session(&desk, second, &["unlock", PASSWORD, "--raw"]);
    assert_eq!(get(first, &key).stdout, PLAIN_PASSWORD);
    let newer = session(&desk, first, &["unlock", PASSWORD, "--raw"]);
    assert_eq!(get(second, &newer).stdout, PLAIN_PASSWORD);
    assert_eq!(get(second, &key).stderr, "Vault is locked.", "the older key is dead");

    assert_eq!(run(second, &["logout"], "").stdout, "You have logged out.");
    assert_eq!(run(first, &["status"], "").stdout, run(second, &["status"], "").stdout);
    assert_eq!(get(first, &newer).stderr, "You are not logged in.");
    let key = session(&desk, second, &["login", EMAIL, PASSWORD, "--raw"]);
    assert_eq!(get(first, &key).stdout, PLAIN_PASSWORD);
    assert_eq!(run(first, &["logout"], "").stdout, "You have logged out.");
    assert_eq!(run(second, &["login", "--check"], "").stderr, "You are not logged in.");
}

#[test]
fn the_two_take_turns_over_one_folder() {
    alternate(Flavour::Vaultwarden, Program::Ours, OLD);
    alternate(Flavour::Vaultwarden, OLD, Program::Ours);
    alternate(Flavour::Official, Program::Ours, NEW);
    alternate(Flavour::Official, NEW, Program::Ours);
}

#[test]
fn beside_ours_the_newest_works_where_alone_it_fails() {
    // Alone, 2026.9.0 exits 1 on a server without the endpoint for key ids.
    let desk = Desk::new(Flavour::Vaultwarden);
    let said = desk.run_as(NEW, &["login", EMAIL, PASSWORD, "--raw"], &[]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));

    // After our login the cooldown is there, and it unlocks, online and offline.
    let (mut desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let key = session(&desk, NEW, &["unlock", PASSWORD, "--raw"]);
    desk.server.stop();
    assert_eq!(
        desk.run_env(&["get", "password", "dave"], &[("BW_SESSION", &key)]).code,
        1,
        "hidden passwords stay so"
    );
    let key = session(&desk, NEW, &["unlock", PASSWORD, "--raw"]);
    assert_eq!(
        desk.run_env(&["get", "password", "Plain login"], &[("BW_SESSION", &key)]).stdout,
        PLAIN_PASSWORD
    );

    // After our unlock, too: here the login was the older one's, which knows nothing of key ids.
    let desk = Desk::new(Flavour::Vaultwarden);
    session(&desk, OLD, &["login", EMAIL, PASSWORD, "--raw"]);
    session(&desk, Program::Ours, &["unlock", PASSWORD, "--raw"]);
    session(&desk, NEW, &["unlock", PASSWORD, "--raw"]);
}

#[test]
fn argon2id_accounts_open_in_both() {
    let mut spec = AccountSpec::quick(EMAIL, "pässwörd ✓ 2 ");
    spec.kdf = durward_bitwarden::crypto::Kdf::new(1, 2, Some(16), Some(2)).unwrap();
    let mut argon = Account::new(spec);
    argon.contents.add(&durward_testkit::bitwarden::ItemSpec::login(
        "x",
        "u",
        "argon-secret",
        "https://x.example",
    ));
    let desk = Desk::with(Flavour::Vaultwarden, vec![argon]);
    let key = session(&desk, Program::Ours, &["login", EMAIL, "pässwörd ✓ 2 ", "--raw"]);
    let env = [("BW_SESSION", key.as_str())];
    assert_eq!(desk.run_as(NEW, &["get", "password", "x"], &env).stdout, "argon-secret");
    let key = session(&desk, NEW, &["unlock", "pässwörd ✓ 2 ", "--raw"]);
    assert_eq!(desk.run_env(&["get", "password", "x"], &[("BW_SESSION", &key)]).stdout, "argon-secret");
    assert_eq!(desk.run(&["unlock", "pässwörd ✓ 2", "--raw"]).stderr, "Invalid master password.");
}

#[test]
fn both_send_the_same_login() {
    let desk = Desk::with(Flavour::Vaultwarden, vec![account()]);
    let mut seen = Vec::new();
    for program in [Program::Ours, OLD] {
        session(&desk, program, &["login", EMAIL, PASSWORD, "--raw"]);
        let world = desk.server.world();
        let token = world.requests.iter().rev().find(|r| r.body.contains("grant_type=password")).unwrap();
        let prelogin = world.last("/accounts/prelogin/password").unwrap();
        let headers = |r: &durward_testkit::bitwarden::Recorded| {
            [
                "device-type",
                "bitwarden-client-name",
                "content-type",
                "accept",
                "device-identifier",
                "auth-email",
            ]
            .map(|h| r.headers.get(h).cloned())
        };
        seen.push((token.body.clone(), headers(token), prelogin.body.clone(), headers(prelogin)));
        drop(world);
        assert_eq!(desk.run(&["logout"]).code, 0);
    }
    assert_eq!(seen[0], seen[1]);
}

/// What a login or a sync with one leaves on disk binds the other.
#[test]
fn policies_bind_whichever_program_reads() {
    let restricted = "Access to this item type is restricted by organizational policy.";
    for (writes, reads) in [(Program::Ours, NEW), (NEW, Program::Ours)] {
        let mut account = account();
        account.policies = vec![crate::bw_policy::policy(15, &serde_json::json!([1]))];
        let desk = Desk::with(Flavour::Official, vec![account]);
        let key = session(&desk, writes, &["login", EMAIL, PASSWORD, "--raw"]);
        let env = [("BW_SESSION", key.as_str())];
        let said = desk.run_as(reads, &["get", "password", "plain"], &env);
        assert_eq!((said.code, said.stderr.as_str()), (1, restricted), "{reads:?}");
        let said = desk.run_as(reads, &["list", "items", "--search", "plain"], &env);
        assert_eq!(said.stdout, "[]", "{reads:?}");
        assert_eq!(
            desk.run_as(reads, &["get", "notes", "secure"], &env).stdout,
            "a note's text",
            "{reads:?}"
        );
    }
}
