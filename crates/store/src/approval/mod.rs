//! Sessions, requests, grants, nonces, settings and the audit log.

mod encode;
mod load;
pub(crate) mod log;

pub(crate) use encode::{count, encode, micros, optional_text, text};
pub(crate) use load::{array, count as uncount, damaged, keep, load, moment, select};

use crate::statement::Table;

pub(crate) static SESSION: Table = Table {
    order: 0,
    name: "session",
    columns: &[
        "id",
        "agent_id",
        "agent_name",
        "scope",
        "sealed_keys",
        "confirmation_digest",
        "created_at",
        "last_used_at",
        "expires_at",
        "uses",
        "ended_at",
        "ended_why",
    ],
    keys: 1,
};

/// Position of `last_used_at` in [`SESSION`].
pub(crate) const SESSION_LAST_USED: usize = 7;

pub(crate) static REQUEST: Table = Table {
    order: 1,
    name: "request",
    columns: &[
        "session_id",
        "id",
        "digest",
        "domain",
        "reason",
        "fields",
        "item_id",
        "created_at",
        "expires_at",
        "state",
        "released_at",
        "verdict",
        "verdict_reason",
        "decided_by",
    ],
    keys: 2,
};

pub(crate) static GRANT: Table = Table {
    order: 2,
    name: "grant_",
    columns: &[
        "id",
        "session_id",
        "domain",
        "fields",
        "item_id",
        "created_at",
        "expires_at",
        "max_uses",
        "uses",
        "ended_at",
        "ended_why",
    ],
    keys: 1,
};

pub(crate) static NONCE: Table =
    Table { order: 3, name: "nonce", columns: &["session_id", "nonce", "expires_at"], keys: 0 };

pub(crate) static SETTING: Table = Table { order: 4, name: "setting", columns: &["key", "value"], keys: 1 };

pub(crate) static AUDIT: Table = Table { order: 5, name: "audit", columns: &["n", "body", "hash"], keys: 0 };
