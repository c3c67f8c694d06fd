"""What waits in the outbox, laid over what the database answers.

The database has the rows before those that wait, and perhaps some of the waiting ones
already, as they are deleted only after it has acknowledged them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from memory.candidates import Candidate, Candidates
from memory.model import Category, Memory
from memory.moments import microseconds
from memory.outbox.entry import Forgetting, Withdrawal, Write, as_stored
from memory.words import stem, words_of

_MOST_SEARCHED = 500


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
        self._withdrawn: set[str] = set()
        for write in writes:
            if isinstance(write, Forgetting):
                self._forget(write)
            elif isinstance(write, Withdrawal):
                self._values.pop(write.key, None)
                self._withdrawn.add(write.key)
            elif (write.generation or 0) >= generation:
                self._values[write.id] = as_stored(user, write)
                self._withdrawn.discard(write.id)

    def __len__(self) -> int:
        """How many writes change what the database answers."""
        return len(self._values) + len(self._forgettings) + len(self._withdrawn)

    def values(self, category: Category | None, key: str) -> list[Memory]:
        """Return the waiting values of a key, newest first."""
        wanted = Forgetting(category, key)
        return _newest_first(m for m in self._values.values() if wanted.covers(m.category, m.key))

    def forgets(self, category: Category, key: str) -> bool:
        """Tell whether what the database has of this key is to be deleted."""
        return any(each.covers(category, key) for each in self._forgettings)

    def holds(self, write_id: str) -> bool:
        """Tell whether this write waits."""
        return write_id in self._values

    def withdraws(self, write_id: str) -> bool:
        """Tell whether this write is to be undone."""
        return write_id in self._withdrawn

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

    def related(self, stored: Sequence[Memory], write_ids: Sequence[str]) -> list[Memory]:
        """Return these writes and what was derived from them, oldest first."""
        wanted = set(write_ids)
        mine = (m for m in self._values.values() if wanted & {m.id, m.source_id})
        return self._merged(stored, mine)[::-1]

    def found(self, stored: Candidates, words: Sequence[Sequence[str]], limit: int) -> Candidates:
        """Return the database's candidates and, beside them, as many waiting ones at most."""
        known = {candidate.id for candidate in stored.found}
        waiting = [
            (memory, shared)
            for memory, shared in sharing_a_word(self.current(), words)
            if memory.id not in known
        ]
        frequencies = [
            n + sum(word in shared for _, shared in waiting)
            for word, n in enumerate(stored.frequencies)
        ]
        waiting.sort(key=lambda each: len(each[1]), reverse=True)
        mine = {memory.id: memory for memory, _ in waiting[:limit]}

        def read(ids: Sequence[str]) -> list[Memory]:
            theirs = stored.read([each for each in ids if each not in mine])
            merged = self._merged([*theirs, *mine.values()], self._values.values())
            by_id = {memory.id: memory for memory in _current(merged)}
            return [by_id[each] for each in ids if each in by_id]

        candidates = [*stored.found, *map(_candidate, mine.values())]
        return Candidates(stored.total + len(waiting), frequencies, candidates, read)

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
            if memory.id in self._values
            or not (self.withdraws(memory.id) or self.forgets(memory.category, memory.key))
        }
        return _newest_first([*kept.values(), *(m for m in mine if m.id not in kept)])


def has_expired(memory: Memory) -> bool:
    """Tell whether what it says has stopped to be true."""
    return memory.expires_at is not None and memory.expires_at <= datetime.now(timezone.utc)


def sharing_a_word(
    memories: Sequence[Memory], words: Sequence[Sequence[str]]
) -> list[tuple[Memory, set[int]]]:
    """Return the memories that share a word with the search, and which of the words.

    Args:
        memories: newest first; the first 500 are searched, as each search reads them all.
        words: for each word asked for its forms, matched by their stems.
    """
    stems = [{stem(part) for form in forms for part in words_of(form)} for forms in words]
    found = []
    for memory in memories[:_MOST_SEARCHED]:
        said = {stem(word) for word in words_of(f"{memory.key} {memory.value}")}
        if shared := {n for n, forms in enumerate(stems) if forms & said}:
            found.append((memory, shared))
    return found


def _candidate(memory: Memory) -> Candidate:
    # Its place in the session is the database's to give.
    told_at, asks = microseconds(memory.created_at), "?" in memory.value
    return Candidate(memory.id, told_at, memory.session_id, None, asks, memory.key, memory.value)


def _newest_first(memories: Iterable[Memory]) -> list[Memory]:
    return sorted(memories, key=lambda memory: (memory.created_at, memory.id), reverse=True)


def _current(newest_first: Iterable[Memory]) -> list[Memory]:
    current: dict[tuple[Category, str], Memory] = {}
    for memory in newest_first:
        current.setdefault((memory.category, memory.key), memory)
    return [memory for memory in current.values() if not has_expired(memory)]
