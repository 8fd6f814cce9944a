-- Pairings' sessions, requests, grants, nonces, the audit log, settings.
-- Ids are 16 bytes, times microseconds since 1970-01-01 UTC, lists JSON arrays.

CREATE TABLE session (
    id                  BYTEA  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    agent_id            TEXT   NOT NULL,
    agent_name          TEXT   NOT NULL,
    scope               TEXT   NOT NULL,
    sealed_keys         BYTEA  NOT NULL,
    confirmation_digest BYTEA  NOT NULL,
    created_at          BIGINT NOT NULL,
    last_used_at        BIGINT NOT NULL,
    expires_at          BIGINT NOT NULL,
    uses                BIGINT NOT NULL,
    ended_at            BIGINT,
    ended_why           TEXT,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE request (
    session_id     BYTEA  NOT NULL CHECK (length(session_id) = 16),
    id             BYTEA  NOT NULL CHECK (length(id) = 16),
    digest         BYTEA  NOT NULL,
    domain         TEXT   NOT NULL,
    reason         TEXT   NOT NULL,
    fields         TEXT   NOT NULL,
    item_id        TEXT,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('pending', 'released', 'ended')),
    released_at    BIGINT,
    verdict        TEXT,
    verdict_reason TEXT,
    PRIMARY KEY (session_id, id),
    CHECK ((state = 'released') = (released_at IS NOT NULL)),
    CHECK ((state = 'ended') = (verdict IS NOT NULL))
);
CREATE INDEX request_over ON request (expires_at) WHERE state <> 'pending';

CREATE TABLE grant_ (
    id         BYTEA  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    session_id BYTEA  NOT NULL CHECK (length(session_id) = 16),
    domain     TEXT   NOT NULL,
    fields     TEXT   NOT NULL,
    item_id    TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    max_uses   BIGINT,
    uses       BIGINT NOT NULL,
    ended_at   BIGINT,
    ended_why  TEXT,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE INDEX grant_ended ON grant_ (ended_at) WHERE ended_at IS NOT NULL;

-- No primary key: nonces are only ever added, many a second, in the order in which they expire. Finding a
-- random place for each would cost a page of writing; a nonce that is there twice is remembered as long as
-- the later one.
CREATE TABLE nonce (
    session_id BYTEA  NOT NULL CHECK (length(session_id) = 16),
    nonce      BYTEA  NOT NULL CHECK (length(nonce) = 16),
    expires_at BIGINT NOT NULL
);
CREATE INDEX nonce_expires ON nonce (expires_at);

CREATE TABLE setting (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE audit (
    n    BIGINT NOT NULL PRIMARY KEY CHECK (n > 0),
    body TEXT   NOT NULL,
    hash BYTEA  NOT NULL CHECK (length(hash) = 32)
);

CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE TRIGGER audit_no_update BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();

-- The newest record, in one row: whoever appends locks it, so that several servers keep one chain,
-- and cutting the end off the log shows.
CREATE TABLE audit_head (
    one  BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    n    BIGINT NOT NULL,
    hash BYTEA  NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO audit_head VALUES (1, 0, decode(repeat('00', 32), 'hex'));

CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head
    FOR EACH ROW WHEN (new.n <= old.n) EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_head_no_truncate BEFORE TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
