-- Who decided a request that ended without a credential, for the receipt of an answer that is asked for again.
ALTER TABLE request ADD COLUMN decided_by TEXT;
