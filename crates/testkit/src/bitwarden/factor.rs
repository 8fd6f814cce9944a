//! Second factors: the question, and the code that is mailed.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::handlers::{Shared, answer, lock, refuse};
use super::world::{Account, Flavour, World};

/// What to answer to a token request that brings no factor, or a wrong one.
pub(super) fn second_factor(
    world: &mut World,
    account: &Account,
    form: &HashMap<String, String>,
) -> Option<Response> {
    if account.two_factor.is_empty() {
        return None;
    }
    let by_sso = form.get("grant_type").is_some_and(|g| g == "authorization_code");
    let provider = form.get("twoFactorProvider").and_then(|p| p.parse::<u8>().ok());
    let code = form.get("twoFactorToken");
    if let (Some(5), Some(code)) = (provider, code)
        && *code == format!("remember-{}", account.spec.id)
    {
        return None;
    }
    let (Some(provider), Some(code)) = (provider, code) else {
        let ids: Vec<String> = account.two_factor.iter().map(|(p, _)| p.to_string()).collect();
        let more: serde_json::Map<String, Value> = ids
            .iter()
            .map(|p| {
                (p.clone(), if p == "1" { json!({"Email": "te*****@example.com"}) } else { Value::Null })
            })
            .collect();
        return Some(answer(
            400,
            json!({"error": "invalid_grant", "error_description": "Two factor required.",
                   "TwoFactorProviders": ids, "TwoFactorProviders2": more, "Email": account.spec.email,
                   "SsoEmail2faSessionToken": by_sso.then(|| sso_token(account)),
                   "MasterPasswordPolicy": {"Object": "masterPasswordPolicy"}}),
        ));
    };
    if account.two_factor.iter().any(|(p, c)| *p == provider && c == code) {
        return None;
    }
    if provider == 5 {
        // A stale remember token is answered like none at all.
        let mut again = form.clone();
        again.remove("twoFactorToken");
        return second_factor(world, account, &again);
    }
    Some(refuse(
        world.flavour,
        400,
        match world.flavour {
            Flavour::Vaultwarden | Flavour::OldVaultwarden => {
                "Invalid TOTP code! Server time: 2026-11-22 00:00:00 UTC IP: 127.0.0.1"
            }
            Flavour::Official => "Two-step token is invalid. Try again.",
        },
    ))
}

/// Mails a code to who knows the password, or came through the organisation.
pub(super) async fn send_email(State(world): State<Shared>, body: Bytes) -> Response {
    let mut world = lock(&world);
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let email = asked["email"].as_str().unwrap_or_default().to_owned();
    let hash = asked["masterPasswordHash"].as_str();
    match world.by_email(&email) {
        Some(account)
            if hash == Some(account.password_hash.as_str())
                || asked["ssoEmail2FaSessionToken"] == sso_token(account).as_str() =>
        {
            world.mailed.push(email);
            StatusCode::OK.into_response()
        }
        _ => refuse(world.flavour, 400, "Username or password is incorrect. Try again."),
    }
}

/// What stands for the password when a code is to be mailed after SSO.
fn sso_token(account: &Account) -> String {
    format!("sso-{}", account.spec.id)
}
