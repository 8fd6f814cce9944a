//! Devices: peers, what waits for them, what came, what all agree on. Rules are in `durward_broker::devices`.

mod encode;
mod load;

pub(crate) use encode::encode;
pub(crate) use load::load;

use crate::statement::Table;

pub(crate) static PEER: Table = Table {
    order: 6,
    name: "peer",
    columns: &[
        "id",
        "name",
        "x25519",
        "ed25519",
        "stream",
        "paired_at",
        "address",
        "introduced_by",
        "last_seen",
        "issued",
        "taken",
        "approver",
    ],
    keys: 1,
};

pub(crate) static OUTBOX: Table =
    Table { order: 7, name: "outbox", columns: &["peer_id", "seq", "id", "kind", "sealed", "at"], keys: 2 };

pub(crate) static INBOX: Table = Table {
    order: 8,
    name: "inbox",
    columns: &[
        "from_id",
        "id",
        "from_name",
        "file_name",
        "sealed",
        "from_x25519",
        "from_ed25519",
        "bytes",
        "received_at",
    ],
    keys: 2,
};

pub(crate) static INTRODUCED: Table = Table {
    order: 9,
    name: "introduced",
    columns: &["id", "name", "x25519", "ed25519", "by_id", "at"],
    keys: 1,
};

pub(crate) static REGISTER: Table =
    Table { order: 10, name: "device_register", columns: &["device_id", "field", "value", "stamp"], keys: 2 };

pub(crate) static ASKED: Table = Table {
    order: 11,
    name: "device_asked",
    columns: &["peer_id", "session_id", "request_id", "told_at"],
    keys: 3,
};

pub(crate) static PEER_REQUEST: Table = Table {
    order: 12,
    name: "peer_request",
    columns: &[
        "from_id",
        "session_id",
        "request_id",
        "sealed",
        "from_x25519",
        "from_ed25519",
        "received_at",
        "expires_at",
        "answer",
        "state",
        "by_name",
    ],
    keys: 3,
};
