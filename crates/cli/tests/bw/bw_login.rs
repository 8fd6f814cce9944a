//! The ways in: second factors, new devices, API keys, single sign-on; and the ways a session ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use durward_testkit::bitwarden::{Account, AccountSpec, Flavour, ItemSpec};
use serde_json::json;

use crate::bw_harness::{Desk, EMAIL, PASSWORD, Program, account};

const CODE: &str = "123456";

fn with_factors(factors: &[(u8, &str)], flavour: Flavour) -> Desk {
    let mut account = account();
    account.two_factor = factors.iter().map(|(p, c)| (*p, (*c).to_owned())).collect();
    Desk::with(flavour, vec![account])
}

/// Runs with answers typed into standard input, which is no terminal.
fn typed(desk: &Desk, args: &[&str], answers: &str) -> (i32, String, String) {
    let mut child = desk
        .command(Program::Ours)
        .args(args)
        .env_remove("BW_NOINTERACTION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn second_factors_by_switch() {
    for provider in ["0", "1", "3"] {
        let desk = with_factors(&[(provider.parse().unwrap(), CODE)], Flavour::Vaultwarden);
        let login = ["login", EMAIL, PASSWORD, "--raw"];
        assert_eq!(desk.run(&login).stderr, "Code is required.");
        let wrong = desk.run(&[&login[..], &["--method", provider, "--code", "000000"]].concat());
        assert!(wrong.stderr.starts_with("Invalid TOTP code!"), "{wrong:?}");
        let said = desk.run(&[&login[..], &["--method", provider, "--code", CODE]].concat());
        assert_eq!((said.code, said.stdout.len()), (0, 88), "{said:?}");
        // Method and code go with the first request.
        let world = desk.server.world();
        let form =
            world.requests.iter().rev().find(|r| r.body.contains("grant_type=password")).unwrap().form();
        let names: Vec<&str> = form.iter().map(|(k, _)| k.as_str()).collect();
        assert_eq!(
            names,
            [
                "scope",
                "client_id",
                "deviceType",
                "deviceIdentifier",
                "deviceName",
                "twoFactorToken",
                "twoFactorProvider",
                "twoFactorRemember",
                "grant_type",
                "username",
                "password"
            ]
        );
        assert_eq!(form[7].1, "0");
    }
}

#[test]
fn a_code_without_a_method_waits_for_the_question() {
    let desk = with_factors(&[(0, CODE)], Flavour::Official);
    let said = desk.run(&["login", EMAIL, PASSWORD, "--raw", "--code", CODE]);
    assert_eq!((said.code, said.stdout.len()), (0, 88), "{said:?}");
    let calls = desk.server.calls();
    assert_eq!(calls.iter().filter(|c| c.ends_with("/connect/token")).count(), 2);
    assert!(!desk.server.world().requests.iter().any(|r| r.path.ends_with("send-email-login")));
    let desk = with_factors(&[(0, CODE)], Flavour::Official);
    assert_eq!(
        desk.run(&["login", EMAIL, PASSWORD, "--code", "1"]).stderr,
        "Two-step token is invalid. Try again."
    );
}

#[test]
fn of_several_factors_one_is_chosen() {
    let desk = with_factors(&[(1, "111111"), (3, "333333"), (0, CODE), (7, "x")], Flavour::Official);
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD]).stderr, "Login failed. No provider selected.");
    // 1 authenticator, 2 YubiKey, 3 e-mail, 4 cancel.
    let (code, stdout, stderr) = typed(&desk, &["login", EMAIL, PASSWORD, "--raw"], "3\n111111\n");
    assert_eq!((code, stdout.len()), (0, 88), "{stderr}");
    assert!(
        stderr.contains("1) Authenticator App\n  2) YubiKey OTP Security Key\n  3) Email\n  4) Cancel"),
        "{stderr}"
    );
    assert_eq!(desk.server.world().mailed, [EMAIL]);
    assert_eq!(desk.run(&["logout"]).code, 0);
    let (code, _, stderr) = typed(&desk, &["login", EMAIL, PASSWORD], "4\n");
    assert_eq!(code, 1);
    assert!(stderr.ends_with("Login failed."), "{stderr}");
}

#[test]
fn factors_no_terminal_can_serve() {
    let desk = with_factors(&[(7, "x"), (2, "y")], Flavour::Vaultwarden);
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD]).stderr, "No providers available for this client.");
}

