//! Other programs' exports, as those programs write them.

use std::path::{Path, PathBuf};

use durward_protocol::{Field, SecretString};
use durward_vault::{
    Duplicates, Error, Import, ImportFormat, ImportReport, Item, Items, MAX_IMPORT_BYTES, MAX_IMPORT_ENTRIES,
    PlainFormat,
};
use proptest::prelude::*;

use crate::support::{at, domain, fast, login, rng, secret};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Imports into an empty vault: what the report said and what is there then.
fn import(name: &str, format: Option<ImportFormat>) -> (ImportReport, Items) {
    let mut items = Items::default();
    let import = Import::open(format, &fixture(name)).unwrap();
    let report = import.report(&items);
    let done = import.apply(&mut items, Duplicates::Skip, &mut rng(), at(5)).unwrap();
    assert_eq!(report, done, "the dry run told the truth");
    assert_eq!(items.len(), report.new.len());
    (report, items)
}

fn exposed(value: Option<&SecretString>) -> Option<&str> {
    value.map(SecretString::expose_secret)
}

fn only<'a>(items: &'a Items, name: &str) -> &'a Item {
    items.resolve(name).unwrap()
}

#[test]
fn bitwarden_json() {
    let (report, items) = import("bitwarden.json", None);
    assert_eq!(items.len(), 4);
    let mail = only(&items, "Mail");
    assert_eq!(exposed(mail.username.as_ref()), Some("ann@example.com"));
    assert_eq!(exposed(mail.password.as_ref()), Some("pa\"ss\\word"));
    assert_eq!(exposed(mail.notes.as_ref()), Some("line one\nline two"));
    assert_eq!(mail.uris, ["https://mail.example.com/login", "androidapp://com.example"]);
    assert_eq!(mail.totp.as_ref().unwrap().code(at(59)).unwrap().expose_secret(), "287082");
    let fields: Vec<_> = mail.fields.iter().map(|field| (field.name.as_str(), field.hidden)).collect();
    assert_eq!(fields, [("address", false), ("address 2", false), ("pin", true), ("hint", false)]);
    assert!(items.find(&domain("elsewhere.test")).is_empty(), "its owner said never");
    assert_eq!(only(&items, "Safe code").available_fields(), [Field::Notes]);
    assert!(only(&items, "Visa").available_fields().contains(&Field::Custom("number".into())));
    assert!(only(&items, "Bad code").totp.is_none());
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!(skipped, [4, 5], "{:?}", report.skipped);
    assert!(report.skipped[1].reason.contains("the rest is taken"));
}

#[test]
fn onepassword_csv() {
    let (report, items) = import("1password.csv", None);
    let shop = only(&items, "Shop");
    assert_eq!(exposed(shop.password.as_ref()), Some("pw,with \"quotes\""));
    assert_eq!(exposed(shop.notes.as_ref()), Some("first line\nsecond line"));
    assert_eq!(shop.totp.as_ref().unwrap().code(at(59)).unwrap().expose_secret(), "287082");
    assert_eq!((report.new[0].line, report.new[1].line), (2, 4), "lines count quoted line ends");
    assert_eq!(report.ignored_columns, ["favorite", "archived", "tags"]);
    assert_eq!(
        ImportFormat::detect(&std::fs::read(fixture("1password.csv")).unwrap()),
        ImportFormat::OnePassword
    );
}

#[test]
fn keepass_csv() {
    let (report, items) = import("keepassxc.csv", Some(ImportFormat::KeePass));
    assert_eq!(exposed(only(&items, "Bank").password.as_ref()), Some("pässwörd"));
    assert_eq!((report.skipped.len(), report.skipped[0].line), (1, 3));
    let (_, items) = import("keepass1.csv", None);
    assert_eq!(exposed(only(&items, "Forum").password.as_ref()), Some("back\\slash and \"quote\""));
    assert_eq!(exposed(only(&items, "Forum").username.as_ref()), Some("ann"));
}

#[test]
fn browsers_and_spreadsheets() {
    let (report, items) = import("chrome.csv", None);
    assert_eq!((items.len(), report.duplicates.len(), report.skipped.len()), (2, 1, 1));
    assert!(report.duplicates[0].same_password && report.duplicates[0].entry.line == 3);
    assert_eq!(report.skipped[0].line, 5);
    assert_eq!(exposed(only(&items, "www.other.test").username.as_ref()), Some("bob"));
    let (report, items) = import("semicolon.csv", None);
    assert_eq!(items.len(), 1);
    assert_eq!(exposed(only(&items, "a.test").password.as_ref()), Some("pw1"));
    assert!(report.skipped[0].reason.contains("3 columns"), "{:?}", report.skipped);
    assert_eq!(report.ignored_columns, ["passwort"]);
}

#[test]
fn duplicates_of_the_vault_are_shown_and_skipped_or_added() {
    let mut items = Items::default();
    items.add(login("My shop", "https://shop.test", "ann", "another"), &mut rng(), at(1)).unwrap();
    let open = || Import::open(None, &fixture("chrome.csv")).unwrap();
    let report = open().report(&items);
    assert_eq!((report.new.len(), report.duplicates.len()), (1, 2));
    assert!(!report.duplicates[0].same_password, "the vault's password differs");
    open().apply(&mut items, Duplicates::Skip, &mut rng(), at(2)).unwrap();
    assert_eq!(items.len(), 2);
    open().apply(&mut items, Duplicates::Add, &mut rng(), at(3)).unwrap();
    assert_eq!(items.len(), 5);
}

