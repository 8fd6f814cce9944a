//! `/policy/*`

use axum::Json;
use axum::extract::{Path, State};
use durward_broker::approval::{Actor, Approval, AuditEntry, AuditEvent, Event};
use durward_protocol::{ErrorCode, Timestamp};
use time::Duration;

use super::api::{AcceptSuggestion, PolicyStatus, SuggestionAccepted, Suggestions};
use super::{ControlPlane, pairings};
use crate::http::{ApiError, Body};

/// How long a rule holds that was suggested, unless the owner says otherwise.
const RULE_DAYS: u32 = 7;

/// The longest they may say.
const MAX_RULE_DAYS: u32 = 30;

/// `GET /policy`: the rules in force.
pub(super) async fn status(State(plane): State<ControlPlane>) -> Json<PolicyStatus> {
    let _ = plane.engine.refresh_policy(false);
    Json(describe(&plane))
}

/// `POST /policy/reload`: reads the file now. With a mistake in it the rules stay as they were.
pub(super) async fn reload(State(plane): State<ControlPlane>) -> Result<Json<PolicyStatus>, ApiError> {
    match plane.engine.refresh_policy(true) {
        Ok(()) => Ok(Json(describe(&plane))),
        Err(problem) => Err(ApiError::new(ErrorCode::InvalidRequest).detail(problem)),
    }
}

/// `GET /policy/suggestions`: rules that would have spared the owner questions.
pub(super) async fn suggestions(State(plane): State<ControlPlane>) -> Json<Suggestions> {
    Json(Suggestions { suggestions: plane.engine.read(Approval::suggestions) })
}

/// `POST /policy/suggestions/{id}/accept`: writes the rule into the policy file and reads it.
pub(super) async fn accept(
    State(plane): State<ControlPlane>,
    Path(id): Path<String>,
    Body(body): Body<AcceptSuggestion>,
) -> Result<Json<SuggestionAccepted>, ApiError> {
    let invalid = |text: String| ApiError::new(ErrorCode::InvalidRequest).detail(text);
    let days = body.days.unwrap_or(RULE_DAYS);
    if !(1..=MAX_RULE_DAYS).contains(&days) {
        return Err(invalid(format!("days is 1 to {MAX_RULE_DAYS}")));
    }
    let engine = &plane.engine;
    let (found, now) = engine.read(|approval, now| {
        (approval.suggestions(now).into_iter().find(|suggestion| suggestion.id == id), now.wall)
    });
    let suggestion = found.ok_or_else(|| ApiError::new(ErrorCode::SuggestionNotFound))?;
    let until = Timestamp::new(now.replace_nanosecond(0).unwrap_or(now) + Duration::days(i64::from(days)));
    let rule = suggestion.rule(Timestamp::new(now), until);
    let path = engine.policy.append(&rule).map_err(invalid)?;
    engine.refresh_policy(true).map_err(invalid)?;
    let mut entry = AuditEntry::new(now, AuditEvent::Other, Actor::Owner)
        .outcome("rule_accepted")
        .detail(format!("suggested after {} approvals, until {until}", suggestion.approvals));
    entry.agent_id = Some(suggestion.agent_id.clone());
    entry.domain = Some(suggestion.domain.clone());
    entry.fields.clone_from(&suggestion.fields);
    engine.handle(Event::Record(entry));
    let session_id = suggestion.session_id;
    let counted = |approval: &Approval, now| {
        approval.sessions(now).iter().any(|session| session.session_id == session_id && session.named_rules)
    };
    let mut applies = engine.read(counted);
    if !applies && (suggestion.rules.is_empty() || body.apply_rules) {
        let _ = pairings::done(engine.call(|waiter| Event::ApplyRules { waiter, session_id }).await)?;
        applies = engine.read(counted);
    }
    Ok(Json(SuggestionAccepted { path: path.display().to_string(), rule, applies }))
}

fn describe(plane: &ControlPlane) -> PolicyStatus {
    let watch = &plane.engine.policy;
    plane.engine.read(|approval, _| PolicyStatus {
        path: watch.path().map(|path| path.display().to_string()),
        version: approval.policy().version().to_owned(),
        rules: approval.policy().rules(),
        problem: watch.problem(),
    })
}
