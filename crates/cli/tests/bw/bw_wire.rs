//! What a server may not do: lead elsewhere, answer without end, ask for a captcha. And accounts made on the wire.

use std::process::Command;

use durward_testkit::bitwarden::{Account, AccountSpec, BitwardenServer, Flavour};
use serde_json::json;

use crate::bw_harness::{Desk, EMAIL, PASSWORD, Program};

fn order(desk: &Desk, path: &str, status: u16, body: &str) {
    desk.server.world().failures.push_back((path.to_owned(), status, body.to_owned()));
}

/// A redirect to another host would take the password's hash there; one on the same host is followed.
#[test]
fn a_redirect_to_another_host_is_refused() {
    let other = BitwardenServer::start(Flavour::Vaultwarden, vec![crate::bw_harness::account()]);
    let desk = Desk::new(Flavour::Vaultwarden);
    for (path, status) in [("/identity/accounts/prelogin", 302), ("/identity/connect/token", 307)] {
        order(&desk, path, status, &format!("{}{path}", other.url()));
        let said = desk.run(&["login", EMAIL, PASSWORD]);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{said:?}");
        assert!(said.stderr.contains("the server redirects elsewhere"), "{said:?}");
        assert!(!said.stderr.contains(PASSWORD));
    }
    assert_eq!(other.calls(), Vec::<String>::new(), "nothing went there");
    order(&desk, "/identity/connect/token", 307, "/identity/connect/token");
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD]).code, 0);
    for _ in 0..12 {
        order(&desk, "/api/accounts/revision-date", 302, "/api/accounts/revision-date");
    }
    let said = desk.run(&["sync"]);
    assert_eq!(said.code, 1, "it does not go round for ever: {said:?}");
}

/// An answer is read up to its bound, and no further.
#[test]
fn an_answer_without_end_is_refused() {
    let desk = Desk::new(Flavour::Vaultwarden);
    let flood = format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20));
    for path in ["/identity/accounts/prelogin", "/identity/connect/token"] {
        order(&desk, path, 200, &flood);
        let said = desk.run(&["login", EMAIL, PASSWORD]);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{path}");
        assert!(said.stderr.contains("more than 1048576 bytes"), "{}", said.stderr);
    }
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD]).code, 0);
}

#[test]
fn a_captcha_is_told_in_one_sentence() {
    let desk = Desk::new(Flavour::Official);
    let body = json!({ "error": "invalid_grant", "HCaptcha_SiteKey": "abc", "ErrorModel": { "Message": "Captcha required." } });
    order(&desk, "/identity/connect/token", 400, &body.to_string());
    let said = desk.run(&["login", EMAIL, PASSWORD]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert_eq!(
        said.stderr,
        "The server wants a captcha solved. Log in with an API key instead: `bw login --apikey`."
    );
}

/// What the official program has and this one has not says so, whatever its arguments, locked or not, without asking.
#[test]
fn what_is_not_here_says_where_to_go() {
    let (desk, key) = Desk::logged_in(Flavour::Vaultwarden);
    let commands = "create item eyJ9|create attachment --file x --itemid y|create folder x|create org-collection x|\
        edit item id x|edit item-collections id x|edit folder id x|edit org-collection id x|delete item id --permanent|\
        delete attachment id|delete folder id|delete org-collection id|restore item id|move id org x|share id org x|\
        confirm org-member id|import bitwardencsv file|import --formats|export --format json --output x|archive item id|\
        send text|send create x|send list|send template send.text|send get id|send edit x|send remove-password id|\
        send delete id|receive https://send.example/x --password y|report exposed|\
        device-approval list --organizationid x|device-approval approve x y|device-approval approve-all x|\
        device-approval deny x y|device-approval deny-all x|serve --port 8087|update|sdk-version|list org-members|\
        list org-collections --organizationid x|get exposed term|get attachment name --itemid x|get org-collection id|\
        get template item|get fingerprint me|get send id";
    for line in commands.split('|') {
        let words: Vec<&str> = line.split_whitespace().collect();
        for session in ["", key.as_str()] {
            let said = desk.run_env(&words, &[("BW_SESSION", session)]);
            assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{line}: {said:?}");
            assert!(said.stderr.starts_with(&format!("`bw {}", words[0])), "{line}: {said:?}");
            assert!(said.stderr.contains("npm install -g @bitwarden/cli"), "{line}: {said:?}");
        }
    }
    let calls = desk.server.calls().len();
    let said = desk.run(&["send", "text", "--response"]);
    assert!(said.code == 1 && said.stdout.contains("\"success\":false"), "{said:?}");
    assert_eq!(desk.server.calls().len(), calls, "nobody was asked");
}

/// An account made over the wire, as a web vault does, logs in, syncs and is empty: for ours and for Bitwarden's own.
#[test]
fn a_registered_account_logs_in() {
    let desk = Desk::new(Flavour::Official);
    let mut spec = AccountSpec::quick("new@example.com", "another long phrase");
    spec.kdf = durward_bitwarden::crypto::Kdf::new(0, 6_000, None, None).unwrap();
    let client = Account::new(spec);
    let post = |step: &str, body: &serde_json::Value| -> (String, serde_json::Value) {
        let url = format!("{}/identity/accounts/register/{step}", desk.server.url());
        let mut curl = Command::new("curl");
        curl.args(["-s", "-w", "\n%{http_code}", "--cacert"]).arg(desk.path().join("ca.pem"));
        curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string(), &url]);
        let output = String::from_utf8(curl.output().unwrap().stdout).unwrap();
        let (body, status) = output.rsplit_once('\n').unwrap();
        (status.to_owned(), serde_json::from_str(body).unwrap())
    };
    let (status, token) =
        post("send-verification-email", &json!({ "email": "new@example.com", "name": "New" }));
    assert_eq!(status, "200");
    let finish = json!({
        "email": "new@example.com", "emailVerificationToken": token, "masterPasswordHash": client.password_hash,
        "kdf": 0, "kdfIterations": 6_000, "userSymmetricKey": client.wrapped_key,
        "userAsymmetricKeys": { "publicKey": client.public_key, "encryptedPrivateKey": client.wrapped_private },
    });
    assert_eq!(post("finish", &json!({ "email": "new@example.com" })).0, "400", "no token");
    assert_eq!(post("finish", &finish).0, "200");
    assert_eq!(post("finish", &finish).0, "400", "twice");
    assert_eq!(desk.run(&["login", "new@example.com", "wrong"]).code, 1);
    for program in [Program::Ours, Program::Official("2026.7.0"), Program::Official("2026.9.0")] {
        let login = ["login", "new@example.com", "another long phrase", "--raw"];
        let said = desk.run_as(program, &login, &[]);
        assert_eq!((said.code, said.stdout.len()), (0, 88), "{program:?}: {said:?}");
        let session = [("BW_SESSION", said.stdout.as_str())];
        assert_eq!(desk.run_as(program, &["list", "items"], &session).stdout, "[]", "{program:?}");
        let status = desk.run_as(program, &["status"], &session).stdout;
        assert!(status.contains("\"status\":\"unlocked\""), "{program:?}: {status}");
        // Whoever logged in, the other program's session is the same.
        assert_eq!(
            desk.run_env(&["unlock", "--check"], &session).stdout,
            "Vault is unlocked!",
            "{program:?}"
        );
        assert_eq!(desk.run_as(program, &["logout"], &[]).code, 0, "{program:?}");
    }
}
