-- What was said, word for word, by both sides, where the operator keeps it.

CREATE TABLE turns (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    text TEXT NOT NULL CHECK (length(text) BETWEEN 1 AND 10000),
    said_at INTEGER NOT NULL,
    generation INTEGER NOT NULL
);

CREATE INDEX turns_in_order ON turns (said_at, id);
CREATE INDEX turns_of_session ON turns (session_id, said_at, id);
