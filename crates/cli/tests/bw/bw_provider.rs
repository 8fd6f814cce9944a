//! The approver's provider over a folder that `bw` filled.

use durward_protocol::{Domain, Field, SecretString};
use durward_testkit::bitwarden::{Flavour, ItemSpec};
use durward_vault::{BitwardenConfig, BitwardenVault, Error, MatchKind, Registry, Vault as _};
use time::OffsetDateTime;

use crate::bw_harness::{Desk, EMAIL, PASSWORD, PLAIN_PASSWORD};

fn vault(desk: &Desk) -> BitwardenVault {
    let config = BitwardenConfig { extra_ca: Some(desk.path().join("ca.pem")), ..BitwardenConfig::default() };
    BitwardenVault::at(desk.data()).over(&config)
}

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

#[test]
fn an_approval_unlocks_finds_releases_and_locks() {
    let (mut desk, session) = Desk::logged_in(Flavour::Vaultwarden);
    desk.run(&["lock"]);
    desk.server.stop();
    let vault = vault(&desk);
    let info = vault.describe();
    assert_eq!((info.provider, info.exists, info.needs_password), ("bitwarden", true, true));
    assert!(matches!(vault.unlock(&secret("wrong")).err(), Some(Error::WrongPassword)));

    let open = vault.unlock(&secret(PASSWORD)).unwrap();
    let found = open.find(&domain("login.example.com")).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].username.as_deref()), ("Plain login", Some("alice")));
    assert_eq!(found[0].match_kind, MatchKind::ExactHost);
    let fields = [
        Field::Username,
        Field::Password,
        Field::Totp,
        Field::Uri,
        Field::Notes,
        Field::Custom("env".to_owned()),
    ];
    let at = OffsetDateTime::from_unix_timestamp(59).unwrap();
    let credential = open.read(&found[0].item_id, &fields, &domain("login.example.com"), at).unwrap();
    let got: Vec<&str> = fields.iter().map(|f| credential.get(f).unwrap().expose_secret()).collect();
    assert_eq!(
        got,
        ["alice", PLAIN_PASSWORD, "996554", "https://login.example.com/path", "two\nlines", "prod"]
    );
    drop(open);
    // No session was made or revived on the way.
    assert_eq!(desk.run_env(&["unlock", "--check"], &[("BW_SESSION", &session)]).stderr, "Vault is locked.");
}

#[test]
fn each_address_answers_by_its_own_rule() {
    let mut account = crate::bw_harness::account();
    for (name, uri, rule) in [
        ("host", "https://a.rules.example", Some(1)),
        ("exact", "https://b.rules.example", Some(3)),
        ("starts", "https://c.rules.example/app", Some(2)),
        ("never", "https://d.rules.example", Some(5)),
        ("pattern", "^https://[ef]\\.rules\\.example/", Some(4)),
    ] {
        account
            .contents
            .add(&ItemSpec { uris: vec![(uri.to_owned(), rule)], ..ItemSpec::login(name, name, "p", "") });
    }
    let desk = Desk::with(Flavour::Vaultwarden, vec![account]);
    desk.login();
    let open = vault(&desk).unlock(&secret(PASSWORD)).unwrap();
    let names = |of: &str| {
        open.find(&domain(of)).unwrap().into_iter().map(|c| (c.name, c.match_kind)).collect::<Vec<_>>()
    };
    assert_eq!(names("a.rules.example"), [("host".to_owned(), MatchKind::ExactHost)]);
    assert_eq!(names("b.rules.example"), [("exact".to_owned(), MatchKind::ExactHost)]);
    assert_eq!(names("c.rules.example"), [], "a path was demanded");
    assert_eq!(names("d.rules.example"), []);
    assert_eq!(names("e.rules.example").len(), 1);
    assert_eq!(names("x.example.com"), [("Plain login".to_owned(), MatchKind::RegistrableDomain)]);
    assert_eq!(names("trash.example"), [], "what was thrown away is not found");
    assert_eq!(names("itemkey.example.net").len(), 1);
    assert_eq!(names("gone.example"), [], "its checksum is another address's");
}