#[test]
fn a_remembered_device_is_not_asked_again() {
    let desk = with_factors(&[(0, CODE)], Flavour::Vaultwarden);
    let login = ["login", EMAIL, PASSWORD, "--raw"];
    let said = desk.run(&[&login[..], &["--method", "0", "--code", CODE, "--remember"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(desk.run(&["logout"]).code, 0);
    assert_eq!(desk.run(&login).code, 0, "the token was sent by itself");
    assert_eq!(desk.run(&["logout"]).code, 0);
    // A token the server no longer takes is forgotten, and the question comes.
    desk.server.world().accounts[0].spec.id = "11111111-1111-4111-8111-111111111111".to_owned();
    assert_eq!(desk.run(&login).stderr, "Code is required.");
    assert!(!desk.data_json().to_string().contains("remember-"));
}

#[test]
fn a_new_device_is_verified() {
    let mut account = account();
    account.new_device_otp = Some("987654".to_owned());
    let desk = Desk::with(Flavour::Official, vec![account]);
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD]).stderr, "Code is required.");
    let (code, stdout, stderr) = typed(&desk, &["login", EMAIL, PASSWORD, "--raw"], "987654\n");
    assert_eq!((code, stdout.len()), (0, 88), "{stderr}");
    assert!(
        stderr.starts_with("? New device verification required. Enter OTP sent to login email: "),
        "{stderr}"
    );
}

#[test]
fn api_keys() {
    let desk = Desk::new(Flavour::Official);
    let (id, secret) = desk.server.world().accounts[0].api_key.clone();
    let run = |id: &str, secret: &str| {
        desk.run_env(&["login", "--apikey"], &[("BW_CLIENTID", id), ("BW_CLIENTSECRET", secret)])
    };
    assert_eq!(desk.run(&["login", "--apikey"]).stderr, "client_id is required.");
    assert_eq!(run(&id, "").stderr, "client_secret is required.");
    assert_eq!(
        run("organization.x", "y").stderr,
        "Invalid API Key; Organization API Key currently not supported"
    );
    assert_eq!(run(&id, "wrong").stderr, "client_id or client_secret is incorrect. Try again.");
    let (code, stdout, _) = {
        let answers = format!("{id}\n{secret}\n");
        typed(&desk, &["login", "--apikey"], &answers)
    };
    assert_eq!(
        (code, stdout.as_str()),
        (0, "You are logged in!\n\nTo unlock your vault, use the `unlock` command. ex:\n$ bw unlock")
    );
    let form = desk
        .server
        .world()
        .requests
        .iter()
        .rev()
        .find(|r| r.body.contains("client_credentials"))
        .unwrap()
        .form();
    assert_eq!(form[0], ("scope".to_owned(), "api".to_owned()));
    assert!(form.iter().all(|(k, _)| k != "username"));
    // Locked until the master password comes; then everything works, without network.
    assert_eq!(desk.run(&["list", "items"]).stderr, "Vault is locked.");
    let key = desk.run(&["unlock", PASSWORD, "--raw"]).stdout;
    assert_eq!(desk.run_env(&["get", "username", "plain"], &[("BW_SESSION", &key)]).stdout, "alice");
    // There is no refresh token: renewing asks with the key again.
    assert_eq!(desk.run(&["sync", "-f"]).stdout, "Syncing complete.");
    let renewals =
        desk.server.world().requests.iter().filter(|r| r.body.contains("client_credentials")).count();
    assert_eq!(renewals, 3);
    assert_eq!(desk.data_json()["user_0bc87994-7c15-4960-806d-6e807fed6694_token_apiKeyClientId"], id);
}

#[test]
fn wrong_passwords_name_the_host_on_official_servers() {
    let desk = Desk::new(Flavour::Vaultwarden);
    assert_eq!(desk.run(&["login", EMAIL, "x"]).stderr, "Username or password is incorrect. Try again");
    let desk = Desk::new(Flavour::Official);
    let host = desk.server.url().replace("https://", "");
    assert_eq!(
        desk.run(&["login", EMAIL, "x"]).stderr,
        format!(
            "Invalid master password. Confirm your email is correct and your account was created on {host}."
        )
    );
    // No account is answered like a wrong password.
    assert!(desk.run(&["login", "who@example.com", "x"]).stderr.starts_with("Invalid master password."));
}

#[test]
fn a_hostile_prelogin_gets_nothing() {
    let desk = Desk::new(Flavour::Vaultwarden);
    for (answer, text) in [
        (json!({"kdf": 0, "kdfIterations": 1}), "KDF settings are below the minimum"),
        (
            json!({"kdf": 1, "kdfIterations": 3, "kdfMemory": 4_000_000, "kdfParallelism": 4}),
            "KDF settings are above",
        ),
        (json!({"kdf": 0, "kdfIterations": 4_000_000_000_u64}), "KDF settings are above"),
        (json!({"kdf": 9, "kdfIterations": 600_000}), "The server asks for an unknown key derivation (9)"),
    ] {
        desk.server.world().prelogin = Some(answer);
        let said = desk.run(&["login", EMAIL, PASSWORD]);
        assert!(said.stderr.starts_with(text), "{said:?}");
    }
    assert!(!desk.server.calls().iter().any(|c| c.ends_with("/connect/token")), "no hash was sent");
}

