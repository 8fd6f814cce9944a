-- Devices of one owner: peers, what waits for them, what came, what all agree on.
-- Ids are 16 bytes, keys 32, times microseconds since 1970-01-01 UTC, flags 0 or 1.

CREATE TABLE peer (
    id            BYTEA   NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    name          TEXT    NOT NULL,
    x25519        BYTEA   NOT NULL UNIQUE CHECK (octet_length(x25519) = 32),
    ed25519       BYTEA   NOT NULL UNIQUE CHECK (octet_length(ed25519) = 32),
    stream        BYTEA   NOT NULL CHECK (octet_length(stream) = 16),
    paired_at     BIGINT NOT NULL,
    address       TEXT,
    introduced_by BYTEA   CHECK (octet_length(introduced_by) = 16),
    last_seen     BIGINT,
    issued        BIGINT NOT NULL,
    taken         BIGINT NOT NULL
);

CREATE TABLE outbox (
    peer_id BYTEA   NOT NULL CHECK (octet_length(peer_id) = 16),
    seq     BIGINT NOT NULL,
    id      BYTEA   NOT NULL CHECK (octet_length(id) = 16),
    kind    TEXT    NOT NULL,
    sealed  BYTEA   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (peer_id, seq)
);

CREATE TABLE inbox (
    from_id      BYTEA   NOT NULL CHECK (octet_length(from_id) = 16),
    id           BYTEA   NOT NULL CHECK (octet_length(id) = 16),
    from_name    TEXT    NOT NULL,
    file_name    TEXT    NOT NULL,
    sealed       BYTEA   NOT NULL,
    from_x25519  BYTEA   NOT NULL CHECK (octet_length(from_x25519) = 32),
    from_ed25519 BYTEA   NOT NULL CHECK (octet_length(from_ed25519) = 32),
    bytes        BIGINT NOT NULL,
    received_at  BIGINT NOT NULL,
    PRIMARY KEY (from_id, id)
);

CREATE TABLE introduced (
    id       BYTEA   NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    name     TEXT    NOT NULL,
    x25519   BYTEA   NOT NULL CHECK (octet_length(x25519) = 32),
    ed25519  BYTEA   NOT NULL CHECK (octet_length(ed25519) = 32),
    by_id    BYTEA   NOT NULL CHECK (octet_length(by_id) = 16),
    at       BIGINT NOT NULL
);

-- The stamp is JSON: clock, author, event.
CREATE TABLE device_register (
    device_id BYTEA NOT NULL CHECK (octet_length(device_id) = 16),
    field     TEXT NOT NULL CHECK (field IN ('name', 'removed')),
    value     TEXT NOT NULL,
    stamp     TEXT NOT NULL,
    PRIMARY KEY (device_id, field)
);
