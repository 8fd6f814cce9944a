//! A round trip within, and one with the npm package.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Once;

use opaque_ke::{ClientLogin, ClientLoginFinishParameters, CredentialResponse};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::*;

/// A client in Rust, for tests of the flows.
pub(in crate::accounts) struct TestClient {
    phrase: CanonicalPhrase,
    state: ClientLogin<Suite>,
}

impl TestClient {
    /// The client and its first message.
    pub(in crate::accounts) fn start(phrase: &str, rng: &mut StdRng) -> (Self, String) {
        let phrase = CanonicalPhrase::new(&phrase.to_owned().into());
        let begun = ClientLogin::start(&mut Rng06(rng), phrase.expose_phrase().as_bytes()).unwrap();
        (Self { phrase, state: begun.state }, URL_SAFE_NO_PAD.encode(begun.message.serialize()))
    }

    /// The last message, or `None` when the client itself sees that it cannot be good.
    pub(in crate::accounts) fn finish(self, response: &str, rng: &mut StdRng) -> Option<String> {
        let response = CredentialResponse::deserialize(&URL_SAFE_NO_PAD.decode(response).unwrap()).unwrap();
        let parameters = ClientLoginFinishParameters::new(None, Identifiers::default(), None);
        let password = self.phrase.expose_phrase().as_bytes();
        let done = self.state.finish(&mut Rng06(rng), password, response, parameters).ok()?;
        Some(URL_SAFE_NO_PAD.encode(done.message.serialize()))
    }
}

fn alan() -> UserId {
    "alan".parse().unwrap()
}

fn canonical(text: &str) -> CanonicalPhrase {
    CanonicalPhrase::new(&text.to_owned().into())
}

const PHRASE: &str = "I remember what I have learned from you.";

#[test]
fn a_login_knows_the_phrase_and_only_with_the_right_state() {
    let mut rng = StdRng::seed_from_u64(1);
    let setup = OpaqueSetup::generate(&mut rng);
    let setup = OpaqueSetup::from_stored(&setup.expose_bytes()).unwrap();
    let mut arena = Arena::new();
    let record = OpaqueRecord::enrol(&setup, &alan(), &canonical(PHRASE), &mut arena, &mut rng).unwrap();
    assert_eq!(arena.bytes(), 64 << 20, "the memory lent is given back");

    let login = |phrase: &str, rng: &mut StdRng| {
        let (client, first) = TestClient::start(phrase, rng);
        let request = LoginRequest::parse(&first).unwrap();
        let (state, response) = LoginState::start(&setup, &alan(), Some(&record), request, rng).unwrap();
        (LoginState::from_stored(state.expose_bytes().to_vec()), client.finish(&response, rng))
    };
    let (state, last) = login("i remember what i have learned from you", &mut rng);
    let last = last.unwrap();
    let (other_state, _) = login(PHRASE, &mut rng);
    assert_eq!(other_state.finish(LoginFinish::parse(&last).unwrap()), Err(OpaqueError::Login));
    assert_eq!(state.finish(LoginFinish::parse(&last).unwrap()), Ok(()));
    let (_, wrong) = login("something else entirely", &mut rng);
    assert_eq!(wrong, None);
}

#[test]
fn unknown_names_get_an_answer_of_the_same_form() {
    let mut rng = StdRng::seed_from_u64(2);
    let setup = OpaqueSetup::generate(&mut rng);
    let record =
        OpaqueRecord::enrol(&setup, &alan(), &canonical(PHRASE), &mut Arena::new(), &mut rng).unwrap();
    let mut answer = |record: Option<&OpaqueRecord>| {
        let (client, first) = TestClient::start("wrong", &mut rng);
        let request = LoginRequest::parse(&first).unwrap();
        let (_, response) = LoginState::start(&setup, &alan(), record, request, &mut rng).unwrap();
        (response.len(), client.finish(&response, &mut rng))
    };
    assert_eq!(answer(None), answer(Some(&record)));
}

#[test]
fn damaged_store_is_an_error() {
    assert_eq!(OpaqueSetup::from_stored(&[0; 3]).err(), Some(OpaqueError::Stored));
    let mut rng = StdRng::seed_from_u64(3);
    let setup = OpaqueSetup::generate(&mut rng);
    let (_, first) = TestClient::start("x", &mut rng);
    let request = LoginRequest::parse(&first).unwrap();
    let record = OpaqueRecord::from_stored(vec![1; 5]);
    let outcome = LoginState::start(&setup, &alan(), Some(&record), request, &mut rng);
    assert_eq!(outcome.err(), Some(OpaqueError::Stored));
}

#[test]
fn the_npm_client_logs_in_where_we_enrolled() {
    let mut rng = StdRng::seed_from_u64(4);
    let setup = OpaqueSetup::generate(&mut rng);
    let encoded = URL_SAFE_NO_PAD.encode(setup.expose_bytes().as_slice());
    assert_eq!(npm("public-key", &json!({ "serverSetup": encoded })), json!(setup.public_key()));
    let phrase = canonical(PHRASE);
    let record = OpaqueRecord::enrol(&setup, &alan(), &phrase, &mut Arena::new(), &mut rng).unwrap();
    assert_eq!(npm_login(&setup, Some(&record), phrase.expose_phrase(), &mut rng), Some(Ok(())));
    assert_eq!(npm_login(&setup, Some(&record), "wrong", &mut rng), None, "the client sees it");
    assert_eq!(npm_login(&setup, None, phrase.expose_phrase(), &mut rng), None, "nobody of that name");
}

