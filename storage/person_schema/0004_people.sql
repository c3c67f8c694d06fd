-- Whether the person is remembered, which outlives an erasure as the generation does, and
-- when they last came.

ALTER TABLE fence ADD COLUMN remembered INTEGER NOT NULL DEFAULT 1;
ALTER TABLE profile ADD COLUMN last_seen_at INTEGER;

CREATE INDEX memory_expiry ON memory (expires_at) WHERE expires_at IS NOT NULL;