#[test]
fn what_may_not_be_seen_is_not_released() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let open = vault(&desk).unlock(&secret(PASSWORD)).unwrap();
    let at = OffsetDateTime::UNIX_EPOCH;
    let of = domain("orgkey.example.org");
    let hidden = open.find(&of).unwrap().into_iter().find(|c| c.username.as_deref() == Some("dave")).unwrap();
    let fields = [Field::Username, Field::Password, Field::Totp, Field::Custom("pin".to_owned())];
    let credential = open.read(&hidden.item_id, &fields, &of, at).unwrap();
    assert_eq!(credential.fields(), [Field::Username]);
    for wanted in ["00000000-0000-4000-8000-000000000005", "Plain login", "nothing"] {
        let refused = open.read(wanted, &fields, &of, at);
        assert!(matches!(refused, Err(Error::ItemNotFound { .. })), "{wanted}");
    }
}

#[test]
fn a_stale_copy_is_refreshed_behind_the_scenes() {
    let (mut desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let key = "user_0bc87994-7c15-4960-806d-6e807fed6694_sync_lastSync";
    let file = desk.data().join("data.json");
    let fresh = desk.data_json()[key].as_str().unwrap().to_owned();
    let age = |desk: &Desk| {
        let text = std::fs::read_to_string(&file).unwrap();
        let last = desk.data_json()[key].as_str().unwrap().to_owned();
        let text = text.replace(&last, "2001-01-01T00:00:00.000Z");
        std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    };
    let vault = vault(&desk);
    // A fresh copy asks nobody.
    let before = desk.server.calls().len();
    drop(vault.unlock(&secret(PASSWORD)).unwrap());
    vault.wait_for_sync();
    assert_eq!(desk.server.calls().len(), before);
    // A stale one answers from what it has, and is new the next time.
    age(&desk);
    {
        let mut world = desk.server.world();
        world.accounts[0].revision = 1_900_000_000_000;
        world.accounts[0].contents.add(&ItemSpec::login("added", "new", "p", "https://added.example"));
    }
    let open = vault.unlock(&secret(PASSWORD)).unwrap();
    assert!(open.find(&domain("added.example")).unwrap().is_empty());
    vault.wait_for_sync();
    assert!(!open.is_current());
    let open = vault.unlock(&secret(PASSWORD)).unwrap();
    assert_eq!(open.find(&domain("added.example")).unwrap().len(), 1);
    assert!(open.is_current());
    assert!(desk.data_json()[key].as_str().unwrap() >= fresh.as_str());
    // And a server that is away is no matter.
    age(&desk);
    desk.server.stop();
    let open = vault.unlock(&secret(PASSWORD)).unwrap();
    assert_eq!(open.find(&domain("added.example")).unwrap().len(), 1);
    vault.wait_for_sync();
}

#[test]
fn a_folder_without_an_account_says_what_to_do() {
    let desk = Desk::new(Flavour::Vaultwarden);
    let refused = vault(&desk).unlock(&secret(PASSWORD)).err().unwrap().to_string();
    assert_eq!(refused, "the Bitwarden vault: nobody is logged in: run `bw login`");
    let refused = BitwardenVault::at("/nowhere").unlock(&secret(PASSWORD)).err().unwrap().to_string();
    assert!(refused.contains("/nowhere") && refused.contains("bw login"), "{refused}");
}

#[test]
fn the_registry_knows_it() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let file = desk.path().join("vaults.toml");
    let text = "use = \"work\"\n\n[vaults.work]\nprovider = \"bitwarden\"\npath = \"data\"\n";
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    let registry = Registry::load(&file).unwrap();
    let vault = registry.vault("work", desk.path()).unwrap();
    assert_eq!((vault.describe().provider, vault.describe().name.as_str()), ("bitwarden", "work"));
    assert_eq!(vault.unlock(&secret(PASSWORD)).unwrap().find(&domain("login.example.com")).unwrap().len(), 1);
    assert!(matches!(registry.builtin("work", desk.path()), Err(Error::NotBuiltin { .. })));
    let _ = EMAIL;
}
