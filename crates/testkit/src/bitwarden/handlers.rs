//! The endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::factor::{second_factor, send_email};
use super::world::{Account, Flavour, Recorded, World};
use super::{old, register};

pub(super) type Shared = Arc<Mutex<World>>;

const LIMIT: usize = 1 << 20;

pub(super) fn router(world: Shared) -> Router {
    Router::new()
        .route("/api/config", get(config))
        .route("/identity/accounts/prelogin", post(prelogin))
        .route("/identity/accounts/prelogin/password", post(prelogin))
        .route("/api/accounts/prelogin", post(prelogin))
        .route("/identity/accounts/register/{step}", post(register::step))
        .route("/identity/connect/token", post(token))
        .route("/api/two-factor/send-email-login", post(send_email))
        .route("/api/sync", get(sync))
        .route("/api/accounts/revision-date", get(revision))
        .route("/api/accounts/profile", get(profile))
        .route("/api/accounts/key-management/user-key-id", post(key_id))
        .route("/connector/user-keys", get(connector))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(middleware::from_fn_with_state(Arc::clone(&world), record))
        .with_state(world)
}

/// Writes the request down, and answers for it when a failure was ordered.
async fn record(State(world): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, LIMIT).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let path = parts.uri.path().to_owned();
    let ordered = {
        let mut world = lock(&world);
        world.requests.push(Recorded {
            method: parts.method.to_string(),
            path: path.clone(),
            headers: headers(&parts.headers),
            body: String::from_utf8_lossy(&bytes).into_owned(),
        });
        let at = world.failures.iter().position(|(part, _, _)| path.contains(part.as_str()));
        at.and_then(|at| world.failures.remove(at))
    };
    if let Some((_, status, body)) = ordered {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // The body of an ordered redirect is where it leads.
        let name = if status.is_redirection() { "location" } else { "content-type" };
        let value = if status.is_redirection() { body.clone() } else { "application/json".to_owned() };
        return (status, [(name, value)], body).into_response();
    }
    let response = next.run(Request::from_parts(parts, bytes.into())).await;
    let is_old = lock(&world).flavour == Flavour::OldVaultwarden;
    if is_old { old::dress(&path, response).await } else { response }
}

fn headers(map: &HeaderMap) -> HashMap<String, String> {
    map.iter()
        .map(|(k, v)| (k.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
        .collect()
}

#[allow(clippy::expect_used, reason = "a poisoned lock means a failed test")]
pub(super) fn lock(world: &Shared) -> std::sync::MutexGuard<'_, World> {
    world.lock().expect("no handler panicked")
}

#[expect(clippy::disallowed_methods, reason = "real clients compare the token's end with the real time")]
fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

pub(super) fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT), axum::Json(body)).into_response()
}

/// An error in the server's own shape.
pub(super) fn refuse(flavour: Flavour, status: u16, message: &str) -> Response {
    answer(
        status,
        match flavour {
            Flavour::Vaultwarden | Flavour::OldVaultwarden => json!({
                "error": "", "error_description": "", "errorModel": {"message": message, "object": "error"},
                "exceptionMessage": null, "message": message, "object": "error",
                "validationErrors": {"": [message]},
            }),
            Flavour::Official => json!({
                "error": "invalid_grant", "error_description": "invalid_username_or_password",
                "ErrorModel": {"Message": message, "Object": "error"},
            }),
        },
    )
}

async fn config(State(world): State<Shared>) -> Response {
    let world = lock(&world);
    let name = (!world.flavour.is_official())
        .then(|| json!({"name": "Vaultwarden", "url": "https://github.com/dani-garcia/vaultwarden"}));
    answer(
        200,
        json!({
            "version": "2026.6.0", "gitHash": "46d71107", "server": name, "featureStates": {},
            "environment": {
                "vault": world.base, "api": format!("{}/api", world.base), "sso": "", "cloudRegion": null,
                "identity": format!("{}/identity", world.base),
                "notifications": format!("{}/notifications", world.base),
            },
            "push": {"pushTechnology": 0, "vapidPublicKey": null},
            "settings": {"disableUserRegistration": false}, "object": "config",
        }),
    )
}

