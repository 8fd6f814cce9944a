//! Carries actions out: one call of the control plane each, and what came of it as an event.

use durward_broker::approval::{Decision, Notice};
use durward_protocol::{ErrorCode, Scope, SecretString};
use durward_server::control::api;
use serde_json::{Value, json};

use super::event::{Action, Event, OnDevice, RequestKey};
use super::known::Known;
use super::{devices, words};
use crate::command::device::device_id;
use crate::control::{Control, Failure, SecretBody, ServerEvent};

/// Records in one reading of the audit log.
pub(crate) const AUDIT_PAGE: u64 = 1_000;

/// What a server-sent event means.
pub(crate) fn heard(event: Option<ServerEvent>) -> Event {
    match event {
        None => Event::Gone,
        Some(event) if event.name == "notice" => match serde_json::from_str::<Notice>(&event.data) {
            Ok(notice) => Event::Notice(Box::new(notice)),
            Err(_) => Event::Resync, // a newer approver says something new: look at the lists
        },
        Some(_) => Event::Resync,
    }
}

/// Does one thing and says what came of it.
pub(crate) async fn perform(control: &Control, action: Action) -> Option<Event> {
    Some(match action {
        Action::Show(_) | Action::Bell | Action::Suspend | Action::Quit => return None,
        Action::Refresh => match refresh(control).await {
            Ok(known) => Event::Lists(Box::new(known)),
            Err(Failure::NotRunning) => Event::Gone,
            Err(failure) => Event::NoLists(text_of(failure)),
        },
        Action::ListSessions => {
            asked(control.get::<api::Sessions>("/sessions").await, |list| Event::Sessions(list.sessions))
        }
        Action::ListGrants => {
            asked(control.get::<api::Grants>("/grants").await, |list| Event::Grants(list.grants))
        }
        Action::ReadAudit { after } => match audit(control, after).await {
            Ok(page) => Event::Audit(page.records),
            Err(failure) => Event::NoAudit(text_of(failure)),
        },
        Action::Suggest => match control.get::<api::Suggestions>("/policy/suggestions").await {
            Ok(list) => Event::Suggestions(list.suggestions),
            Err(_) => return None, // an offer, nothing that was asked for
        },
        Action::AcceptSuggestion { id } => {
            let path = format!("/policy/suggestions/{id}/accept");
            let written = control.post::<api::SuggestionAccepted>(&path, SecretBody::default()).await;
            asked(written, |accepted| Event::Done(words::accepted(&accepted)))
        }
        Action::EnterCode { number, code, scope, apply_rules, runs_on } => {
            let body = SecretBody::default()
                .set("number", number)
                .set("apply_rules", apply_rules)
                .secret("code", &code);
            enter_code(control, body, scope, runs_on).await
        }
        Action::RefusePairing { number } => {
            done(control, "/pairings/refuse", json!({ "number": number }), "Pairing refused.").await
        }
        Action::Decide { request, decision, password, keep_unlocked_seconds } => {
            decide(control, request, decision, password, keep_unlocked_seconds).await
        }
        Action::Revoke { session_id } => {
            let said = "Session revoked: its key is wiped, and what it had asked is denied.";
            done(control, "/session/revoke", json!({ "session_id": session_id }), said).await
        }
        Action::EndGrant { grant_id } => {
            done(control, "/grants/end", json!({ "grant_id": grant_id }), "Grant ended.").await
        }
        Action::SwitchAgent { agent_id, pause } => {
            let (path, said) = if pause {
                ("/agents/pause", format!("{agent_id} is paused: its requests are refused."))
            } else {
                ("/agents/resume", format!("{agent_id} may ask again."))
            };
            done(control, path, json!({ "agent_id": agent_id }), &said).await
        }
        Action::SwitchPairing { open } => {
            let (path, said) = if open {
                ("/pairings/open", "Pairing is open.")
            } else {
                ("/pairings/close", "Pairing is closed: no new agent can pair.")
            };
            done(control, path, json!({}), said).await
        }
        Action::Unlock { password, seconds } => {
            let body = SecretBody::default().set("seconds", seconds).secret("password", &password);
            match control.post::<Value>("/vault/unlock", body).await {
                Ok(_) => Event::Unlocked { wrong: false },
                Err(Failure::Refused(refusal)) if refusal.is(ErrorCode::WrongPassword) => {
                    Event::Unlocked { wrong: true }
                }
                Err(failure) => failed(failure),
            }
        }
        Action::Device(action) => devices::perform(control, action).await,
        Action::ReadPolicy => {
            let read = control.post::<api::PolicyStatus>("/policy/reload", SecretBody::default()).await;
            asked(read, |policy| {
                Event::Done(match policy.rules.len() {
                    1 => "The policy was read anew: 1 rule.".into(),
                    rules => format!("The policy was read anew: {rules} rules."),
                })
            })
        }
        Action::Lock => done(control, "/vault/lock", json!({}), "Vault locked.").await,
    })
}

