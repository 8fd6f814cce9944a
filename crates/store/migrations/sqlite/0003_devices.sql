-- Devices of one owner: peers, what waits for them, what came, what all agree on.
-- Ids are 16 bytes, keys 32, times microseconds since 1970-01-01 UTC, flags 0 or 1.

CREATE TABLE peer (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name          TEXT    NOT NULL,
    x25519        BLOB    NOT NULL UNIQUE CHECK (length(x25519) = 32),
    ed25519       BLOB    NOT NULL UNIQUE CHECK (length(ed25519) = 32),
    stream        BLOB    NOT NULL CHECK (length(stream) = 16),
    paired_at     INTEGER NOT NULL,
    address       TEXT,
    introduced_by BLOB    CHECK (length(introduced_by) = 16),
    last_seen     INTEGER,
    issued        INTEGER NOT NULL,
    taken         INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
    peer_id BLOB    NOT NULL CHECK (length(peer_id) = 16),
    seq     INTEGER NOT NULL,
    id      BLOB    NOT NULL CHECK (length(id) = 16),
    kind    TEXT    NOT NULL,
    sealed  BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (peer_id, seq)
) STRICT;

CREATE TABLE inbox (
    from_id      BLOB    NOT NULL CHECK (length(from_id) = 16),
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    from_name    TEXT    NOT NULL,
    file_name    TEXT    NOT NULL,
    sealed       BLOB    NOT NULL,
    from_x25519  BLOB    NOT NULL CHECK (length(from_x25519) = 32),
    from_ed25519 BLOB    NOT NULL CHECK (length(from_ed25519) = 32),
    bytes        INTEGER NOT NULL,
    received_at  INTEGER NOT NULL,
    PRIMARY KEY (from_id, id)
) STRICT;

CREATE TABLE introduced (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name     TEXT    NOT NULL,
    x25519   BLOB    NOT NULL CHECK (length(x25519) = 32),
    ed25519  BLOB    NOT NULL CHECK (length(ed25519) = 32),
    by_id    BLOB    NOT NULL CHECK (length(by_id) = 16),
    at       INTEGER NOT NULL
) STRICT;

-- The stamp is JSON: clock, author, event.
CREATE TABLE device_register (
    device_id BLOB NOT NULL CHECK (length(device_id) = 16),
    field     TEXT NOT NULL CHECK (field IN ('name', 'removed')),
    value     TEXT NOT NULL,
    stamp     TEXT NOT NULL,
    PRIMARY KEY (device_id, field)
) STRICT;
