"""The outbox's statements, each over a connection that is already in the right transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from memory.model import NewMemory
from memory.outbox.entry import Entry, Forgetting, Kind, Write, as_payload, kind_of

_COLUMNS = ", ".join(each.name for each in fields(Entry))


def append(file: sqlite3.Connection, user: str, write: Write) -> Entry | None:
    """Add a write; one whose id is there already changes nothing.

    A memory whose key may move on takes the next number that no waiting one has. One without
    a generation is given the last that this host knows, and one of an older generation is
    dropped, as the database would do.
    """
    known = _select(file, "user = ? AND write_id = ?", (user, write.id))
    if known and not _is_gone(file, known[0]):
        return known[0]
    delete(file, [entry.ordinal for entry in known])  # told again after it was forgotten
    payload = json.loads(as_payload(write))
    if isinstance(write, NewMemory):
        if write.next_free_key:
            payload["key"] = _free_key(file, user, write.key)
        known_generation = generation(file, user)
        if write.generation is None:
            payload["generation"] = known_generation
        elif write.generation < known_generation:
            return None
        elif write.generation > known_generation:
            learn_generation(file, user, write.generation)
    elif isinstance(write, Forgetting):
        _forget_set_aside(file, user, write)
    else:
        _withdraw_set_aside(file, user, write.key)
    entry = Entry(
        ordinal=_next_ordinal(file),
        user=user,
        kind=kind_of(write).value,
        write_id=write.id,
        key=payload["key"],
        payload=json.dumps(payload, ensure_ascii=False),
        appended_at=time.time_ns() // 1000,
    )
    entry = replace(entry, checksum=entry.expected_checksum())
    _insert(file, entry, "INSERT")
    return entry


def copy(file: sqlite3.Connection, entry: Entry) -> None:
    """Add a row that was salvaged from another file, in its old place, where that is free."""
    _insert(file, entry, "INSERT OR IGNORE")


def _insert(file: sqlite3.Connection, entry: Entry, how: str) -> None:
    values = tuple(getattr(entry, each.name) for each in fields(Entry))
    marks = ", ".join("?" * len(values))
    file.execute(f"{how} INTO entry ({_COLUMNS}) VALUES ({marks})", values)


def waiting(file: sqlite3.Connection, user: str, limit: int = -1) -> list[Entry]:
    """Return a person's rows that wait, first to last."""
    return _select(file, "user = ? AND problem IS NULL", (user,), limit)


def is_waiting(file: sqlite3.Connection, user: str) -> bool:
    """Tell whether a person has a row that waits."""
    condition = "SELECT 1 FROM entry WHERE user = ? AND problem IS NULL LIMIT 1"
    return file.execute(condition, (user,)).fetchone() is not None


def users(file: sqlite3.Connection) -> list[str]:
    """Return whose rows wait, the one who has waited longest first."""
    found = file.execute(
        "SELECT user FROM entry WHERE problem IS NULL GROUP BY user ORDER BY min(ordinal)"
    )
    return [user for (user,) in found]


def entries(file: sqlite3.Connection) -> list[Entry]:
    """Return all rows, those set aside as well, first to last."""
    return _select(file, "true", ())


def delete(file: sqlite3.Connection, ordinals: Iterable[int]) -> int:
    """Delete rows that are delivered, and return how many there still were."""
    count = 0
    for ordinal in ordinals:
        count += file.execute("DELETE FROM entry WHERE ordinal = ?", (ordinal,)).rowcount
    return count


def count_attempt(file: sqlite3.Connection, ordinals: Iterable[int]) -> None:
    """Note that the database did not take these rows."""
    for ordinal in ordinals:
        file.execute("UPDATE entry SET attempts = attempts + 1 WHERE ordinal = ?", (ordinal,))


def set_aside(file: sqlite3.Connection, ordinal: int, problem: str) -> None:
    """Take a row out of those that wait, with the reason."""
    file.execute("UPDATE entry SET problem = ? WHERE ordinal = ?", (problem, ordinal))


def retry_all(file: sqlite3.Connection) -> int:
    """Let everything that is set aside wait again, and return how much that is."""
    return file.execute("UPDATE entry SET problem = NULL WHERE problem IS NOT NULL").rowcount


