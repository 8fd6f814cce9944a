//! What the full screen knows: the lists, the log, what is selected and what is being typed.

mod audit;
mod devices;
mod dialog;
mod draft;
mod text;

use std::collections::HashSet;

use durward_broker::approval::{GrantView, PairingView, PausedAgent, RequestView, SessionView};
use time::{Duration, OffsetDateTime};

pub(crate) use audit::{AuditLine, AuditLog, Before};
pub(crate) use devices::{DeviceRow, DevicesPage, ShownCode};
pub(crate) use dialog::{Confirm, Dialog, UNLOCK_CHOICES};
pub(crate) use draft::{Draft, PairingDraft, RequestDraft, Subject};
pub(crate) use text::Text;

use super::view::Look;
use crate::approver::event::{RequestKey, key_of};
use crate::approver::known::Known;

/// A decision counts only for what has been on the screen for so long: a key that was meant for the
/// question before must not answer this one.
pub(crate) const SETTLED_AFTER: Duration = Duration::milliseconds(500);

/// Everything on, and behind, the screen.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) options: Settings,
    pub(crate) now: OffsetDateTime,
    pub(crate) known: Known,
    /// Whether the lists were read at all.
    pub(crate) loaded: bool,
    pub(crate) audit: AuditLog,
    pub(crate) tab: Tab,
    /// On a narrow screen: the list instead of the one large question.
    pub(crate) on_list: bool,
    pub(crate) draft: Draft,
    /// Where the selected one stands in the queue; what takes its place is selected when it goes.
    pub(crate) place: usize,
    pub(crate) sessions_at: usize,
    pub(crate) grants_at: usize,
    pub(crate) devices: DevicesPage,
    /// Which record, counted from the newest.
    pub(crate) audit_at: usize,
    pub(crate) dialog: Option<Dialog>,
    /// What happened last; gone with the next key.
    pub(crate) message: Option<String>,
    /// When that was said.
    pub(crate) said_at: OffsetDateTime,
    /// What happened while nobody looked; gone with the next key.
    pub(crate) away: Option<String>,
    /// Rules that were offered: once is enough.
    pub(crate) offered: HashSet<String>,
    /// The owner asked for one, and the list is on its way.
    pub(crate) wants_offer: bool,
    /// Decisions on their way.
    pub(crate) deciding: Vec<RequestKey>,
    /// Which pairing's code is being checked with the agent.
    pub(crate) checking: Option<String>,
    pub(crate) refreshing: bool,
    pub(crate) stale: bool,
    pub(crate) rang_at: Option<OffsetDateTime>,
    /// Since when the selected question has been on the screen.
    pub(crate) shown: Option<(Subject, OffsetDateTime)>,
    /// Why the screen was left, for the line that stays behind.
    pub(crate) farewell: Option<&'static str>,
    /// Left by Ctrl-C.
    pub(crate) interrupted: bool,
}

/// What does not change while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) look: Look,
    /// Where agents reach the approver.
    pub(crate) listen: Option<String>,
    pub(crate) keep_unlocked_seconds: Option<u64>,
    pub(crate) bell: bool,
    pub(crate) owns_server: bool,
}

/// Which page is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tab {
    #[default]
    Waiting,
    Sessions,
    Grants,
    Devices,
    Log,
}

impl Tab {
    pub(crate) const ALL: [Self; 5] = [Self::Waiting, Self::Sessions, Self::Grants, Self::Devices, Self::Log];

    pub(crate) fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or_default();
        Self::ALL.get((at + by) % Self::ALL.len()).copied().unwrap_or_default()
    }
}

