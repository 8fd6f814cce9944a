-- Accounts, device keys, challenges, counters. Times are microseconds since 1970-01-01 UTC, flags 0 or 1.

CREATE TABLE users (
    user_id         TEXT    NOT NULL PRIMARY KEY,
    passphrase_hash TEXT    NOT NULL,
    phrase_version  BIGINT NOT NULL,
    phrase_revision BYTEA    NOT NULL CHECK (length(phrase_revision) = 16),
    opaque_record   BYTEA,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);

CREATE TABLE device_keys (
    device_id            TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    user_id              TEXT    NOT NULL REFERENCES users (user_id),
    api_key_hash         BYTEA    NOT NULL UNIQUE CHECK (length(api_key_hash) = 32),
    api_key_prefix       TEXT    NOT NULL,
    device_type          TEXT    NOT NULL,
    device_name          TEXT    NOT NULL,
    device_fingerprint   TEXT,
    issued_at            BIGINT NOT NULL,
    last_used            BIGINT,
    expires_at           BIGINT,
    revoked_at           BIGINT,
    previous_key_hash    BYTEA   UNIQUE CHECK (length(previous_key_hash) = 32),
    previous_valid_until BIGINT,
    legacy               BIGINT NOT NULL CHECK (legacy IN (0, 1)),
    CHECK ((previous_key_hash IS NULL) = (previous_valid_until IS NULL))
);
CREATE INDEX device_keys_user ON device_keys (user_id);

CREATE TABLE challenges (
    challenge          TEXT    NOT NULL PRIMARY KEY,
    device_type        TEXT    NOT NULL,
    device_name        TEXT    NOT NULL,
    device_fingerprint TEXT,
    created_at         BIGINT NOT NULL,
    expires_at         BIGINT NOT NULL,
    used               BIGINT NOT NULL CHECK (used IN (0, 1))
);
CREATE INDEX challenges_expires ON challenges (expires_at);

CREATE TABLE opaque_logins (
    login_id           TEXT    NOT NULL PRIMARY KEY,
    user_id            TEXT    NOT NULL,
    known              BIGINT NOT NULL CHECK (known IN (0, 1)),
    phrase_revision    BYTEA    CHECK (length(phrase_revision) = 16),
    device_type        TEXT    NOT NULL,
    device_name        TEXT    NOT NULL,
    device_fingerprint TEXT,
    address            TEXT    NOT NULL,
    attempts_remaining BIGINT NOT NULL,
    alert              TEXT    CHECK (alert IN ('persistent', 'distributed')),
    state              BYTEA    NOT NULL,
    expires_at         BIGINT NOT NULL
);
CREATE INDEX opaque_logins_expires ON opaque_logins (expires_at);

CREATE TABLE recovery_codes (
    user_id    TEXT    NOT NULL REFERENCES users (user_id),
    code_hash  BYTEA    NOT NULL CHECK (length(code_hash) = 32),
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE ladder (
    scope        TEXT    NOT NULL CHECK (scope IN ('passphrase', 'recovery')),
    subject      BYTEA    NOT NULL CHECK (length(subject) = 32),
    address      TEXT    NOT NULL,
    failures     BIGINT NOT NULL,
    last_failure BIGINT,
    locked_until BIGINT,
    last_success BIGINT,
    known        BIGINT NOT NULL CHECK (known IN (0, 1)),
    written_at   BIGINT NOT NULL,
    PRIMARY KEY (scope, subject, address)
);
CREATE INDEX ladder_unknown ON ladder (written_at) WHERE known = 0;

CREATE TABLE ladder_total (
    scope        TEXT    NOT NULL CHECK (scope IN ('passphrase', 'recovery')),
    subject      BYTEA    NOT NULL CHECK (length(subject) = 32),
    window_start BIGINT,
    failures     BIGINT NOT NULL,
    known        BIGINT NOT NULL CHECK (known IN (0, 1)),
    written_at   BIGINT NOT NULL,
    PRIMARY KEY (scope, subject)
);
CREATE INDEX ladder_total_unknown ON ladder_total (written_at) WHERE known = 0;

CREATE TABLE rates (
    key          TEXT    NOT NULL PRIMARY KEY,
    window_start BIGINT,
    count        BIGINT NOT NULL
);

-- Sealed by the server: the OPAQUE setup, the HMAC key of the counters' names.
CREATE TABLE auth_secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
