-- What a memory was derived from, how sure we are of it, until when it holds, and where in
-- its session it stands; and the fence: erasing raises the generation, and a write of an
-- older one is dropped.

ALTER TABLE memory ADD COLUMN place INTEGER;
ALTER TABLE memory ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE memory ADD COLUMN confidence REAL;
ALTER TABLE memory ADD COLUMN source_id TEXT;
ALTER TABLE memory ADD COLUMN expires_at INTEGER;

UPDATE memory SET place = (
    SELECT count(*) FROM memory AS earlier
    WHERE earlier.session_id = memory.session_id
        AND (earlier.created_at, earlier.id) <= (memory.created_at, memory.id)
)
WHERE session_id IS NOT NULL;

CREATE INDEX memory_place ON memory (session_id, place) WHERE session_id IS NOT NULL;
CREATE INDEX memory_source ON memory (source_id) WHERE source_id IS NOT NULL;

CREATE TABLE fence (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL
);

INSERT INTO fence (one, generation) VALUES (1, 0);