/// What an answer means, or why there is none.
fn asked<T>(answer: Result<T, Failure>, make: impl FnOnce(T) -> Event) -> Event {
    match answer {
        Ok(answer) => make(answer),
        Err(failure) => failed(failure),
    }
}

async fn enter_code(
    control: &Control,
    mut body: SecretBody,
    scope: Option<Scope>,
    runs_on: Option<OnDevice>,
) -> Event {
    if let Some(scope) = scope {
        body = body.set("scope", scope.as_str());
    }
    if let Some(on) = runs_on {
        match device_id(control, &on.device).await {
            Ok(id) => body = body.set("runs_on", id).set("device_may_answer", on.may_answer),
            Err(error) => return Event::Failed(error.message),
        }
    }
    let paired = control.post::<api::Paired>("/pairings/enter", body).await;
    asked(paired, |paired| Event::Paired(Box::new(paired.session)))
}

async fn decide(
    control: &Control,
    request: RequestKey,
    decision: Decision,
    password: Option<SecretString>,
    keep_unlocked_seconds: Option<u64>,
) -> Event {
    let mut body = SecretBody::new(&decision).set("session_id", request.0).set("request_id", request.1);
    if let Some(password) = &password {
        body = body.secret("password", password);
        if let Some(seconds) = keep_unlocked_seconds {
            body = body.set("keep_unlocked_seconds", seconds);
        }
    }
    match control.post::<api::Decided>("/requests/decide", body).await {
        Ok(decided) => Event::Decided { request, decided },
        Err(Failure::Refused(refusal)) if refusal.is(ErrorCode::VaultLocked) => {
            Event::NeedPassword { request, decision, wrong: false }
        }
        Err(Failure::Refused(refusal)) if refusal.is(ErrorCode::WrongPassword) => {
            Event::NeedPassword { request, decision, wrong: true }
        }
        Err(Failure::Refused(refusal)) if refusal.is(ErrorCode::SeveralItems) => {
            Event::Choose { request, decision, choices: refusal.choices, password }
        }
        Err(Failure::NotRunning) => Event::Gone,
        Err(failure) => Event::Undecided { request, message: text_of(failure) },
    }
}

async fn done(control: &Control, path: &str, body: Value, said: &str) -> Event {
    match control.post::<Value>(path, SecretBody::new(body)).await {
        Ok(_) => Event::Done(said.to_owned()),
        Err(failure) => failed(failure),
    }
}

async fn audit(control: &Control, after: Option<u64>) -> Result<api::AuditPage, Failure> {
    let after = after.map(|after| format!("after={after}&")).unwrap_or_default();
    control.get(&format!("/audit?{after}limit={AUDIT_PAGE}")).await
}

async fn refresh(control: &Control) -> Result<Known, Failure> {
    let mut known = Known::default();
    let (pairings, requests, sessions, grants, paused, vault, ()) = tokio::join!(
        control.get::<api::Pairings>("/pairings"),
        control.get::<api::Requests>("/requests"),
        control.get::<api::Sessions>("/sessions"),
        control.get::<api::Grants>("/grants"),
        control.get::<api::PausedAgents>("/agents/paused"),
        control.get::<api::VaultStatus>("/vault"),
        devices::read(control, &mut known),
    );
    let pairings = pairings?;
    Ok(Known {
        pairing_open: Some(pairings.open),
        pairings: pairings.pairings,
        requests: requests?.requests,
        sessions: sessions?.sessions,
        grants: grants?.grants,
        paused: paused?.agents,
        vault: Some(vault?),
        ..known
    })
}

pub(super) fn failed(failure: Failure) -> Event {
    match failure {
        Failure::NotRunning => Event::Gone,
        failure => Event::Failed(text_of(failure)),
    }
}

pub(super) fn text_of(failure: Failure) -> String {
    failure.to_string()
}
