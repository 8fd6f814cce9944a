//! Decisions that the owner makes on another device: one request at a time, no grants, no rules, never a password.
//!
//! An approval that meets a locked vault waits, on disk too, for the next unlock here. It counts only while its device
//! may decide: one that is removed or loses its mark leaves the request to the owner again.

use std::collections::HashSet;
use std::fmt;

use durward_protocol::device::{
    AskedRequest, AskedState, DecisionWord, DeviceDecision, DeviceId, DeviceName,
};
use durward_protocol::{ErrorCode, Field, RequestId, SessionId, Timestamp, Verdict};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::audit::{Actor, AuditEvent};
use super::decision::By;
use super::event::{Answer, ItemChoice, Notice, Waiter};
use super::machine::{Approval, Step};
use super::records::Write;
use super::request::{Request, RequestKey, RequestState, Stage};
use crate::Now;

/// What the settings of sessions whose agent runs on another device begin with.
const RUNS_ON_SETTING: &str = "session_device/";

/// What the settings of requests that a device approved while the vault was locked begin with.
const APPROVED_SETTING: &str = "device_approval/";

/// On which other device an agent runs, as the owner said with the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RunsOn {
    /// The device.
    pub device_id: DeviceId,
    /// Its name then.
    pub name: DeviceName,
    /// Whether its answers count for this agent all the same.
    #[serde(default)]
    pub may_answer: bool,
}

impl fmt::Display for RunsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may = if self.may_answer { ", whose answers count" } else { "" };
        write!(f, "runs on {} {}{may}", self.name, self.device_id)
    }
}

/// An approval by a device, as far as the release needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ByDevice {
    pub(super) device_id: DeviceId,
    pub(super) name: DeviceName,
    pub(super) fields: Vec<Field>,
    /// On the wall clock: the device was told that one.
    pub(super) expires: Timestamp,
}

impl fmt::Display for ByDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.device_id)
    }
}

/// A request as other devices may be asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedOf {
    /// The request.
    pub asked: AskedRequest,
    /// The device that is not asked, because the agent runs on it.
    pub except: Option<DeviceId>,
}

/// Where a session's agent runs, as it is stored.
pub(super) fn device_setting(id: SessionId, runs_on: Option<&RunsOn>) -> Write {
    let value = runs_on.and_then(|runs_on| serde_json::to_string(runs_on).ok());
    Write::Setting { key: format!("{RUNS_ON_SETTING}{id}"), value }
}

/// An approval that waits for the vault, as it is stored.
pub(super) fn approved_setting(key: RequestKey, device: Option<&ByDevice>) -> Write {
    let value = device.and_then(|device| serde_json::to_string(device).ok());
    Write::Setting { key: format!("{APPROVED_SETTING}{}/{}", key.0, key.1), value }
}