#[test]
fn what_is_no_export_is_refused_with_a_way_out() {
    for (format, text, told) in [
        (ImportFormat::Bitwarden, r#"{"encrypted":true,"passwordProtected":true,"data":"x"}"#, "encrypted"),
        (ImportFormat::Bitwarden, r#"{"encrypted":true,"items":[]}"#, "encrypted"),
        (ImportFormat::Bitwarden, "[1", "line 1"),
        (ImportFormat::Bitwarden, "{}", "items"),
        (ImportFormat::Durward, r#"{"format":"x","version":1,"items":[]}"#, "Durward"),
        (ImportFormat::Csv, "", "header"),
        (ImportFormat::Csv, "a,b,c\n1,2,3\n", "password"),
        (ImportFormat::OnePassword, "name,password\nx,y\n", "1Password"),
        (ImportFormat::KeePass, "name,password\nx,y\n", "KeePass"),
    ] {
        let error = Import::read(format, text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Import { .. }) && error.to_string().contains(told), "{text}: {error}");
    }
    let many = format!("name,password\n{}", "a,b\n".repeat(MAX_IMPORT_ENTRIES + 1));
    assert!(Import::read(ImportFormat::Csv, many.as_bytes()).unwrap_err().to_string().contains("split"));
    assert!(Import::read(ImportFormat::Csv, &vec![b'x'; MAX_IMPORT_BYTES + 1]).is_err());
    let rows = Import::read(ImportFormat::Csv, b"name,password\na,\xff\xfe\nb,good\n").unwrap();
    let report = rows.report(&Items::default());
    assert_eq!((report.new.len(), report.skipped[0].line), (1, 2));
    assert!(report.skipped[0].reason.contains("UTF-8"));
}

#[test]
fn exports_come_back() {
    let (_, items) = import("bitwarden.json", None);
    for (plain, format) in [(PlainFormat::Json, ImportFormat::Durward), (PlainFormat::Csv, ImportFormat::Csv)]
    {
        let bytes = items.to_plain(plain).unwrap();
        assert_eq!(ImportFormat::detect(&bytes), format);
        let mut again = Items::default();
        let report = Import::read(format, &bytes)
            .unwrap()
            .apply(&mut again, Duplicates::Skip, &mut rng(), at(1))
            .unwrap();
        assert!(report.skipped.is_empty(), "{:?}", report.skipped);
        let (old, new) = (only(&items, "Mail"), only(&again, "Mail"));
        assert_eq!((&old.uris, &old.password, &old.notes), (&new.uris, &new.password, &new.notes));
        assert_eq!(old.available_fields(), new.available_fields());
        assert!(new.fields.iter().zip(&old.fields).all(|(new, old)| new.value == old.value));
    }
}

#[test]
fn an_encrypted_export_is_a_vault() {
    let folder = tempfile::tempdir().unwrap();
    let (_, items) = import("bitwarden.json", None);
    let path = folder.path().join("export.age");
    let vault = fast(&folder.path().join("vault.age"));
    items.export_encrypted(&vault, &path, &secret("other")).unwrap();
    assert_eq!(fast(&path).open(&secret("other")).unwrap().items().len(), items.len());
    assert!(matches!(items.export_encrypted(&vault, &path, &secret("")), Err(Error::EmptyPassword)));
}

#[test]
fn reports_and_debug_show_no_secret() {
    let import = Import::open(None, &fixture("bitwarden.json")).unwrap();
    let shown = format!("{import:?} {:?}", import.report(&Items::default()));
    for secret in ["pa\"ss", "pa\\\"ss", "4711", "GEZDG", "12-34-56", "4111111111111111", "not base32!"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

proptest! {
    #[test]
    fn no_file_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        csv in "(name|url|password|title|group|account|login name|web site)(,(password|otp|fields|x|notes)){0,4}\n[a-z\",;:\\\\\n\r]{0,80}",
        json in "\\{\"items\":\\[\\{(\"[a-z]{1,6}\":(null|1|\"x\"|\\[\\]|\\{\\}),?){0,4}\\}\\]\\}",
    ) {
        for bytes in [&bytes[..], csv.as_bytes(), json.as_bytes()] {
            for name in ImportFormat::NAMES {
                if let Ok(import) = Import::read(name.parse().unwrap(), bytes) {
                    let mut items = Items::default();
                    let report = import.report(&items);
                    prop_assert_eq!(report, import.apply(&mut items, Duplicates::Add, &mut rng(), at(1)).unwrap());
                }
            }
            ImportFormat::detect(bytes);
        }
    }

    #[test]
    fn any_password_survives_csv_both_ways(password in "\\PC{1,30}", notes in "[ -~\n]{0,30}", name in "[a-zA-Z]{1,9}") {
        let mut items = Items::default();
        let mut item = login(&name, "https://a.test", "u", &password);
        item.notes = Some(secret(&notes)).filter(|notes| !notes.is_empty());
        items.add(item, &mut rng(), at(1)).unwrap();
        let bytes = items.to_plain(PlainFormat::Csv).unwrap();
        let mut again = Items::default();
        Import::read(ImportFormat::Csv, &bytes).unwrap().apply(&mut again, Duplicates::Skip, &mut rng(), at(1)).unwrap();
        let item = only(&again, &name);
        prop_assert_eq!(exposed(item.password.as_ref()), Some(password.as_str()));
        prop_assert_eq!(exposed(item.notes.as_ref()).unwrap_or_default(), notes);
    }
}
