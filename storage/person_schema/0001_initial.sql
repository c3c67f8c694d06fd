-- Everything about one person, in one file of their own. Times are microseconds since the
-- epoch, UTC, as Postgres's timestamptz has them.

CREATE TABLE memory (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    category TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    superseded_at INTEGER,
    session_id TEXT
);

CREATE UNIQUE INDEX memory_current ON memory (category, key) WHERE superseded_at IS NULL;
CREATE INDEX memory_history ON memory (category, key, created_at, id);
CREATE INDEX memory_recent ON memory (created_at, id) WHERE superseded_at IS NULL;
CREATE INDEX memory_key ON memory (key);

-- The index holds current values only: what was superseded is never found by a search.
CREATE VIRTUAL TABLE memory_search USING fts5 (
    key,
    value,
    content = 'memory',
    content_rowid = 'row',
    tokenize = "porter unicode61 remove_diacritics 2"
);

CREATE TRIGGER memory_stored AFTER INSERT ON memory WHEN new.superseded_at IS NULL BEGIN
    INSERT INTO memory_search (rowid, key, value) VALUES (new.row, new.key, new.value);
END;

CREATE TRIGGER memory_closed AFTER UPDATE OF superseded_at ON memory
WHEN old.superseded_at IS NULL AND new.superseded_at IS NOT NULL BEGIN
    INSERT INTO memory_search (memory_search, rowid, key, value)
    VALUES ('delete', old.row, old.key, old.value);
END;

CREATE TRIGGER memory_forgotten AFTER DELETE ON memory WHEN old.superseded_at IS NULL BEGIN
    INSERT INTO memory_search (memory_search, rowid, key, value)
    VALUES ('delete', old.row, old.key, old.value);
END;

CREATE TABLE profile (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    email TEXT,
    is_first_login INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL
);

CREATE TABLE user_profile (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    profile_text TEXT NOT NULL DEFAULT '',
    language TEXT,
    time_zone TEXT,
    updated_at INTEGER NOT NULL
);

CREATE TABLE onboarding_details (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    first_name TEXT,
    occupation TEXT,
    interests TEXT NOT NULL DEFAULT '[]',
    updated_at INTEGER NOT NULL
);
