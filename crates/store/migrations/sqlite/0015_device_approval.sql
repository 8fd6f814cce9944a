-- Approving from another device: which peers may, what they were told of, and what they ask this device.
ALTER TABLE peer ADD COLUMN approver INTEGER NOT NULL DEFAULT 0;

CREATE TABLE device_asked (
    peer_id    BLOB    NOT NULL CHECK (length(peer_id) = 16),
    session_id BLOB    NOT NULL CHECK (length(session_id) = 16),
    request_id BLOB    NOT NULL CHECK (length(request_id) = 16),
    told_at    INTEGER NOT NULL,
    PRIMARY KEY (peer_id, session_id, request_id)
) STRICT;

CREATE TABLE peer_request (
    from_id      BLOB    NOT NULL CHECK (length(from_id) = 16),
    session_id   BLOB    NOT NULL CHECK (length(session_id) = 16),
    request_id   BLOB    NOT NULL CHECK (length(request_id) = 16),
    sealed       BLOB    NOT NULL,
    from_x25519  BLOB    NOT NULL CHECK (length(from_x25519) = 32),
    from_ed25519 BLOB    NOT NULL CHECK (length(from_ed25519) = 32),
    received_at  INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    answer       TEXT,
    state        TEXT,
    by_name      TEXT,
    PRIMARY KEY (from_id, session_id, request_id)
) STRICT;
