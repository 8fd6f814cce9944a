//! No search: only addresses the owner gave are used.

use durward_protocol::device::api::MdnsStatus;
use tokio::sync::watch;

use super::{Announcement, Discovery, Found};

/// Finds nothing, says nothing.
pub(in super::super) struct Addresses {
    why: String,
    failed: bool,
    changes: watch::Sender<u64>,
}

impl Addresses {
    /// Because the owner wants it so, or nobody could come anyway.
    pub(in super::super) fn only(why: impl Into<String>) -> Self {
        Self { why: why.into(), failed: false, changes: watch::channel(0).0 }
    }

    /// Because the search does not work here.
    pub(in super::super) fn after_failure(why: impl Into<String>) -> Self {
        Self { failed: true, ..Self::only(why) }
    }
}

impl Discovery for Addresses {
    fn announce(&self, _what: &Announcement) {}

    fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn found(&self) -> Vec<Found> {
        Vec::new()
    }

    fn instance(&self) -> &'static str {
        ""
    }

    fn status(&self) -> (MdnsStatus, Option<String>) {
        (if self.failed { MdnsStatus::Failed } else { MdnsStatus::Off }, Some(self.why.clone()))
    }

    fn stop(&self) {}
}
