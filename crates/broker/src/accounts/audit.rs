//! What goes into the audit log, and what the owner must hear of.

use std::fmt::Write as _;

use time::OffsetDateTime;

use super::device::{ClientAddress, DeviceId, UserId};
use super::error::ApiError;
use super::ladder::{LadderAlert, LadderScope};
use crate::approval::{Actor, AuditEntry, AuditEvent};

/// A line for the audit log, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountAudit {
    /// What happened.
    pub event: AccountEvent,
    /// To whom; for names without an account `None`, so that the log does not collect what strangers type.
    pub user: Option<UserId>,
    /// Which device.
    pub device: Option<DeviceId>,
    /// From where; `None` for the owner at the machine.
    pub address: Option<ClientAddress>,
    /// The refusal, where it is one.
    pub refused: Option<ApiError>,
}

impl AccountAudit {
    /// The entry for the chained log: outcome `ok` or the refusal's code, detail
    /// `auth.exchange user=alan device=dev_… address=192.0.2.1`. None of the values can contain a blank.
    pub fn to_entry(&self, at: OffsetDateTime) -> AuditEntry {
        let mut detail = self.event.as_str().to_owned();
        // Writing to a string cannot fail.
        if let Some(user) = &self.user {
            let _ = write!(detail, " user={user}");
        }
        if let Some(device) = &self.device {
            let _ = write!(detail, " device={device}");
        }
        if let Some(address) = &self.address {
            let _ = write!(detail, " address={address}");
        }
        let mut actor = if self.address.is_some() { Actor::Agent } else { Actor::Owner };
        let mut outcome = self.refused.map_or("ok", |error| error.row().1);
        if let AccountEvent::MoreRefused { count } = self.event {
            let _ = write!(detail, " count={count}");
            (actor, outcome) = (Actor::System, "summary");
        }
        AuditEntry::new(at, AuditEvent::Other, actor).outcome(outcome).detail(detail)
    }
}

/// What an [`AccountAudit`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountEvent {
    /// A key was issued after a plain exchange, or the exchange was refused.
    Exchange,
    /// The same through OPAQUE.
    OpaqueLogin,
    /// A device was revoked, by its owner or by the next key of the same fingerprint.
    Revoke,
    /// Every device was revoked.
    RevokeAll,
    /// A device was renamed.
    Rename,
    /// A key was rotated.
    Rotate,
    /// The phrase was changed, or that was refused.
    PassphraseChange,
    /// The phrase was replaced with a recovery code, or that was refused.
    Recover,
    /// An imported key was used; once a minute at most.
    LegacyUse,
    /// An account was made.
    AccountAdd,
    /// An account was removed.
    AccountRemove,
    /// An account's counters were cleared.
    AccountUnlock,
    /// New recovery codes were made.
    RecoveryCodes,
    /// A shared key was imported.
    ImportKey,
    /// Refusals without proof that were counted and not written down, within about a minute; the address is the last
    /// one's.
    MoreRefused {
        /// How many.
        count: u64,
    },
    /// One address failed ten times.
    AlertPersistent,
    /// Thirty failures in an hour, from anywhere.
    AlertDistributed,
}

impl AccountEvent {
    /// The name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "auth.exchange",
            Self::OpaqueLogin => "auth.opaque",
            Self::Revoke => "auth.revoke",
            Self::RevokeAll => "auth.revoke_all",
            Self::Rename => "auth.rename",
            Self::Rotate => "auth.rotate",
            Self::PassphraseChange => "auth.passphrase_change",
            Self::Recover => "auth.recover",
            Self::LegacyUse => "auth.legacy",
            Self::AccountAdd => "account.add",
            Self::AccountRemove => "account.remove",
            Self::AccountUnlock => "account.unlock",
            Self::RecoveryCodes => "account.recovery_codes",
            Self::ImportKey => "account.import_key",
            Self::MoreRefused { .. } => "auth.more_refused",
            Self::AlertPersistent => "alert.persistent_guessing",
            Self::AlertDistributed => "alert.distributed_guessing",
        }
    }
}

/// Something the owner must hear of: an audit record and a run of the hook command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Why.
    pub kind: LadderAlert,
    /// Which secret was guessed.
    pub scope: LadderScope,
    /// Whose account.
    pub user: UserId,
    /// Where the last guess came from.
    pub address: ClientAddress,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn entries_name_who_what_where_and_how_it_ended() {
        let line = AccountAudit {
            event: AccountEvent::Exchange,
            user: Some("alan".parse().unwrap()),
            device: None,
            address: Some(ClientAddress::new("192.0.2.1".parse().unwrap())),
            refused: Some(ApiError::LockedOut),
        };
        let entry = line.to_entry(datetime!(2026-01-19 07:10 UTC));
        assert_eq!(entry.outcome.as_deref(), Some("locked_out"));
        assert_eq!(entry.detail.as_deref(), Some("auth.exchange user=alan address=192.0.2.1"));
        assert_eq!(entry.actor, Actor::Agent);
    }
}
