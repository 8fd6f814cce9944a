//! Making an account, in the two steps of the web vault: a token for an address, then the password's hash and the
//! wrapped keys. The official command line cannot register; its users come from here.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use durward_bitwarden::crypto::Kdf;
use serde_json::{Value, json};

use super::handlers::{Shared, answer, lock, refuse};
use super::world::{Account, AccountSpec};

/// `send-verification-email`, which hands the token out itself as a server without mail does, and `finish`.
pub(super) async fn step(State(world): State<Shared>, Path(step): Path<String>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut world = lock(&world);
    let flavour = world.flavour;
    let Some(email) = asked["email"].as_str().filter(|email| email.contains('@')) else {
        return refuse(flavour, 400, "The Email field is required.");
    };
    let token = format!("register-{}", email.to_lowercase());
    match step.as_str() {
        "send-verification-email" => answer(200, json!(token)),
        "finish" if asked["emailVerificationToken"] != token => {
            refuse(flavour, 400, "Invalid or expired token")
        }
        "finish" if world.by_email(email).is_some() => {
            refuse(flavour, 400, "Registration not allowed or user already exists")
        }
        "finish" => match account(&asked, email, world.accounts.len()) {
            Some(account) => {
                world.accounts.push(account);
                answer(200, json!({ "captchaBypassToken": "", "object": "register" }))
            }
            None => refuse(flavour, 400, "The registration is not complete."),
        },
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The account as the client made it; the server knows neither password nor key, and its vault is empty.
fn account(asked: &Value, email: &str, count: usize) -> Option<Account> {
    let number = |name: &str| asked[name].as_u64();
    let kdf =
        Kdf::new(number("kdf")?, number("kdfIterations")?, number("kdfMemory"), number("kdfParallelism"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let spec = AccountSpec {
        id: format!("0bc87994-7c15-4960-806d-{:012x}", count + 0x1000),
        email: email.to_owned(),
        password: String::new(),
        kdf: kdf.ok()?,
    };
    let mut account = Account::new(spec);
    account.password_hash = text(&asked["masterPasswordHash"])?;
    account.wrapped_key = text(&asked["userSymmetricKey"])?;
    account.wrapped_private = text(&asked["userAsymmetricKeys"]["encryptedPrivateKey"])?;
    account.public_key = text(&asked["userAsymmetricKeys"]["publicKey"])?;
    account.contents.folders.clear();
    account.contents.collections.clear();
    Some(account)
}
