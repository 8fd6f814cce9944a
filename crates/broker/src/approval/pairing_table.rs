//! What is remembered about pairings under way, and about codes that were tried. In memory only.

use std::collections::HashMap;

use durward_protocol::wire::ExchangeResponse;
use durward_protocol::{
    Answered, Code, PairingId, PairingNumber, PairingOffer, PakeMessage, Scope, SecretBytes, SessionId,
    SessionKeys,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::CryptoRng;
use sha2::Sha256;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::by_device::RunsOn;
use super::event::Waiter;

/// All pairings under way, and the codes that were tried.
#[derive(Default)]
pub(super) struct PairingTable {
    pub(super) all: HashMap<PairingId, Pairing>,
    pub(super) by_session: HashMap<SessionId, PairingId>,
    /// HMAC of each typed code under a key that lives in memory only, and when to forget it. Not a plain
    /// hash: a million of those are computed in a second.
    typed: HashMap<[u8; 32], OffsetDateTime>,
    typed_key: Option<SecretBytes<32>>,
}

pub(super) struct Pairing {
    pub(super) offer: PairingOffer,
    pub(super) number: PairingNumber,
    pub(super) expires_at: OffsetDateTime,
    /// What the owner said with the code.
    pub(super) said: Said,
    pub(super) state: State,
}

/// What the owner says with a code, beside the scope.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// Yes to rules that name agents.
    pub(super) apply_rules: bool,
    /// On which other device the agent runs.
    pub(super) runs_on: Option<RunsOn>,
}

pub(super) enum State {
    /// Announced; its exchange was not called yet.
    Offered { until: OffsetDateTime },
    /// An agent holds its exchange open: the owner sees it.
    Waiting { message: PakeMessage, waiters: Vec<Waiter>, grace_until: Option<OffsetDateTime> },
    /// The code was typed and answered; the proof is awaited.
    Answered {
        message: PakeMessage,
        answered: Answered,
        response: ExchangeResponse,
        owner: Waiter,
        until: OffsetDateTime,
    },
    /// The proof was good; the session is being committed.
    Verified {
        message: PakeMessage,
        response: ExchangeResponse,
        verified: Verified,
        owner: Waiter,
        waiters: Vec<Waiter>,
        committing: bool,
        until: OffsetDateTime,
    },
    /// Refused by the owner; remembered so that the agent learns it.
    Refused { until: OffsetDateTime },
}

pub(super) struct Verified {
    pub(super) session_id: SessionId,
    pub(super) scope: Scope,
    pub(super) keys: SessionKeys,
    pub(super) digest: [u8; 32],
    pub(super) sealed_keys: Vec<u8>,
    pub(super) created_at: OffsetDateTime,
}

impl PairingTable {
    pub(super) fn count(&self, matches: impl Fn(&State) -> bool) -> usize {
        self.all.values().filter(|pairing| matches(&pairing.state)).count()
    }

    pub(super) fn forget_oldest_refused(&mut self) {
        let refused = self.all.iter().filter_map(|(id, pairing)| match pairing.state {
            State::Refused { until } => Some((until, *id)),
            _ => None,
        });
        if let Some((_, id)) = refused.min_by_key(|(until, _)| *until) {
            self.remove(id);
        }
    }

    pub(super) fn free_number(&self, rng: &mut impl CryptoRng) -> Option<PairingNumber> {
        let taken: Vec<PairingNumber> = self.all.values().map(|p| p.number).collect();
        let free: Vec<PairingNumber> = (1..=PairingNumber::MAX)
            .filter_map(|n| n.try_into().ok())
            .filter(|n| !taken.contains(n))
            .collect();
        let pick = usize::try_from(rng.next_u32()).unwrap_or(0).checked_rem(free.len())?;
        free.get(pick).copied()
    }

    /// Remembers a code; false when it was tried before.
    pub(super) fn remember_typed(
        &mut self,
        code: &Code,
        until: OffsetDateTime,
        now: OffsetDateTime,
        rng: &mut impl CryptoRng,
    ) -> bool {
        let key = self.typed_key.get_or_insert_with(|| {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            SecretBytes::new(bytes)
        });
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(key.expose_bytes());
        let mut mac = Hmac::<Sha256>::new(&(*block).into());
        mac.update(code.expose_digits().as_bytes());
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        self.forget_typed(now);
        match self.typed.entry(tag) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(until);
                true
            }
        }
    }

    pub(super) fn forget_typed(&mut self, now: OffsetDateTime) {
        self.typed.retain(|_, until| *until > now);
    }

    pub(super) fn remove(&mut self, id: PairingId) -> Option<Pairing> {
        let pairing = self.all.remove(&id)?;
        self.by_session.retain(|_, pairing_id| *pairing_id != id);
        Some(pairing)
    }
}
