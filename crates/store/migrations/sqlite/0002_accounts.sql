-- Accounts, device keys, challenges, counters. Times are microseconds since 1970-01-01 UTC, flags 0 or 1.

CREATE TABLE users (
    user_id         TEXT    NOT NULL PRIMARY KEY,
    passphrase_hash TEXT    NOT NULL,
    phrase_version  INTEGER NOT NULL,
    phrase_revision BLOB    NOT NULL CHECK (length(phrase_revision) = 16),
    opaque_record   BLOB,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE device_keys (
    device_id            TEXT    NOT NULL PRIMARY KEY,
    user_id              TEXT    NOT NULL REFERENCES users (user_id),
    api_key_hash         BLOB    NOT NULL UNIQUE CHECK (length(api_key_hash) = 32),
    api_key_prefix       TEXT    NOT NULL,
    device_type          TEXT    NOT NULL,
    device_name          TEXT    NOT NULL,
    device_fingerprint   TEXT,
    issued_at            INTEGER NOT NULL,
    last_used            INTEGER,
    expires_at           INTEGER,
    revoked_at           INTEGER,
    previous_key_hash    BLOB    UNIQUE CHECK (length(previous_key_hash) = 32),
    previous_valid_until INTEGER,
    legacy               INTEGER NOT NULL CHECK (legacy IN (0, 1)),
    CHECK ((previous_key_hash IS NULL) = (previous_valid_until IS NULL))
) STRICT;
CREATE INDEX device_keys_user ON device_keys (user_id);

CREATE TABLE challenges (
    challenge          TEXT    NOT NULL PRIMARY KEY,
    device_type        TEXT    NOT NULL,
    device_name        TEXT    NOT NULL,
    device_fingerprint TEXT,
    created_at         INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL,
    used               INTEGER NOT NULL CHECK (used IN (0, 1))
) STRICT;
CREATE INDEX challenges_expires ON challenges (expires_at);

CREATE TABLE opaque_logins (
    login_id           TEXT    NOT NULL PRIMARY KEY,
    user_id            TEXT    NOT NULL,
    known              INTEGER NOT NULL CHECK (known IN (0, 1)),
    phrase_revision    BLOB    CHECK (length(phrase_revision) = 16),
    device_type        TEXT    NOT NULL,
    device_name        TEXT    NOT NULL,
    device_fingerprint TEXT,
    address            TEXT    NOT NULL,
    attempts_remaining INTEGER NOT NULL,
    alert              TEXT    CHECK (alert IN ('persistent', 'distributed')),
    state              BLOB    NOT NULL,
    expires_at         INTEGER NOT NULL
) STRICT;
CREATE INDEX opaque_logins_expires ON opaque_logins (expires_at);

CREATE TABLE recovery_codes (
    user_id    TEXT    NOT NULL REFERENCES users (user_id),
    code_hash  BLOB    NOT NULL CHECK (length(code_hash) = 32),
    created_at INTEGER NOT NULL,
    used_at    INTEGER,
    PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE ladder (
    scope        TEXT    NOT NULL CHECK (scope IN ('passphrase', 'recovery')),
    subject      BLOB    NOT NULL CHECK (length(subject) = 32),
    address      TEXT    NOT NULL,
    failures     INTEGER NOT NULL,
    last_failure INTEGER,
    locked_until INTEGER,
    last_success INTEGER,
    known        INTEGER NOT NULL CHECK (known IN (0, 1)),
    written_at   INTEGER NOT NULL,
    PRIMARY KEY (scope, subject, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX ladder_unknown ON ladder (written_at) WHERE known = 0;

CREATE TABLE ladder_total (
    scope        TEXT    NOT NULL CHECK (scope IN ('passphrase', 'recovery')),
    subject      BLOB    NOT NULL CHECK (length(subject) = 32),
    window_start INTEGER,
    failures     INTEGER NOT NULL,
    known        INTEGER NOT NULL CHECK (known IN (0, 1)),
    written_at   INTEGER NOT NULL,
    PRIMARY KEY (scope, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX ladder_total_unknown ON ladder_total (written_at) WHERE known = 0;

CREATE TABLE rates (
    key          TEXT    NOT NULL PRIMARY KEY,
    window_start INTEGER,
    count        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sealed by the server: the OPAQUE setup, the HMAC key of the counters' names.
CREATE TABLE auth_secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
