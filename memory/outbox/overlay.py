"""What waits in the outbox, laid over what the database answers.

The database has the rows before those that wait, and perhaps some of the waiting ones
already, as they are deleted only after it has acknowledged them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone

from memory.model import Category, Memory
from memory.outbox.entry import Forgetting, Write, as_stored

_MOST_SEARCHED = 500
"""Of a person's waiting memories the latest so many are searched, as each search reads them all."""


class Overlay:
    """A person's waiting writes.

    Args:
        user: the person's uuid.
        writes: what waits, first to last.
        generation: the person's; the database drops memories of an older one.
    """

    def __init__(self, user: str, writes: Iterable[Write], generation: int = 0) -> None:
        self._values: dict[str, Memory] = {}
        self._forgettings: list[Forgetting] = []
        for write in writes:
            if isinstance(write, Forgetting):
                self._forget(write)
            elif (write.generation or 0) >= generation:
                self._values[write.id] = as_stored(user, write)

    def __len__(self) -> int:
        """How many writes change what the database answers."""
        return len(self._values) + len(self._forgettings)

    def values(self, category: Category | None, key: str) -> list[Memory]:
        """Return the waiting values of a key, newest first."""
        wanted = Forgetting(category, key)
        return _newest_first(m for m in self._values.values() if wanted.covers(m.category, m.key))

    def forgets(self, category: Category, key: str) -> bool:
        """Tell whether what the database has of this key is to be deleted."""
        return any(each.covers(category, key) for each in self._forgettings)

    def history(self, stored: Sequence[Memory], category: Category, key: str) -> list[Memory]:
        """Return all values of the key, newest first, each closed by the one after it."""
        merged = self._merged(stored, self.values(category, key))
        ends: list[datetime | None] = [None, *(memory.created_at for memory in merged)]
        return [
            replace(memory, superseded_at=end) for memory, end in zip(merged, ends, strict=False)
        ]

    def listed(self, stored: Sequence[Memory], category: Category | None) -> list[Memory]:
        """Return the current memories, newest first."""
        mine = (m for m in self._values.values() if category in (None, m.category))
        return _current(self._merged(stored, mine))

    def found(self, stored: Sequence[Memory], words: Sequence[str]) -> list[Memory]:
        """Return the current memories that were found, the waiting ones first."""
        merged = self._merged(stored, self._values.values())
        current = {memory.id for memory in _current(merged)}
        by_id = {memory.id: memory for memory in merged}
        hits = [m.id for m in sharing_a_word(self.current(), words)]
        order = dict.fromkeys([*hits, *(memory.id for memory in stored)])
        return [by_id[each] for each in order if each in current]

    def current(self) -> list[Memory]:
        """Return the waiting values that no waiting one supersedes, newest first."""
        return _current(_newest_first(self._values.values()))

    def _forget(self, forgetting: Forgetting) -> None:
        self._forgettings.append(forgetting)
        kept = self._values.items()
        self._values = {i: m for i, m in kept if not forgetting.covers(m.category, m.key)}

    def _merged(self, stored: Iterable[Memory], mine: Iterable[Memory]) -> list[Memory]:
        # The database's version of a row is the truer one: its key may have moved on.
        kept = {
            memory.id: memory
            for memory in stored
            if memory.id in self._values or not self.forgets(memory.category, memory.key)
        }
        return _newest_first([*kept.values(), *(m for m in mine if m.id not in kept)])


def has_expired(memory: Memory) -> bool:
    """Tell whether what it says has stopped to be true."""
    return memory.expires_at is not None and memory.expires_at <= datetime.now(timezone.utc)


def sharing_a_word(memories: Sequence[Memory], words: Sequence[str]) -> list[Memory]:
    """Return the memories that share a word with the search, by its stem, best first.

    As the SQLite store's search does it, by the same full-text index, but in memory.
    """
    if not memories or not words:
        return []
    searched = memories[:_MOST_SEARCHED]
    match = " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute(
            "CREATE VIRTUAL TABLE text USING fts5 ("
            "    said, tokenize = 'porter unicode61 remove_diacritics 2'"
            ")"
        )
        index.executemany(
            "INSERT INTO text (rowid, said) VALUES (?, ?)",
            ((n, f"{m.key.replace('_', ' ')} {m.value}") for n, m in enumerate(searched)),
        )
        hits = index.execute("SELECT rowid FROM text WHERE text MATCH ? ORDER BY rank", (match,))
        return [searched[row] for (row,) in hits]


def _newest_first(memories: Iterable[Memory]) -> list[Memory]:
    return sorted(memories, key=lambda memory: (memory.created_at, memory.id), reverse=True)


def _current(newest_first: Iterable[Memory]) -> list[Memory]:
    current: dict[tuple[Category, str], Memory] = {}
    for memory in newest_first:
        current.setdefault((memory.category, memory.key), memory)
    return [memory for memory in current.values() if not has_expired(memory)]