async fn prelogin(State(world): State<Shared>, body: Bytes) -> Response {
    let world = lock(&world);
    if let Some(answered) = &world.prelogin {
        return answer(200, answered.clone());
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let found = asked["email"].as_str().and_then(|e| world.by_email(e));
    let (kind, iterations, memory, lanes) =
        found.map_or((0, 600_000, Value::Null, Value::Null), Account::kdf_numbers);
    let salt = match world.flavour {
        Flavour::Vaultwarden | Flavour::OldVaultwarden => Value::Null,
        Flavour::Official => asked["email"].clone(),
    };
    answer(
        200,
        json!({
            "kdfSettings": {"kdfType": kind, "iterations": iterations, "memory": memory, "parallelism": lanes},
            "salt": salt, "kdf": kind, "kdfIterations": iterations, "kdfMemory": memory, "kdfParallelism": lanes,
        }),
    )
}

async fn token(State(world): State<Shared>, body: Bytes) -> Response {
    let mut world = lock(&world);
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let flavour = world.flavour;
    match field("grant_type") {
        "password" => {
            let Some(account) = world.by_email(field("username")).cloned() else {
                return wrong_password(flavour);
            };
            if account.password_hash != field("password") {
                return wrong_password(flavour);
            }
            if let Some(organization) = &account.sso_required {
                return answer(
                    400,
                    json!({"error": "invalid_grant", "SsoOrganizationIdentifier": organization,
                           "ErrorModel": {"Message": "SSO authentication is required."}}),
                );
            }
            if let Some(refused) = second_factor(&mut world, &account, &form) {
                return refused;
            }
            if let Some(otp) = account.new_device_otp.as_deref().filter(|_| account.two_factor.is_empty()) {
                match field("newDeviceOtp") {
                    "" => return refuse(flavour, 400, "new device verification required"),
                    given if given != otp => {
                        return refuse(flavour, 400, "Invalid New Device OTP. Try again.");
                    }
                    _ => {}
                }
            }
            grant(&mut world, &account, true, field("twoFactorRemember") == "1")
        }
        "client_credentials" => {
            let id = field("client_id");
            let Some(account) = world.accounts.iter().find(|a| a.api_key.0 == id).cloned() else {
                return bad_key(flavour, "Invalid client_id");
            };
            if account.api_key.1 != field("client_secret") {
                return bad_key(flavour, "Incorrect client_secret");
            }
            grant(&mut world, &account, false, false)
        }
        "refresh_token" => {
            let Some(id) = world.refresh.get(field("refresh_token")).cloned().filter(|_| !world.revoked)
            else {
                return answer(400, json!({"error": "invalid_grant"}));
            };
            let access = world.issue(&id, now());
            let refresh = world.issue_refresh(&id);
            answer(
                200,
                json!({"access_token": access, "expires_in": world.token_life, "token_type": "Bearer",
                       "refresh_token": refresh, "scope": "api offline_access"}),
            )
        }
        "authorization_code" => {
            let Some((id, challenge)) = world.sso_codes.remove(field("code")) else {
                return answer(400, json!({"error": "invalid_grant"}));
            };
            if challenge != challenge_of(field("code_verifier")) {
                return answer(400, json!({"error": "invalid_grant"}));
            }
            let Some(account) = world.accounts.iter().find(|a| a.spec.id == id).cloned() else {
                return answer(400, json!({"error": "invalid_grant"}));
            };
            if let Some(refused) = second_factor(&mut world, &account, &form) {
                // The code can be asked for again, with the factor.
                let code = (account.spec.id.clone(), challenge);
                world.sso_codes.insert(field("code").to_owned(), code);
                return refused;
            }
            grant(&mut world, &account, true, field("twoFactorRemember") == "1")
        }
        _ => answer(400, json!({"error": "unsupported_grant_type"})),
    }
}

/// RFC 7636, section 4.2, method S256.
fn challenge_of(verifier: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier.as_bytes()))
}