/// One line of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting<'a> {
    Pairing(&'a PairingView),
    Request(&'a RequestView),
}

/// One line of the sessions' page.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SessionRow<'a> {
    Live(&'a SessionView),
    /// A paused agent without a session.
    Paused(&'a PausedAgent),
}

impl Waiting<'_> {
    pub(crate) fn subject(self) -> Subject {
        match self {
            Self::Pairing(pairing) => Subject::Pairing(pairing.pairing_id),
            Self::Request(request) => Subject::Request(key_of(request)),
        }
    }
}

impl State {
    pub(crate) fn new(options: Settings, now: OffsetDateTime) -> Self {
        Self {
            options,
            now,
            known: Known::default(),
            loaded: false,
            audit: AuditLog::default(),
            tab: Tab::Waiting,
            on_list: false,
            draft: Draft::Nothing,
            place: 0,
            sessions_at: 0,
            grants_at: 0,
            devices: DevicesPage::default(),
            audit_at: 0,
            dialog: None,
            message: None,
            said_at: now,
            away: None,
            offered: HashSet::new(),
            wants_offer: false,
            deciding: Vec::new(),
            checking: None,
            refreshing: false,
            stale: false,
            rang_at: None,
            shown: None,
            farewell: None,
            interrupted: false,
        }
    }

    /// What waits for the owner: pairings first, then requests, oldest first.
    pub(crate) fn queue(&self) -> Vec<Waiting<'_>> {
        let pairings = self.known.waiting_pairings().map(Waiting::Pairing);
        let requests = self.known.waiting_requests().filter(|r| !self.deciding.contains(&key_of(r)));
        pairings.chain(requests.map(Waiting::Request)).collect()
    }

    /// The question that is shown large.
    pub(crate) fn selected(&self) -> Option<Waiting<'_>> {
        match self.draft.subject()? {
            Subject::Pairing(id) => {
                self.known.waiting_pairings().find(|p| p.pairing_id == id).map(Waiting::Pairing)
            }
            Subject::Request(key) => {
                self.known.waiting_requests().find(|r| key_of(r) == key).map(Waiting::Request)
            }
        }
    }

    pub(crate) fn session_rows(&self) -> Vec<SessionRow<'_>> {
        let live = self.known.sessions.iter().map(SessionRow::Live);
        let without =
            self.known.paused.iter().filter(|paused| {
                !self.known.sessions.iter().any(|session| session.agent_id == paused.agent_id)
            });
        live.chain(without.map(SessionRow::Paused)).collect()
    }

    pub(crate) fn selected_session(&self) -> Option<SessionRow<'_>> {
        self.session_rows().get(self.sessions_at).copied()
    }

    pub(crate) fn selected_grant(&self) -> Option<&GrantView> {
        self.known.grants.get(self.grants_at)
    }

    /// Selects another question; the answer begun for the one before is dropped.
    pub(crate) fn select(&mut self, place: usize) {
        let queue = self.queue();
        let place = place.min(queue.len().saturating_sub(1));
        let draft = match queue.get(place) {
            Some(Waiting::Pairing(pairing)) => Draft::pairing(pairing),
            Some(Waiting::Request(request)) => Draft::request(request),
            None => Draft::Nothing,
        };
        self.place = place;
        if draft.subject() != self.draft.subject() {
            self.draft = draft;
        }
    }

    /// Selects by key. What the owner went to was looked for, and can be answered at once.
    pub(crate) fn go_to(&mut self, place: usize) {
        self.select(place);
        self.shown = self.draft.subject().map(|subject| (subject, self.now - SETTLED_AFTER));
    }

    /// Notes since when the selected question has been on the screen. What changes behind a box or on
    /// another page is not on it yet.
    pub(crate) fn note_shown(&mut self) {
        let subject = self.draft.subject();
        if self.shown.map(|(shown, _)| shown) != subject {
            let seen = self.dialog.is_none() && self.tab == Tab::Waiting;
            self.shown = subject.filter(|_| seen).map(|subject| (subject, self.now));
        }
        let asks = self.known.asking_device().map(|peer| peer.device_id);
        if self.devices.shown.map(|(shown, _)| shown) != asks {
            let seen = self.dialog.is_none() && self.tab == Tab::Devices;
            self.devices.shown = asks.filter(|_| seen).map(|id| (id, self.now));
        }
    }

    /// Whether the question of this page has been on the screen long enough to be answered.
    pub(crate) fn settled(&self) -> bool {
        let since = match self.tab {
            Tab::Devices => self.devices.shown.map(|(_, since)| since),
            _ => self.shown.map(|(_, since)| since),
        };
        since.is_some_and(|since| self.now - since >= SETTLED_AFTER)
    }
}
