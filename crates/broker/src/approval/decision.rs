//! Decisions and releases: the one path on which a credential leaves.
//!
//! Order, and why: the owner decides, *then* the vault is read (nothing is fetched before a human
//! answered); the release is committed with its audit record and every count it uses up, *then* the
//! answer is sealed and sent. If the commit fails, the credential is dropped where it is.

use std::sync::Arc;

use durward_protocol::device::DeviceName;
use durward_protocol::{Credential, ErrorCode, Field, GrantId, Verdict};
use rand_core::CryptoRng;

use super::audit::Actor;
use super::by_device::ByDevice;
use super::commit::InFlight;
use super::event::{Answer, Decision, Effect, GrantSpec, ItemChoice, Notice, Ticket, VaultFailure, Waiter};
use super::machine::{Approval, Step};
use super::records::{StoredRequestState, Write};
use super::request::{Request, RequestKey, Stage};

/// Longest reason an owner may give for a denial, in bytes.
pub const MAX_DENIAL_BYTES: usize = 512;

/// Who let a credential go.
#[derive(Clone, Debug)]
pub(super) enum By {
    /// The owner, just now.
    Owner { waiter: Waiter, grant: Option<GrantSpec>, fields: Vec<Field> },
    /// The owner, on another device. Nobody waits when the vault was locked then.
    Device { waiter: Option<Waiter>, device: ByDevice },
    /// A standing grant.
    Grant(GrantId),
    /// A rule of the policy.
    Policy(ByRule),
}

/// Which rule of the policy.
#[derive(Clone, Debug)]
pub(super) struct ByRule {
    /// Its number and the policy's version, for the audit log.
    pub(super) detail: String,
    /// Its name among the counts, when it allows only so many an hour.
    pub(super) counted: Option<Arc<str>>,
    /// Whether the request waited, and is on disk, when the rule came.
    pub(super) waited: bool,
}

impl By {
    pub(super) fn owner(&self) -> Option<Waiter> {
        match self {
            Self::Owner { waiter, .. } => Some(*waiter),
            Self::Device { waiter, .. } => *waiter,
            Self::Grant(_) | Self::Policy(_) => None,
        }
    }

    pub(super) fn device(&self) -> Option<DeviceName> {
        match self {
            Self::Device { device, .. } => Some(device.name.clone()),
            Self::Owner { .. } | Self::Grant(_) | Self::Policy(_) => None,
        }
    }

    pub(super) fn actor(&self) -> Actor {
        match self {
            Self::Owner { .. } | Self::Device { .. } => Actor::Owner,
            Self::Grant(_) => Actor::Grant,
            Self::Policy(_) => Actor::Policy,
        }
    }
}

