"""Candidates from a person's file, by FTS5."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from memory.candidates import REACH, Candidate

_COMMON = 0.25
_ALWAYS_MATCHED = 1_000
"""A word that so few memories hold costs next to nothing, however few memories there are."""

_COUNT = "SELECT count(*) FROM memory_search WHERE memory_search MATCH ?"
_HITS = """
    SELECT row, id, created_at, session_id, place, instr(value, '?') > 0, key, value
    FROM memory
    JOIN (
        SELECT rowid AS hit, rank AS score FROM memory_search
        WHERE memory_search MATCH ? ORDER BY rank LIMIT ?
    ) ON row = hit
    WHERE expires_at IS NULL OR expires_at > ?
"""
_NEIGHBOURS = f"""
    SELECT row, id, created_at, session_id, place, instr(value, '?') > 0, NULL, NULL
    FROM memory
    WHERE row IN (
        SELECT beside.row
        FROM json_each(:hits) AS hit
        JOIN memory AS told ON told.row = hit.value
        JOIN memory AS beside ON beside.session_id = told.session_id
            AND beside.place BETWEEN told.place - {REACH} AND told.place + {REACH}
        EXCEPT SELECT value FROM json_each(:hits)
    )
    AND superseded_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
"""  # noqa: S608 - a constant only


def find_candidates(
    file: sqlite3.Connection, words: Sequence[Sequence[str]], limit: int, now_us: int
) -> tuple[int, list[int], list[Candidate]]:
    """Return about how many memories there are, each word's frequency, and the candidates.

    Args:
        file: a person's file.
        words: for each word asked for its forms.
        limit: how many hits at most.
        now_us: what has expired by then, microseconds since the epoch, is left out.
    """
    matches = [_match(forms) for forms in words]
    total: int = file.execute("SELECT coalesce(max(row), 0) FROM memory").fetchone()[0]
    frequencies = [file.execute(_COUNT, (match,)).fetchone()[0] for match in matches]
    wanted = " OR ".join(_worth_matching(matches, frequencies, total))
    if not wanted:
        return total, frequencies, []
    hits = file.execute(_HITS, (wanted, limit, now_us)).fetchall()
    around = {"hits": json.dumps([hit[0] for hit in hits]), "now": now_us}
    beside = file.execute(_NEIGHBOURS, around)
    found = [Candidate._make(row[1:]) for rows in (hits, beside) for row in rows]
    return total, frequencies, found


def _match(forms: Sequence[str]) -> str:
    # In quotes a word is never an FTS5 operator.
    return " OR ".join('"' + form.replace('"', '""') + '"' for form in forms)


def _worth_matching(matches: Sequence[str], frequencies: Sequence[int], total: int) -> list[str]:
    # What every fourth memory holds tells none from another, and costs most to look through.
    common = max(total * _COMMON, _ALWAYS_MATCHED)
    held = [(match, n) for match, n in zip(matches, frequencies, strict=True) if n]
    return [match for match, n in held if n <= common] or [match for match, _ in held]
