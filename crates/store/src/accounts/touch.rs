//! `last_used`, written late and many at a time.

use durward_broker::accounts::{AccountAudit, AccountEvent, ClientAddress, DeviceId, TOUCH_INTERVAL, UserId};
use time::OffsetDateTime;

use super::sweep::micros;
use crate::Error;
use crate::database::Link;

/// A use of a key that is to be noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Which device.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// When.
    pub at: OffsetDateTime,
    /// From where, for the audit record of an imported key.
    pub address: Option<ClientAddress>,
    /// Whether the key is an imported one, whose use is audited.
    pub legacy: bool,
}

/// Writes them. The interval is looked at once more, so that several servers together note, and audit, a use once
/// in that time.
pub(super) async fn run(link: &mut Link<'_>, touches: &mut [Touch]) -> Result<Vec<AccountAudit>, Error> {
    // Every server locks rows in the same order.
    touches.sort_by(|a, b| a.device.cmp(&b.device));
    let mut audit = Vec::new();
    for touch in touches.iter() {
        let sql = "UPDATE device_keys SET last_used = $2 WHERE device_id = $1 AND (last_used IS NULL OR last_used <= $3)";
        let due = micros(touch.at.saturating_sub(TOUCH_INTERVAL))?;
        let values = vec![touch.device.as_str().to_owned().into(), micros(touch.at)?.into(), due.into()];
        let noted = link.execute(sql, values).await? > 0;
        if noted && touch.legacy {
            audit.push(AccountAudit {
                event: AccountEvent::LegacyUse,
                user: Some(touch.user.clone()),
                device: Some(touch.device.clone()),
                address: touch.address,
                refused: None,
            });
        }
    }
    Ok(audit)
}