fn wrong_password(flavour: Flavour) -> Response {
    refuse(
        flavour,
        400,
        match flavour {
            Flavour::Vaultwarden | Flavour::OldVaultwarden => "Username or password is incorrect. Try again",
            Flavour::Official => "Username or password is incorrect. Try again.",
        },
    )
}

fn bad_key(flavour: Flavour, message: &str) -> Response {
    match flavour {
        Flavour::Vaultwarden | Flavour::OldVaultwarden => refuse(flavour, 400, message),
        Flavour::Official => answer(400, json!({"error": "invalid_client"})),
    }
}

fn grant(world: &mut World, account: &Account, with_refresh: bool, remember: bool) -> Response {
    world.revoked = false;
    let access = world.issue(&account.spec.id, now());
    let refresh = with_refresh.then(|| world.issue_refresh(&account.spec.id));
    let (kind, iterations, memory, lanes) = account.kdf_numbers();
    let unlock = json!({
        "Kdf": {"KdfType": kind, "Iterations": iterations, "Memory": memory, "Parallelism": lanes},
        "MasterKeyEncryptedUserKey": account.wrapped_key, "MasterKeyWrappedUserKey": account.wrapped_key,
        "Salt": account.salt(),
    });
    let connector = account
        .key_connector
        .as_ref()
        .map(|_| json!({"KeyConnectorUrl": format!("{}/connector", world.base)}));
    let mut body = json!({
        "access_token": access, "expires_in": world.token_life, "token_type": "Bearer", "scope": "api offline_access",
        "Key": account.wrapped_key, "PrivateKey": account.wrapped_private,
        "Kdf": kind, "KdfIterations": iterations, "KdfMemory": memory, "KdfParallelism": lanes,
        "ResetMasterPassword": false, "ForcePasswordReset": account.force_reset,
        "MasterPasswordPolicy": account.policy,
        "AccountKeys": account.keys(),
        "UserDecryptionOptions": {
            "HasMasterPassword": account.key_connector.is_none(),
            "MasterPasswordUnlock": if account.key_connector.is_none() { unlock } else { Value::Null },
            "KeyConnectorOption": connector, "Object": "userDecryptionOptions",
        },
    });
    if let Some(options) = &account.decryption {
        body["UserDecryptionOptions"] = options.clone();
    }
    if let Some(refresh) = refresh {
        body["refresh_token"] = Value::String(refresh);
    }
    if remember {
        body["TwoFactorToken"] = Value::String(format!("remember-{}", account.spec.id));
    }
    answer(200, body)
}

/// The account of a bearer token.
#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn authed<'w>(world: &'w mut World, headers: &HeaderMap) -> Result<&'w mut Account, Response> {
    let token =
        headers.get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let id = token.and_then(|t| world.tokens.get(t)).cloned().filter(|_| !world.revoked);
    id.and_then(|id| world.by_id(&id)).ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())
}

async fn revision(State(world): State<Shared>, headers: HeaderMap) -> Response {
    match authed(&mut lock(&world), &headers) {
        Ok(account) => axum::Json(account.revision).into_response(),
        Err(refused) => refused,
    }
}

async fn profile(State(world): State<Shared>, headers: HeaderMap) -> Response {
    match authed(&mut lock(&world), &headers) {
        Ok(account) => answer(200, profile_of(account)),
        Err(refused) => refused,
    }
}

async fn sync(State(world): State<Shared>, headers: HeaderMap) -> Response {
    let mut world = lock(&world);
    let account = match authed(&mut world, &headers) {
        Ok(account) => account,
        Err(refused) => return refused,
    };
    let (kind, iterations, memory, lanes) = account.kdf_numbers();
    let decryption = json!({
        "masterPasswordUnlock": {
            "kdf": {"kdfType": kind, "iterations": iterations, "memory": memory, "parallelism": lanes},
            "masterKeyEncryptedUserKey": account.wrapped_key, "masterKeyWrappedUserKey": account.wrapped_key,
            "salt": account.salt(),
        },
        "userKeyId": account.key_id,
    });
    answer(
        200,
        json!({
            "profile": profile_of(account), "folders": account.contents.folders,
            "collections": account.contents.collections, "ciphers": account.contents.ciphers,
            "policies": account.policies, "policiesNew": account.policies_new, "sends": [], "domains": null, "object": "sync",
            "userDecryption": if account.key_connector.is_none() { decryption } else { json!({"userKeyId": account.key_id}) },
        }),
    )
}

