//! `/device/*` of the agent plane: what other devices call.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use durward_broker::approval::{Actor, AuditEntry, AuditEvent, Write};
use durward_broker::devices::{Exchanging, GUESSES_SETTING, HelloState, Taken};
use durward_protocol::device::wire::{
    Delivered, Delivery, DeviceCall, DeviceCallAnswer, DeviceCancel, DeviceCancelled, DeviceExchange,
    DeviceExchanged, DeviceHello, DeviceVerdict, OpenPairing, PairingOpened,
};
use durward_protocol::device::{sign_answer, verify_call};
use durward_protocol::{ErrorCode, from_json_object};

use super::Plane;
use crate::http::{ApiError, Strict, Wait};
use crate::keys::os_rng;

/// How often a hello that is held is looked at, well within the time after which its sender counts as gone.
const STILL_THERE: std::time::Duration = std::time::Duration::from_secs(5);

/// The path that calls between peers are signed for.
pub(super) const DELIVER: &str = "/device/deliver";

/// `POST /device/pair/open`
pub(super) async fn open(
    State(Plane(service)): State<Plane>,
    Strict(body): Strict<OpenPairing>,
) -> Result<Json<PairingOpened>, ApiError> {
    let now = service.now();
    Ok(Json(service.desk().await.desk.open(now, body.tag.as_ref())?))
}

/// `POST /device/pair/exchange`: the one guess, counted on disk before it is looked at.
pub(super) async fn exchange(
    State(Plane(service)): State<Plane>,
    Strict(body): Strict<DeviceExchange>,
) -> Result<Json<DeviceExchanged>, ApiError> {
    let now = service.now();
    let mut state = service.desk().await;
    let count = match state.desk.exchange(now, &body)? {
        Exchanging::Repeat(answer) => return Ok(Json(answer)),
        Exchanging::Guess { count } => count,
    };
    if let Err(code) = service.save(vec![guesses(count)]).await {
        state.desk.uncount();
        return Err(code.into());
    }
    let (this, keys) = (state.devices.this().clone(), Arc::clone(&state.keys));
    let guessed = state.desk.guess(now, &body, &this, keys.as_ref(), &mut os_rng());
    service.announce(&state);
    service.tell();
    match guessed {
        Ok((answer, count)) => {
            // Should this not be written, one guess too many is counted: the safe side.
            let _ = service.save(vec![guesses(count)]).await;
            Ok(Json(answer))
        }
        Err(code) => {
            tracing::warn!("a wrong code was typed for a device pairing; the code is used up");
            let entry = AuditEntry::new(now.wall, AuditEvent::DevicePairing, Actor::System);
            let _ = service.save(vec![Write::Audit(entry.outcome("wrong_code"))]).await;
            Err(code.into())
        }
    }
}

fn guesses(count: String) -> Write {
    let value = (!count.is_empty()).then_some(count);
    Write::Setting { key: GUESSES_SETTING.into(), value }
}

/// `POST /device/pair/hello`: held until the owner here has answered.
pub(super) async fn hello(
    State(Plane(service)): State<Plane>,
    Wait(wait): Wait,
    Strict(body): Strict<DeviceHello>,
) -> Result<Response, ApiError> {
    let Ok(_place) = service.hellos.try_acquire() else { return Err(ErrorCode::RateLimited.into()) };
    let until = tokio::time::Instant::now() + wait;
    let mut changes = service.changes();
    loop {
        let answer = {
            let mut state = service.desk().await;
            let before = state.desk.view(service.now()).state;
            let state = &mut *state;
            let answer = state.desk.hello(service.now(), &body, &state.devices);
            if state.desk.view(service.now()).state != before {
                service.tell();
            }
            answer?
        };
        if let HelloState::Answered(envelope) = answer {
            return Ok(Json(DeviceVerdict { envelope: Some(envelope) }).into_response());
        }
        // Looked at again and again, so that the desk knows that the other device is still there.
        let look = until.min(tokio::time::Instant::now() + STILL_THERE);
        let again = service.another(&mut changes, look).await || tokio::time::Instant::now() < until;
        if !again || service.is_stopping() {
            return Ok((StatusCode::ACCEPTED, Json(DeviceVerdict { envelope: None })).into_response());
        }
    }
}