impl Approval {
    pub(super) fn decide<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        key: RequestKey,
        decision: Decision,
    ) {
        let expired = self.live_session(step.now, key.0).is_none();
        let Some(open) = self.requests.get(&key).and_then(Request::open) else {
            let known = self.requests.contains_key(&key) && !expired;
            return step.refuse(
                waiter,
                if known { ErrorCode::RequestNotPending } else { ErrorCode::RequestNotFound },
            );
        };
        if expired || open.details.expires_at <= step.now.steady {
            return step.refuse(waiter, ErrorCode::RequestNotFound);
        }
        if !matches!(open.stage, Stage::Waiting { .. }) {
            return step.refuse(waiter, ErrorCode::RequestNotPending);
        }
        match decision {
            Decision::Deny { reason } => {
                self.decided_on(key, None);
                let reason = reason.filter(|text| !text.trim().is_empty()).map(|text| shorten(&text));
                for other in self.alike(key) {
                    let reason = reason.clone();
                    self.finish(
                        step,
                        other,
                        Verdict::Denied,
                        reason,
                        Actor::Owner,
                        None,
                        Vec::new(),
                        Vec::new(),
                    );
                }
                self.finish(
                    step,
                    key,
                    Verdict::Denied,
                    reason,
                    Actor::Owner,
                    Some(waiter),
                    Vec::new(),
                    Vec::new(),
                );
            }
            Decision::Approve { grant, item_id, fields } => {
                self.approve(step, waiter, key, grant, item_id, fields);
            }
        }
    }

    fn approve<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        key: RequestKey,
        grant: Option<GrantSpec>,
        item_id: Option<String>,
        fields: Option<Vec<Field>>,
    ) {
        let out_of_uses = self.sessions.get(&key.0).is_none_or(|session| session.uses_left() == Some(0));
        if out_of_uses {
            return step.refuse(waiter, ErrorCode::OutOfScope);
        }
        let Some(open) = self.requests.get(&key).and_then(Request::open) else { return };
        let details = &open.details;
        let mut fields = fields.unwrap_or_else(|| details.fields.clone());
        fields.sort();
        fields.dedup();
        let within = !fields.is_empty() && fields.iter().all(|field| details.fields.contains(field));
        if !within || grant.is_some_and(|spec| !spec.is_valid()) {
            return step.refuse(waiter, ErrorCode::InvalidRequest);
        }
        if grant.is_some() && self.grants_full(key.0) {
            let detail = Some("this session has as many grants as it may have; end one first".to_owned());
            let code = ErrorCode::RateLimited;
            return step.reply(waiter, Answer::Error { code, approver_time: None, detail });
        }
        let item_id = item_id.or_else(|| details.item_id.clone());
        let by = By::Owner { waiter, grant, fields: fields.clone() };
        self.read_vault(step, key, by, item_id, fields, Vec::new());
    }

    pub(super) fn read_under_grant<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        grant_id: GrantId,
        unsaved: Vec<Write>,
    ) {
        self.reserve_grant(grant_id);
        let item_id = self.grants.get(&grant_id).and_then(|grant| grant.record.item_id.clone());
        let Some(open) = self.requests.get(&key).and_then(Request::open) else { return };
        let fields = open.details.fields.clone();
        self.read_vault(step, key, By::Grant(grant_id), item_id, fields, unsaved);
    }

    pub(super) fn read_vault<R>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        by: By,
        item_id: Option<String>,
        fields: Vec<Field>,
        unsaved: Vec<Write>,
    ) {
        if let Some(session) = self.sessions.get_mut(&key.0) {
            session.reserved += 1;
        }
        let reading = self.ticket(InFlight::Read(key));
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        open.stage = Stage::Reading { reading, by, unsaved };
        let domain = open.details.domain.clone();
        step.effects.push(Effect::ReadVault {
            reading,
            session_id: key.0,
            request_id: key.1,
            domain,
            item_id,
            fields,
        });
    }

    /// Ends a reading under way, if there is one: what it had reserved is given back. The request waits,
    /// and what becomes of it is the caller's to say.
    pub(super) fn leave_reading(&mut self, key: RequestKey) -> Option<(By, Vec<Write>)> {
        let open = self.requests.get_mut(&key).and_then(Request::open_mut)?;
        if !matches!(open.stage, Stage::Reading { .. }) {
            return None;
        }
        let Stage::Reading { by, unsaved, .. } = std::mem::replace(&mut open.stage, Stage::waiting()) else {
            return None;
        };
        if let Some(session) = self.sessions.get_mut(&key.0) {
            session.reserved = session.reserved.saturating_sub(1);
        }
        if let By::Grant(id) = &by {
            self.unreserve_grant(*id);
        }
        Some((by, unsaved))
    }

    pub(super) fn vault_read<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        reading: Ticket,
        result: Result<Credential, VaultFailure>,
    ) {
        let Some(InFlight::Read(key)) = self.in_flight.remove(&reading) else { return };
        let open = self.requests.get(&key).and_then(Request::open);
        if !open.is_some_and(|open| open.stage.is_reading(reading)) {
            return; // cancelled, expired or revoked meanwhile: the credential is dropped, and wiped, here
        }
        let Some((by, unsaved)) = self.leave_reading(key) else { return };
        match result {
            Ok(credential) => self.release(step, key, &by, unsaved, credential),
            Err(failure) => self.reading_failed(step, key, &by, unsaved, failure),
        }
    }

    pub(super) fn reading_failed<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        by: &By,
        unsaved: Vec<Write>,
        failure: VaultFailure,
    ) {
        if failure == VaultFailure::NotFound {
            let actor = by.actor();
            return self.finish(step, key, Verdict::NotFound, None, actor, by.owner(), Vec::new(), unsaved);
        }
        let granted = matches!(by, By::Grant(_)) && failure == VaultFailure::Locked;
        let (answer, offered) = match failure {
            VaultFailure::Several(choices) => (Answer::Choose(choices.clone()), choices),
            VaultFailure::Locked => (Answer::error(ErrorCode::VaultLocked), Vec::new()),
            VaultFailure::Missing => (Answer::error(ErrorCode::VaultNotFound), Vec::new()),
            VaultFailure::NotFound => (Answer::error(ErrorCode::ItemNotFound), Vec::new()),
            VaultFailure::Unavailable(text) => {
                let code = ErrorCode::VaultUnavailable;
                (Answer::Error { code, approver_time: None, detail: Some(text) }, Vec::new())
            }
        };
        match by {
            By::Owner { waiter, .. } => {
                if let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) {
                    open.stage = Stage::Waiting { granted: false, choices: offered };
                }
                step.reply(*waiter, answer);
            }
            By::Device { waiter, device } => self.device_failed(step, key, *waiter, device, answer, offered),
            By::Policy(ByRule { waited: true, .. }) => self.wait_on(step, key, offered),
            By::Grant(_) | By::Policy(_) => self.ask_after_all(step, key, unsaved, granted, offered),
        }
    }

    /// A new rule would have released what waits, and could not: it goes on waiting.
    pub(super) fn wait_on<R>(&mut self, step: &mut Step<'_, R>, key: RequestKey, choices: Vec<ItemChoice>) {
        if let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) {
            open.stage = Stage::Waiting { granted: false, choices };
        }
        self.let_go(step, key);
        if let Some(request) = self.request_view(key) {
            step.notify(Notice::RequestWaiting { request });
        }
    }

    /// A grant or a rule covers the request, and still the owner is needed: now it is recorded like any other.
    pub(super) fn ask_after_all<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        unsaved: Vec<Write>,
        granted: bool,
        choices: Vec<ItemChoice>,
    ) {
        // It asks the owner after all, and that costs what asking costs.
        let Some(session) = self.sessions.get_mut(&key.0) else { return };
        if session.asks_too_often(step.now.steady, &self.settings) {
            return self.drop_request(step, key, ErrorCode::RateLimited);
        }
        session.asks(step.now.steady, &self.settings);
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        open.stage = Stage::Creating { granted, choices };
        let row = self.request_record(key, StoredRequestState::Pending).map(Write::Request);
        self.commit(step, InFlight::Create(key), row.into_iter().chain(unsaved).collect());
    }
}

fn shorten(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_DENIAL_BYTES)].to_owned()
}