fn profile_of(account: &Account) -> Value {
    json!({
        "id": account.spec.id, "name": "Test", "email": account.salt(), "emailVerified": true,
        "premium": account.premium, "premiumFromOrganization": false, "culture": "en-US",
        "twoFactorEnabled": !account.two_factor.is_empty(), "key": account.wrapped_key,
        "privateKey": account.wrapped_private,
        "accountKeys": account.keys(),
        "securityStamp": "stamp", "organizations": [organization(account)], "providers": [],
        "providerOrganizations": [], "forcePasswordReset": account.force_reset, "avatarColor": null,
        "usesKeyConnector": account.key_connector.is_some(), "creationDate": "2026-11-21T23:09:19.857Z",
        "verifyDevices": true, "object": "profile",
    })
}

const ORGANIZATION_HAS: &[&str] = &[
    "enabled",
    "usePolicies",
    "useTotp",
    "use2fa",
    "useApi",
    "useCustomPermissions",
    "usePasswordManager",
    "selfHost",
    "usersGetPremium",
    "hasPublicAndPrivateKeys",
    "limitCollectionDeletion",
    "allowAdminAccessToAllCollectionItems",
];
const ORGANIZATION_HAS_NOT: &[&str] = &[
    "useGroups",
    "useDirectory",
    "useEvents",
    "useSso",
    "useKeyConnector",
    "useScim",
    "useResetPassword",
    "useSecretsManager",
    "useActivateAutofillPolicy",
    "ssoBound",
    "resetPasswordEnrolled",
    "familySponsorshipAvailable",
    "keyConnectorEnabled",
    "accessSecretsManager",
    "limitCollectionCreation",
    "limitItemDeletion",
    "userIsClaimedByOrganization",
];
const PERMISSIONS: &[&str] = &[
    "accessEventLogs",
    "accessImportExport",
    "accessReports",
    "createNewCollections",
    "editAnyCollection",
    "deleteAnyCollection",
    "manageGroups",
    "managePolicies",
    "manageSso",
    "manageUsers",
    "manageResetPassword",
    "manageScim",
];

fn organization(account: &Account) -> Value {
    let flags = |names: &[&str], value: bool| names.iter().map(|n| ((*n).to_owned(), json!(value))).collect();
    let permissions: serde_json::Map<String, Value> = flags(PERMISSIONS, false);
    let mut entry: serde_json::Map<String, Value> = flags(ORGANIZATION_HAS, true);
    entry.extend::<serde_json::Map<String, Value>>(flags(ORGANIZATION_HAS_NOT, false));
    let rest = json!({
        "id": account.contents.org_id, "name": "Test Org", "key": account.contents.org_key, "status": 2, "type": account.role,
        "seats": 20, "maxCollections": null, "maxStorageGb": 32767, "identifier": null, "permissions": permissions,
        "userId": account.spec.id, "organizationUserId": "93f6a50c-7c2c-46c1-b31c-2dd7c39a8bf6",
        "providerId": null, "providerName": null, "providerType": null, "familySponsorshipFriendlyName": null,
        "productTierType": 3, "keyConnectorUrl": null, "object": "profileOrganization",
    });
    if let Value::Object(rest) = rest {
        entry.extend(rest);
    }
    Value::Object(entry)
}

async fn key_id(State(world): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut world = lock(&world);
    if !world.flavour.is_official() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    match authed(&mut world, &headers) {
        Ok(account) => {
            account.key_id = asked["userKeyId"].as_str().map(str::to_owned);
            StatusCode::OK.into_response()
        }
        Err(refused) => refused,
    }
}

async fn connector(State(world): State<Shared>, headers: HeaderMap) -> Response {
    match authed(&mut lock(&world), &headers) {
        Ok(account) => answer(200, json!({"key": account.key_connector})),
        Err(refused) => refused,
    }
}