#[test]
fn demands_of_an_organisation_end_the_login() {
    let mut reset = account();
    reset.force_reset = true;
    let desk = Desk::with(Flavour::Official, vec![reset]);
    let said = desk.run(&["login", EMAIL, PASSWORD]);
    assert!(
        said.stderr.starts_with("An organization administrator recently changed your master password."),
        "{said:?}"
    );
    assert_eq!(desk.run(&["login", "--check"]).stderr, "You are not logged in.");

    let mut weak = account();
    weak.policy = json!({"MinLength": 40, "EnforceOnLogin": true, "Object": "masterPasswordPolicy"});
    let desk = Desk::with(Flavour::Official, vec![weak]);
    let said = desk.run(&["login", EMAIL, PASSWORD]);
    assert!(said.stderr.starts_with("Your master password does not meet one or more"), "{said:?}");
}

#[test]
fn tokens_are_renewed_and_a_dead_session_logs_out() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let tokens = |desk: &Desk| desk.server.calls().iter().filter(|c| c.ends_with("/connect/token")).count();
    assert_eq!(tokens(&desk), 1);
    // Nothing changed: one question, no renewal.
    assert_eq!(desk.run(&["sync"]).stdout, "Syncing complete.");
    assert_eq!(
        (tokens(&desk), desk.server.calls().last().unwrap().as_str()),
        (1, "GET /api/accounts/revision-date")
    );
    // Something changed: tokens are renewed, the vault is pulled.
    desk.server.world().accounts[0].revision = i64::MAX / 2;
    desk.server.world().accounts[0].contents.add(&ItemSpec::login(
        "brand new",
        "n",
        "p",
        "https://new.example",
    ));
    assert_eq!(desk.run(&["sync"]).stdout, "Syncing complete.");
    assert_eq!(tokens(&desk), 2);
    // An access token that is refused is renewed once, and the call repeated.
    desk.server.world().failures.push_back(("/api/sync".into(), 401, String::new()));
    assert_eq!(desk.run(&["sync", "-f"]).stdout, "Syncing complete.");
    assert_eq!(tokens(&desk), 4);
    // A refresh token that is refused ends the session here, too.
    desk.server.world().revoked = true;
    let said = desk.run(&["sync", "-f"]);
    assert_eq!(said.stderr, "Syncing failed: Session expired. Please run `bw login` again.");
    assert_eq!(desk.run(&["sync"]).stderr, "You are not logged in.");
    // 403 does so at once.
    desk.login();
    desk.server.world().failures.push_back(("/api/sync".into(), 403, String::new()));
    assert!(desk.run(&["sync", "-f"]).stderr.contains("Session expired."));
    assert_eq!(desk.run(&["login", "--check"]).code, 1);
}

#[test]
fn the_key_id_goes_to_servers_that_take_it() {
    let (desk, _) = Desk::logged_in(Flavour::Official);
    let told = desk.server.world().accounts[0].key_id.clone().unwrap();
    let expected = desk.server.world().accounts[0].user_key().id().unwrap();
    assert_eq!(told, expected);
    let data = desk.data_json();
    assert_eq!(data["user_0bc87994-7c15-4960-806d-6e807fed6694_crypto_userKeyId"], expected);
    assert!(
        data["user_0bc87994-7c15-4960-806d-6e807fed6694_encryptedMigration_userKeyIdBackfillCooldown"]
            .is_null()
    );
    // And it is no matter to the login on those that do not.
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let data = desk.data_json();
    assert!(
        data["user_0bc87994-7c15-4960-806d-6e807fed6694_encryptedMigration_userKeyIdBackfillCooldown"]
            .is_string()
    );
}

/// As [`sso_with`], with nothing typed.
fn sso(desk: &Desk, args: &[&str], bend: impl Fn(&str) -> String) -> (i32, String, String) {
    sso_with(desk, args, bend, "")
}

/// Plays the browser: takes the address from standard error and comes back with a code.
fn sso_with(desk: &Desk, args: &[&str], bend: impl Fn(&str) -> String, typed: &str) -> (i32, String, String) {
    let mut child = desk
        .command(Program::Ours)
        .args(args)
        .env_remove("BW_NOINTERACTION")
        .env("PATH", "/nowhere")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let url = loop {
        let mut line = String::new();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "no address came: {said}");
        said.push_str(&line);
        if line.starts_with("https://") {
            break line.trim().to_owned();
        }
    };
    let query = url.split_once("#/sso?").unwrap().1;
    let value = |name: &str| {
        query.split('&').find_map(|p| p.strip_prefix(&format!("{name}="))).unwrap_or_default().to_owned()
    };
    assert_eq!(value("clientId"), "cli");
    let id = desk.server.world().accounts[0].spec.id.clone();
    desk.server.world().sso_codes.insert("the-code".to_owned(), (id, value("codeChallenge")));
    let port = value("redirectUri").rsplit("%3A").next().unwrap().to_owned();
    // A browser asks for an icon first.
    for path in ["/favicon.ico".to_owned(), format!("/?code=the-code&state={}", bend(&value("state")))] {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
    }
    let _ = stderr.read_to_string(&mut said);
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), said)
}

