-- To whose share of the table a challenge counts, and whether an address has logged in before.
ALTER TABLE challenges ADD COLUMN origin TEXT NOT NULL DEFAULT '';
CREATE INDEX ladder_success ON ladder (address) WHERE last_success IS NOT NULL;