#[test]
fn the_npm_client_enrols_itself() {
    let mut rng = StdRng::seed_from_u64(5);
    let setup = OpaqueSetup::generate(&mut rng);
    let phrase = canonical(PHRASE);
    let password = phrase.expose_phrase();
    let begun = npm("start-registration", &json!({ "password": password }));
    let request = begun["registrationRequest"].as_str().unwrap();
    let response = OpaqueRecord::registration_response(&setup, &alan(), request).unwrap();
    let finished = npm(
        "finish-registration",
        &json!({
            "password": password,
            "registrationResponse": response,
            "clientRegistrationState": begun["clientRegistrationState"]
        }),
    );
    let record = OpaqueRecord::from_upload(finished["registrationRecord"].as_str().unwrap()).unwrap();
    assert_eq!(npm_login(&setup, Some(&record), password, &mut rng), Some(Ok(())));
    // What the package enrolled, our own client opens.
    let (client, first) = TestClient::start(password, &mut rng);
    let request = LoginRequest::parse(&first).unwrap();
    let (state, response) = LoginState::start(&setup, &alan(), Some(&record), request, &mut rng).unwrap();
    let last = client.finish(&response, &mut rng).unwrap();
    assert_eq!(state.finish(LoginFinish::parse(&last).unwrap()), Ok(()));
}

#[test]
fn the_documented_javascript_makes_the_same_phrase() {
    let phrases = [
        PHRASE,
        "  The forest\u{a0}remembers, every\tfootstep!\n",
        "Ｆｕｌｌ width \u{2014} \u{201c}quoted\u{201d} \u{feff}and joined\u{200d}",
        "Caf\u{65}\u{301} don\u{2019}t 1+1=2 \u{85} \u{20ac}5",
        "ÄÖÜ ЖИЗНЬ 東京　タワー well-known a.b...c",
        "",
    ];
    let ours: Vec<_> = phrases.iter().map(|text| canonical(text).expose_phrase().to_owned()).collect();
    assert_eq!(npm("canonical", &json!({ "phrases": phrases })), json!(ours));
    let page = include_str!("../../../../../docs/passphrase-key-exchange.md");
    let script = include_str!("../../../../../tests/interop/opaque/client.mjs");
    for line in ["const fold = ", "const canonical = ", "  fold(fold("] {
        let shown = page.lines().map(str::trim).find(|l| l.starts_with(line.trim())).unwrap();
        assert!(script.lines().any(|l| l.trim() == shown), "the page shows what was run: {shown}");
    }
}

fn npm_login(
    setup: &OpaqueSetup,
    record: Option<&OpaqueRecord>,
    password: &str,
    rng: &mut StdRng,
) -> Option<Result<(), OpaqueError>> {
    let begun = npm("start-login", &json!({ "password": password }));
    let request = LoginRequest::parse(begun["startLoginRequest"].as_str().unwrap()).unwrap();
    let (state, response) = LoginState::start(setup, &alan(), record, request, rng).unwrap();
    let finished = npm(
        "finish-login",
        &json!({
            "password": password,
            "loginResponse": response,
            "clientLoginState": begun["clientLoginState"]
        }),
    );
    let last = finished["finishLoginRequest"].as_str()?;
    Some(state.finish(LoginFinish::parse(last).unwrap()))
}

/// Runs one step of the npm client. Without node, npm or the package this fails: it is not skipped.
fn npm(step: &str, parameters: &Value) -> Value {
    static INSTALLED: Once = Once::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/opaque");
    INSTALLED.call_once(|| {
        if !folder.join("node_modules/@serenity-kit/opaque/package.json").exists() {
            let status = Command::new(folder.join("install.sh"))
                .status()
                .expect("tests/interop/opaque/install.sh runs");
            assert!(status.success(), "tests/interop/opaque/install.sh could not install the npm client");
        }
    });
    let mut child = Command::new("node")
        .arg(folder.join("client.mjs"))
        .arg(step)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs: install Node.js 18 or newer");
    child.stdin.take().unwrap().write_all(parameters.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "client.mjs {step} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

proptest! {
    #[test]
    fn messages_never_panic(text in "[A-Za-z0-9_-]{0,400}|.*") {
        let _ = LoginRequest::parse(&text);
        let _ = LoginFinish::parse(&text);
        let _ = OpaqueRecord::from_upload(&text);
        let setup = OpaqueSetup::generate(&mut StdRng::seed_from_u64(6));
        let _ = OpaqueRecord::registration_response(&setup, &alan(), &text);
    }

    #[test]
    fn well_sized_garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 96..=96)) {
        let _ = LoginRequest::parse(&URL_SAFE_NO_PAD.encode(&bytes));
        let _ = LoginFinish::parse(&URL_SAFE_NO_PAD.encode(&bytes[..64]));
    }
}
