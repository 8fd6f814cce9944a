-- Pairings' sessions, requests, grants, nonces, the audit log, settings.
-- Ids are 16 bytes, times microseconds since 1970-01-01 UTC, lists JSON arrays.

CREATE TABLE session (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    agent_id            TEXT    NOT NULL,
    agent_name          TEXT    NOT NULL,
    scope               TEXT    NOT NULL,
    sealed_keys         BLOB    NOT NULL,
    confirmation_digest BLOB    NOT NULL,
    created_at          INTEGER NOT NULL,
    last_used_at        INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    uses                INTEGER NOT NULL,
    ended_at            INTEGER,
    ended_why           TEXT,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
) STRICT;
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE request (
    session_id     BLOB    NOT NULL CHECK (length(session_id) = 16),
    id             BLOB    NOT NULL CHECK (length(id) = 16),
    digest         BLOB    NOT NULL,
    domain         TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    fields         TEXT    NOT NULL,
    item_id        TEXT,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('pending', 'released', 'ended')),
    released_at    INTEGER,
    verdict        TEXT,
    verdict_reason TEXT,
    PRIMARY KEY (session_id, id),
    CHECK ((state = 'released') = (released_at IS NOT NULL)),
    CHECK ((state = 'ended') = (verdict IS NOT NULL))
) STRICT;
CREATE INDEX request_over ON request (expires_at) WHERE state <> 'pending';

CREATE TABLE grant_ (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    session_id BLOB    NOT NULL CHECK (length(session_id) = 16),
    domain     TEXT    NOT NULL,
    fields     TEXT    NOT NULL,
    item_id    TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    max_uses   INTEGER,
    uses       INTEGER NOT NULL,
    ended_at   INTEGER,
    ended_why  TEXT,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
) STRICT;
CREATE INDEX grant_ended ON grant_ (ended_at) WHERE ended_at IS NOT NULL;

-- No primary key: nonces are only ever added, many a second, in the order in which they expire. Finding a
-- random place for each would cost a page of writing; a nonce that is there twice is remembered as long as
-- the later one.
CREATE TABLE nonce (
    session_id BLOB    NOT NULL CHECK (length(session_id) = 16),
    nonce      BLOB    NOT NULL CHECK (length(nonce) = 16),
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX nonce_expires ON nonce (expires_at);

CREATE TABLE setting (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    n    INTEGER NOT NULL PRIMARY KEY CHECK (n > 0),
    body TEXT    NOT NULL,
    hash BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- The newest record, in one row: cutting the end off the log shows.
CREATE TABLE audit_head (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    n    INTEGER NOT NULL,
    hash BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO audit_head VALUES (1, 0, zeroblob(32));

CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head WHEN new.n <= old.n
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