/// `POST /device/pair/cancel`: the joiner gives it up, and the question here ends.
pub(super) async fn cancel(
    State(Plane(service)): State<Plane>,
    Strict(body): Strict<DeviceCancel>,
) -> Result<Json<DeviceCancelled>, ApiError> {
    let now = service.now();
    let mut state = service.desk().await;
    state.desk.cancelled_there(now, &body)?;
    service.announce(&state);
    service.tell();
    let entry = AuditEntry::new(now.wall, AuditEvent::DevicePairing, Actor::System);
    let _ = service.save(vec![Write::Audit(entry.outcome("cancelled_there"))]).await; // nothing was given away
    Ok(Json(DeviceCancelled {}))
}

/// `POST /device/deliver`: messages of a peer, signed by it. Answered once they are on disk.
pub(super) async fn deliver(
    State(Plane(service)): State<Plane>,
    Strict(call): Strict<DeviceCall>,
) -> Result<Json<DeviceCallAnswer>, ApiError> {
    // Who is it, before anything that takes work: no file is read for a stranger.
    let keys = {
        let state = service.desk().await;
        if call.to != state.devices.this().id {
            return Err(ErrorCode::DeviceNotFound.into());
        }
        // A stranger and a bad signature look alike.
        state.devices.peer(call.from).map_err(|_| ErrorCode::BadSignature)?.keys
    };
    verify_call(DELIVER, &call, &keys)?;
    if !service.contact(call.from, super::contact::Contact::admit) {
        return Err(ErrorCode::RateLimited.into());
    }
    let mut state = service.state().await?;
    // Its file may be gone, or it was paired anew while it was looked at.
    let peer = state.devices.peer(call.from).ok().filter(|peer| peer.keys == keys).cloned();
    let peer = peer.ok_or(ErrorCode::BadSignature)?;
    let delivery: Delivery = from_json_object(call.body.as_bytes())?;
    let now = service.now().wall;
    let received = service.change(&mut state, |devices, keys| {
        let received = devices.receive(peer.id, &delivery, now, keys)?;
        let audit =
            received.taken.iter().filter_map(|taken| about(taken, &peer.name.to_string(), now)).collect();
        Ok((received, audit))
    });
    let received = received.await?;
    service.act_on(&peer, &received.taken);
    // It is there: what waits for it can go now.
    service.contact(peer.id, super::contact::Contact::try_now);
    let unread = |taken: &Taken| match taken {
        Taken::Unreadable(id) => Some(*id),
        _ => None,
    };
    let delivered = Delivered {
        ack: received.ack,
        full: received.refused.is_some(),
        early: received.early,
        unreadable: received.taken.iter().filter_map(unread).collect(),
    };
    let body = serde_json::to_string(&delivered).map_err(|_| ErrorCode::Internal)?;
    Ok(Json(sign_answer(DELIVER, &call, body, state.keys.as_ref())))
}

/// What the audit log says of a message.
fn about(taken: &Taken, from: &str, now: time::OffsetDateTime) -> Option<AuditEntry> {
    let entry = |event| AuditEntry::new(now, event, Actor::System);
    Some(match taken {
        Taken::Drop { id, file_name } => entry(AuditEvent::DeviceMessage)
            .outcome("received")
            .detail(format!("{file_name} ({id}) from {from}")),
        Taken::Renamed { from, to } => {
            entry(AuditEvent::DeviceChanged).outcome("renamed").detail(format!("{from} is now {to}"))
        }
        Taken::Removed(peer) => entry(AuditEvent::DeviceRemoved)
            .outcome("removed_by_peer")
            .detail(format!("{} {}, because {from} said so", peer.name, peer.id)),
        Taken::Introduced { id, name } => entry(AuditEvent::DeviceMessage)
            .outcome("introduced")
            .detail(format!("{name} {id} by {from}: the owner has to confirm")),
        Taken::Unreadable(id) => {
            entry(AuditEvent::Refused).outcome("unreadable_message").detail(format!("{id} from {from}"))
        }
        Taken::Request(asked) => {
            let mut entry = entry(AuditEvent::DeviceMessage).outcome("asked").detail(format!("by {from}"));
            entry.agent_id = Some(asked.agent_id.clone());
            entry.domain = Some(asked.domain.clone());
            entry.request_id = Some(asked.request_id);
            entry
        }
        Taken::DecisionRefused { session_id, request_id, why, .. } => {
            let mut entry = entry(AuditEvent::Refused).outcome(why.as_str());
            entry = entry.detail(format!("a decision of {from}"));
            (entry.session_id, entry.request_id) = (Some(*session_id), Some(*request_id));
            entry
        }
        // What a decision does is written down by who acts on it.
        Taken::Nothing | Taken::News(_) | Taken::Decision { .. } => return None,
    })
}
