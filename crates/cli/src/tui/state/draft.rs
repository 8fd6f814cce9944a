//! The answer that is being put together, for what is selected.

use durward_broker::approval::{GrantSpec, PairingView, RequestView};
use durward_protocol::{Field, Limits, PairingId, Scope};

use super::text::Text;
use crate::approver::event::{RequestKey, key_of};

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Pairing(PairingId),
    Request(RequestKey),
}

/// The answer so far.
#[derive(Debug, Default)]
pub(crate) enum Draft {
    #[default]
    Nothing,
    Pairing(PairingDraft),
    Request(RequestDraft),
}

/// The answer to a pairing so far.
#[derive(Debug)]
pub(crate) struct PairingDraft {
    pub(crate) id: PairingId,
    pub(crate) code: Text,
    /// Whether rules that name the agent shall count.
    pub(crate) rules: bool,
    /// Narrower than what was asked for.
    pub(crate) scope: Option<(Limits, Scope)>,
}

/// The answer to a request so far.
#[derive(Debug)]
pub(crate) struct RequestDraft {
    pub(crate) key: RequestKey,
    /// Fields to release, in the order of the request.
    pub(crate) ticked: Vec<(Field, bool)>,
    /// For how long; `None` is once.
    pub(crate) grant: Option<GrantSpec>,
    /// The item, where several match.
    pub(crate) item: Option<String>,
    /// Which line of fields, then items, the keys act on.
    pub(crate) cursor: usize,
    /// How far the reason is scrolled.
    pub(crate) scroll: usize,
}

impl Draft {
    pub(crate) fn pairing(pairing: &PairingView) -> Self {
        Self::Pairing(PairingDraft { id: pairing.pairing_id, code: Text::plain(), rules: false, scope: None })
    }

    pub(crate) fn request(request: &RequestView) -> Self {
        Self::Request(RequestDraft {
            key: key_of(request),
            ticked: request.fields.iter().map(|field| (field.clone(), true)).collect(),
            grant: None,
            item: request.item_id.clone(),
            cursor: 0,
            scroll: 0,
        })
    }

    pub(crate) fn subject(&self) -> Option<Subject> {
        match self {
            Self::Nothing => None,
            Self::Pairing(draft) => Some(Subject::Pairing(draft.id)),
            Self::Request(draft) => Some(Subject::Request(draft.key)),
        }
    }

    /// Whether a code was begun.
    pub(crate) fn begun(&self) -> bool {
        matches!(self, Self::Pairing(draft) if !draft.code.is_empty())
    }
}

impl RequestDraft {
    /// The fields that would be released.
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.ticked.iter().filter(|(_, ticked)| *ticked).map(|(field, _)| field.clone()).collect()
    }

    /// Whether that is all that was asked for.
    pub(crate) fn is_whole(&self) -> bool {
        self.ticked.iter().all(|(_, ticked)| *ticked)
    }
}
