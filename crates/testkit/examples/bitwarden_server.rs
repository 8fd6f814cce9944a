//! Runs the in-memory server until its standard input ends. Prints its address and the account, one a line, and
//! writes the CA's certificate to the path given as the first argument. For trying clients by hand and for benches.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::disallowed_methods)]

use std::io::Read as _;

use durward_testkit::bitwarden::{Account, AccountSpec, BitwardenServer, Flavour, ItemSpec};

fn main() {
    let ca = std::env::args()
        .nth(1)
        .expect("usage: bitwarden_server CA.pem [vaultwarden|official] [items] [iterations]");
    let flavour = if std::env::args().nth(2).as_deref() == Some("official") {
        Flavour::Official
    } else {
        Flavour::Vaultwarden
    };
    let items: usize = std::env::args().nth(3).and_then(|n| n.parse().ok()).unwrap_or(8);
    let iterations = std::env::args().nth(4).and_then(|n| n.parse().ok()).unwrap_or(600_000);
    let mut spec = AccountSpec::quick("Test.User@example.com", "correct horse battery staple");
    spec.kdf = durward_bitwarden::crypto::Kdf::new(0, iterations, None, None).expect("allowed");
    let mut account = Account::new(spec);
    for n in 0..items {
        let host = format!("https://site-{n}.example.com/login");
        let mut item =
            ItemSpec::login(&format!("Site {n}"), &format!("user{n}"), &format!("secret-{n}"), &host);
        item.own_key = n % 3 == 1;
        item.shared = n % 5 == 2;
        item.in_folder = n % 2 == 0;
        item.totp = (n % 4 == 0).then(|| "JBSWY3DPEHPK3PXP".to_owned());
        account.contents.add(&item);
    }
    account.contents.add_other(2, "secureNote", "A note", &[]);
    account.contents.add_other(
        3,
        "card",
        "My Visa",
        &[("brand", "Visa"), ("number", "4111111111111111"), ("code", "123")],
    );
    let server = BitwardenServer::start(flavour, vec![account]);
    std::fs::write(&ca, server.ca_pem()).expect("the certificate's path is writable");
    println!("{}", server.url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
