-- Approving from another device: which peers may, what they were told of, and what they ask this device.
ALTER TABLE peer ADD COLUMN approver BIGINT NOT NULL DEFAULT 0;

CREATE TABLE device_asked (
    peer_id    BYTEA   NOT NULL CHECK (octet_length(peer_id) = 16),
    session_id BYTEA   NOT NULL CHECK (octet_length(session_id) = 16),
    request_id BYTEA   NOT NULL CHECK (octet_length(request_id) = 16),
    told_at    BIGINT NOT NULL,
    PRIMARY KEY (peer_id, session_id, request_id)
);

CREATE TABLE peer_request (
    from_id      BYTEA   NOT NULL CHECK (octet_length(from_id) = 16),
    session_id   BYTEA   NOT NULL CHECK (octet_length(session_id) = 16),
    request_id   BYTEA   NOT NULL CHECK (octet_length(request_id) = 16),
    sealed       BYTEA   NOT NULL,
    from_x25519  BYTEA   NOT NULL CHECK (octet_length(from_x25519) = 32),
    from_ed25519 BYTEA   NOT NULL CHECK (octet_length(from_ed25519) = 32),
    received_at  BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    answer       TEXT,
    state        TEXT,
    by_name      TEXT,
    PRIMARY KEY (from_id, session_id, request_id)
);
