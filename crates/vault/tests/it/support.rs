//! What several tests need.

use std::path::Path;

use durward_protocol::{Domain, SecretString};
use durward_vault::{BuiltinVault, Item};
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::OffsetDateTime;

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub(crate) fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

/// A vault that costs nothing to open.
pub(crate) fn fast(path: &Path) -> BuiltinVault {
    BuiltinVault::at(path).with_work_factor_for_tests(1)
}

pub(crate) fn login(name: &str, uri: &str, username: &str, password: &str) -> Item {
    let mut item = Item::new(name);
    item.uris = vec![uri.to_owned()];
    item.username = Some(secret(username));
    item.password = Some(secret(password));
    item
}

/// Writes as a careless program would: in place, not atomically.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}