def is_set_aside(file: sqlite3.Connection, user: str, write_id: str) -> bool:
    """Tell whether a person's write is here, set aside."""
    return bool(
        _select(file, "user = ? AND write_id = ? AND problem IS NOT NULL", (user, write_id))
    )


def erase(file: sqlite3.Connection, user: str) -> int:
    """Delete all rows of a person, those set aside as well, and return how many."""
    return file.execute("DELETE FROM entry WHERE user = ?", (user,)).rowcount


def generation(file: sqlite3.Connection, user: str) -> int:
    """Return the last generation of the person that this host knows, 0 at first."""
    row = file.execute("SELECT generation FROM generation WHERE user = ?", (user,)).fetchone()
    return int(row[0]) if row else 0


def learn_generation(file: sqlite3.Connection, user: str, number: int) -> None:
    """Keep the generation, unless a later one is known."""
    file.execute(
        "INSERT INTO generation (user, generation) VALUES (?, ?) "
        "ON CONFLICT (user) DO UPDATE SET generation = max(generation, excluded.generation)",
        (user, number),
    )


def counts(file: sqlite3.Connection) -> tuple[int, int]:
    """Return how many rows wait and how many are set aside."""
    row = file.execute("SELECT count(*), count(problem) FROM entry").fetchone()
    return row[0] - row[1], row[1]


def used_bytes(file: sqlite3.Connection) -> int:
    """Return the size of what the file holds, free pages not counted."""
    pages: int = file.execute("PRAGMA page_count").fetchone()[0]
    free: int = file.execute("PRAGMA freelist_count").fetchone()[0]
    size: int = file.execute("PRAGMA page_size").fetchone()[0]
    return (pages - free) * size


def _is_gone(file: sqlite3.Connection, entry: Entry) -> bool:
    """Tell whether what waits behind the row will delete what it stores."""
    later = "user = ? AND key = ? AND kind = ? AND ordinal > ? AND problem IS NULL"
    withdrawn = (entry.user, entry.write_id, Kind.WITHDRAW.value, entry.ordinal)
    if _select(file, later, withdrawn, 1):
        return True
    forgettings = _select(file, later, (entry.user, entry.key, Kind.FORGET.value, entry.ordinal))
    return any(_category_of(each) in (None, _category_of(entry)) for each in forgettings)


def _forget_set_aside(file: sqlite3.Connection, user: str, forgetting: Forgetting) -> None:
    # A row that is tried again later would otherwise come after the forgetting.
    aside = "user = ? AND key = ? AND kind = ? AND problem IS NOT NULL"
    found = _select(file, aside, (user, forgetting.key, Kind.REMEMBER.value))
    wanted = None if forgetting.category is None else forgetting.category.value
    delete(file, [each.ordinal for each in found if wanted in (None, _category_of(each))])


def _withdraw_set_aside(file: sqlite3.Connection, user: str, write_id: str) -> None:
    aside = "user = ? AND write_id = ? AND problem IS NOT NULL"
    delete(file, [each.ordinal for each in _select(file, aside, (user, write_id))])


def _category_of(entry: Entry) -> str | None:
    try:
        category = json.loads(entry.payload)["category"]
    except (ValueError, TypeError, KeyError):
        return None  # it cannot be read any more
    return category if isinstance(category, str) else None


def _next_ordinal(file: sqlite3.Connection) -> int:
    given = file.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'entry'").fetchone()[0]
    there = file.execute("SELECT max(ordinal) FROM entry").fetchone()[0]
    return 1 + max(given or 0, there or 0)


def _free_key(file: sqlite3.Connection, user: str, key: str) -> str:
    stem = key.rstrip("0123456789")
    count = int(key[len(stem) :])
    taken = "SELECT 1 FROM entry WHERE user = ? AND key = ? AND kind = ? AND problem IS NULL"
    while file.execute(taken, (user, key, Kind.REMEMBER.value)).fetchone():
        count += 1
        key = f"{stem}{count}"
    return key


def _select(
    file: sqlite3.Connection, condition: str, values: Sequence[str | int], limit: int = -1
) -> list[Entry]:
    found = file.execute(
        f"SELECT {_COLUMNS} FROM entry WHERE {condition} ORDER BY ordinal LIMIT ?",  # noqa: S608 - constants only
        (*values, limit),
    )
    return [Entry(*row) for row in found]