#[test]
fn single_sign_on() {
    let desk = Desk::new(Flavour::Official);
    let (code, _, said) = sso(&desk, &["login", "--sso", "acme"], |_| "somebody-elses-state".to_owned());
    assert_eq!(code, 1);
    assert!(said.ends_with("Something went wrong. Try again."), "{said}");

    let (code, stdout, said) =
        sso(&desk, &["login", "--sso", "acme"], |state| format!("{state}_identifier=acme"));
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        stdout,
        "You are logged in!\n\nTo unlock your vault, use the `unlock` command. ex:\n$ bw unlock"
    );
    assert!(said.contains("No browser could be opened.") && said.contains("&identifier=acme"), "{said}");
    let key = desk.run(&["unlock", PASSWORD, "--raw"]).stdout;
    assert_eq!(desk.run_env(&["get", "username", "plain"], &[("BW_SESSION", &key)]).stdout, "alice");
    // Without questions the switch is ignored, as the official client does.
    assert_eq!(desk.run(&["logout"]).code, 0);
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD, "--sso", "--raw"]).stdout.len(), 88);
}

#[test]
fn a_second_factor_after_single_sign_on() {
    let desk = with_factors(&[(1, CODE)], Flavour::Official);
    let args = ["login", "--sso", "acme", "--remember"];
    let (code, _, said) = sso_with(&desk, &args, str::to_owned, &format!("{CODE}\n"));
    assert_eq!(code, 0, "{said}");
    // Nobody typed an address: the server told it, and the token that stands for the password.
    let world = desk.server.world();
    assert_eq!(world.mailed, [EMAIL]);
    let mailed: serde_json::Value =
        serde_json::from_str(&world.last("/two-factor/send-email-login").unwrap().body).unwrap();
    assert_eq!(mailed["email"], EMAIL);
    assert!(mailed["ssoEmail2FaSessionToken"].as_str().unwrap().starts_with("sso-"));
    drop(world);
    // The device is remembered under the account's address, also for a login by password.
    assert_eq!(desk.run(&["logout"]).code, 0);
    assert_eq!(desk.run(&["login", EMAIL, PASSWORD, "--raw"]).code, 0);
}

#[test]
fn single_sign_on_that_ends_nowhere() {
    let mut reset = account();
    reset.force_reset = true;
    let desk = Desk::with(Flavour::Official, vec![reset]);
    let (code, _, said) = sso(&desk, &["login", "--sso", "acme"], str::to_owned);
    assert_eq!(code, 1);
    assert!(said.contains("An organization administrator recently changed your master password."), "{said}");
    assert_eq!(desk.run(&["login", "--check"]).stderr, "You are not logged in.");

    for (options, text) in [
        (
            json!({"HasMasterPassword": false, "TrustedDeviceOption": {"HasAdminApproval": true}}),
            "accounts using trusted device encryption. Log in through the web vault, desktop app,",
        ),
        (
            json!({"HasMasterPassword": false, "WebAuthnPrfOption": {"EncryptedPrivateKey": "2.x"}}),
            "accounts using PRF passkey decryption. Log in through the web vault or browser extension.",
        ),
        (
            json!({"HasMasterPassword": false}),
            "In order to log in with SSO from the CLI, you must first log in through the web vault, the desktop,",
        ),
    ] {
        let mut account = account();
        account.decryption = Some(options);
        let desk = Desk::with(Flavour::Official, vec![account]);
        let (code, _, said) = sso(&desk, &["login", "--sso", "acme"], str::to_owned);
        assert_eq!(code, 1);
        assert!(said.contains(text), "{said}");
        assert_eq!(desk.run(&["login", "--check"]).stderr, "You are not logged in.");
    }
}

#[test]
fn organisations_that_demand_sso_say_so() {
    let mut account = Account::new(AccountSpec::quick(EMAIL, PASSWORD));
    account.sso_required = Some("acme".to_owned());
    let desk = Desk::with(Flavour::Official, vec![account]);
    assert_eq!(
        desk.run(&["login", EMAIL, PASSWORD]).stderr,
        "Your organization requires single sign-on. Run `bw login --sso` in interactive mode."
    );
}