impl Approval {
    pub(super) fn decide_by_device<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        key: RequestKey,
        name: DeviceName,
        decision: DeviceDecision,
    ) {
        if let Err(code) = self.may_decide(step.now, key, &decision) {
            let mut entry = self.request_entry(step.now, AuditEvent::Refused, Actor::Owner, key);
            entry.outcome = Some(code.as_str().to_owned());
            entry.detail = Some(format!("a decision on {name} {}", decision.device_id));
            self.record_refusal(step, entry);
            return step.refuse(waiter, code);
        }
        let mut entry = self
            .request_entry(step.now, AuditEvent::DeviceDecision, Actor::Owner, key)
            .outcome(decision.decision.as_str())
            .detail(format!("on {name} {}", decision.device_id));
        entry.fields.clone_from(&decision.fields);
        match decision.decision {
            DecisionWord::Deny => {
                self.decided_on(key, Some(name));
                let (verdict, actor) = (Verdict::Denied, Actor::Owner);
                let writes = vec![Write::Audit(entry)];
                self.finish(step, key, verdict, None, actor, Some(waiter), Vec::new(), writes);
            }
            DecisionWord::Approve => {
                step.save(vec![Write::Audit(entry)]);
                let DeviceDecision { device_id, fields, expires, .. } = decision;
                let device = ByDevice { device_id, name, fields, expires };
                self.read_for_device(step, key, Some(waiter), device);
            }
        }
    }

    /// Everything about a decision but its signature.
    fn may_decide(&self, now: Now, key: RequestKey, decision: &DeviceDecision) -> Result<(), ErrorCode> {
        if !self.approvers.contains(&decision.device_id) {
            return Err(ErrorCode::DeviceNotFound);
        }
        if decision.approver_id != *self.approver.id() {
            return Err(ErrorCode::BadSignature);
        }
        let session = self.live_session(now, key.0).ok_or(ErrorCode::RequestNotFound)?;
        let request = self.requests.get(&key).ok_or(ErrorCode::RequestNotFound)?;
        if request.digest != decision.digest {
            return Err(ErrorCode::RequestIdConflict);
        }
        if session.runs_on.as_ref().is_some_and(|on| on.device_id == decision.device_id && !on.may_answer) {
            return Err(ErrorCode::OutOfScope);
        }
        if decision.expires.get() <= now.wall {
            return Err(ErrorCode::StaleTimestamp);
        }
        let open = request.open().ok_or(ErrorCode::RequestNotPending)?;
        let waits = matches!(open.stage, Stage::Waiting { .. }) && open.approved.is_none();
        if !waits || open.details.expires_at <= now.steady {
            return Err(ErrorCode::RequestNotPending);
        }
        if decision.decision == DecisionWord::Approve {
            let asked = |field: &Field| open.details.fields.contains(field);
            if decision.fields.is_empty() || !decision.fields.iter().all(asked) {
                return Err(ErrorCode::InvalidRequest);
            }
            if session.uses_left() == Some(0) {
                return Err(ErrorCode::OutOfScope);
            }
        }
        Ok(())
    }

    fn read_for_device<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        waiter: Option<Waiter>,
        device: ByDevice,
    ) {
        let Some(open) = self.requests.get(&key).and_then(Request::open) else { return };
        let (item_id, fields) = (open.details.item_id.clone(), device.fields.clone());
        self.read_vault(step, key, By::Device { waiter, device }, item_id, fields, Vec::new());
    }

    /// The last look before a release: the device may still decide, and its decision is not too old.
    pub(super) fn still_counts(&self, now: Now, device: &ByDevice) -> Result<(), ErrorCode> {
        if !self.approvers.contains(&device.device_id) {
            return Err(ErrorCode::DeviceNotFound);
        }
        if device.expires.get() <= now.wall {
            return Err(ErrorCode::StaleTimestamp);
        }
        Ok(())
    }

    /// The vault gave nothing. Locked, the approval waits for its next unlock; else the owner is needed here.
    pub(super) fn device_failed<R>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        waiter: Option<Waiter>,
        device: &ByDevice,
        answer: Answer,
        choices: Vec<ItemChoice>,
    ) {
        let locked = matches!(answer, Answer::Error { code: ErrorCode::VaultLocked, .. });
        if let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) {
            open.stage = Stage::Waiting { granted: false, choices };
        }
        self.set_approved(step, key, locked.then(|| device.clone()));
        self.let_go(step, key);
        if let Some(waiter) = waiter {
            step.reply(waiter, answer);
        }
    }

    /// A release that a device had approved was not made; the request waits.
    pub(super) fn device_refused<R>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        waiter: Option<Waiter>,
        code: ErrorCode,
    ) {
        if let Some(waiter) = waiter {
            step.refuse(waiter, code);
        }
        self.let_go(step, key);
        if let Some(request) = self.request_view(key) {
            step.notify(Notice::RequestWaiting { request });
        }
    }

    /// Keeps an approval until the next unlock, or drops it, and shows the owner how the request stands now.
    fn set_approved<R>(&mut self, step: &mut Step<'_, R>, key: RequestKey, device: Option<ByDevice>) {
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        if open.approved != device {
            step.save(vec![approved_setting(key, device.as_ref())]);
            open.approved = device;
        }
        if let Some(request) = self.request_view(key) {
            step.notify(Notice::RequestWaiting { request });
        }
    }

    /// The vault is open: what devices approved while it was locked is released, oldest first.
    pub(super) fn vault_opened<R: CryptoRng>(&mut self, step: &mut Step<'_, R>) {
        for (key, device) in self.approved_and_waiting() {
            match self.still_counts(step.now, &device) {
                Ok(()) if self.live_session(step.now, key.0).is_some_and(|s| s.uses_left() != Some(0)) => {
                    self.read_for_device(step, key, None, device);
                }
                _ => self.set_approved(step, key, None),
            }
        }
    }

    fn approved_and_waiting(&self) -> Vec<(RequestKey, ByDevice)> {
        let approved = |(key, request): (&RequestKey, &Request)| {
            let open = request.open()?;
            let waits = matches!(open.stage, Stage::Waiting { .. });
            let device = open.approved.clone().filter(|_| waits)?;
            Some((open.details.created_at, *key, device))
        };
        let mut all: Vec<(OffsetDateTime, RequestKey, ByDevice)> =
            self.requests.iter().filter_map(approved).collect();
        all.sort_by_key(|(at, key, _)| (*at, *key));
        all.into_iter().map(|(_, key, device)| (key, device)).collect()
    }

    /// Which devices may decide. What another one approved and is not being written down waits for the owner.
    pub(super) fn set_approvers<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, devices: Vec<DeviceId>) {
        self.approvers = devices.into_iter().collect::<HashSet<_>>();
        for (key, device) in self.approved_and_waiting() {
            if !self.approvers.contains(&device.device_id) {
                self.set_approved(step, key, None);
            }
        }
        let reading = |request: &Request| match &request.open()?.stage {
            Stage::Reading { by: By::Device { device, .. }, .. } => Some(device.device_id),
            _ => None,
        };
        let gone: Vec<RequestKey> = self
            .requests
            .iter()
            .filter(|(_, request)| reading(request).is_some_and(|id| !self.approvers.contains(&id)))
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            let waiter = self.leave_reading(key).and_then(|(by, _)| by.owner());
            self.set_approved(step, key, None);
            self.device_refused(step, key, waiter, ErrorCode::DeviceNotFound);
        }
    }

    /// Notes on which device a request was decided; `None`: here.
    pub(super) fn decided_on(&mut self, key: RequestKey, name: Option<DeviceName>) {
        if let Some(request) = self.requests.get_mut(&key) {
            request.decided_on = name;
        }
    }

    /// What other devices may be asked, oldest first; look-alikes are one.
    pub fn asked(&self, now: Now) -> Vec<AskedOf> {
        let waiting = self.prompts(now).into_iter().filter(|view| !view.deciding);
        waiting
            .map(|view| {
                let left = view.expires_at - now.steady;
                let runs_on = self.sessions.get(&view.session_id).and_then(|s| s.runs_on.as_ref());
                AskedOf {
                    except: runs_on.filter(|on| !on.may_answer).map(|on| on.device_id),
                    asked: AskedRequest {
                        approver_id: self.approver.id().clone(),
                        session_id: view.session_id,
                        request_id: view.request_id,
                        agent_id: view.agent_id,
                        agent_name: view.agent_name,
                        domain: view.domain,
                        reason: view.reason,
                        fields: view.fields,
                        item_id: view.item_id,
                        expires: Timestamp::new(now.wall + left),
                    },
                }
            })
            .collect()
    }

    /// How a request ended that a device was asked about, and on which device; `None`: it has not.
    pub fn asked_outcome(
        &self,
        session_id: SessionId,
        request_id: RequestId,
    ) -> Option<(AskedState, Option<DeviceName>)> {
        let Some(request) = self.requests.get(&(session_id, request_id)) else {
            return Some((AskedState::Withdrawn, None));
        };
        let verdict = match &request.state {
            RequestState::Open(_) => return None,
            RequestState::Answered { verdict, .. } | RequestState::Over { verdict, .. } => *verdict,
        };
        let state = match verdict {
            Verdict::Approved => AskedState::Approved,
            Verdict::Denied => AskedState::Denied,
            Verdict::NotFound => AskedState::NotFound,
            Verdict::Expired => AskedState::Expired,
            Verdict::Cancelled => AskedState::Cancelled,
        };
        Some((state, request.decided_on.clone()))
    }

    /// Where agents run. What is left of sessions that are gone is removed.
    pub(super) fn restore_runs_on<R>(&mut self, step: &mut Step<'_, R>, settings: &[(String, String)]) {
        for (key, value) in settings {
            let Some(id) = key.strip_prefix(RUNS_ON_SETTING) else { continue };
            let session = self.sessions.iter_mut().find(|(session_id, _)| session_id.to_string() == id);
            match session {
                Some((_, session)) => session.runs_on = serde_json::from_str(value).ok(),
                None => step.save(vec![Write::Setting { key: key.clone(), value: None }]),
            }
        }
    }

    /// Approvals that wait for the vault. What is left of requests that are over is removed.
    pub(super) fn restore_approved<R>(&mut self, step: &mut Step<'_, R>, settings: &[(String, String)]) {
        for (key, value) in settings {
            let Some(name) = key.strip_prefix(APPROVED_SETTING) else { continue };
            let named = |key: &RequestKey| format!("{}/{}", key.0, key.1) == name;
            let request = self.requests.iter_mut().find(|(key, _)| named(key));
            let open = request.and_then(|(_, request)| request.open_mut());
            let device = serde_json::from_str(value).ok();
            match (open, device) {
                (Some(open), Some(device)) => open.approved = Some(device),
                _ => step.save(vec![Write::Setting { key: key.clone(), value: None }]),
            }
        }
    }
}
