//! A vault that is kept open: when it locks, and who hears of it.

use durward_protocol::{RequestId, SecretString};
use durward_vault::BuiltinVault;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use crate::home::{Home, VAULT_PASSWORD};
use crate::wire::{Owner, Session, post};

#[test]
fn a_vault_that_was_changed_locks_and_says_so() {
    let home = Home::with_vault();
    let daemon = home.serve_quietly();
    let (owner, mut rng) = (Owner::of(&home, &daemon), StdRng::seed_from_u64(1));
    let session = Session::pair(daemon.listen, &owner, "agent", &mut rng).unwrap();
    owner.unlock();
    let first = RequestId::random(&mut rng);
    let ask = session.ask(first, "example.com", &mut rng);
    assert_eq!(post(daemon.listen, "/credential/request", 0, &ask).unwrap().status, 202);
    let yes = json!({ "verdict": "approve", "grant": { "kind": "session" } });
    assert_eq!(owner.decide(&session.id.to_string(), &first.to_string(), &yes).unwrap().status, 200);

    let vault = BuiltinVault::at(home.path("vault.age")).with_work_factor_for_tests(1);
    vault.edit(&SecretString::new(VAULT_PASSWORD.into()), |_| Ok(())).unwrap();
    let second = RequestId::random(&mut rng);
    let ask = session.ask(second, "example.com", &mut rng);
    let answer = post(daemon.listen, "/credential/request", 0, &ask).unwrap();
    assert_eq!(answer.status, 202, "what was read before the change is not released after it: {answer:?}");
    assert!(owner.get("/vault").unwrap()["open_until"].is_null());
    let log = owner.get("/audit?limit=50").unwrap();
    let entries = log["records"].as_array().unwrap().iter();
    let mut entries = entries.map(|record| record["body"].as_str().unwrap().to_owned()).rev();
    let last = entries.find(|entry| entry.contains("vault_switched")).unwrap();
    assert!(last.contains("\"locked\"") && last.contains("the vault was changed"), "{last}");
}
