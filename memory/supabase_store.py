"""Memories in Supabase: writes and searches through our SQL functions, reads by filter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from memory.candidates import NOTHING, REACH, Candidate, Candidates
from memory.model import TURN_KEY, Category, Memory, NewMemory, Position, check_write_id
from memory.moments import microseconds, moment_of
from memory.names import NAMES, is_named_in
from memory.store import MOST_OF_A_HISTORY, MemoryStore
from storage.supabase_clients import SupabaseClients, execute, read_time, rows

_COLUMNS = (
    "id, user_id, category, key, value, created_at, superseded_at, session_id, place, "
    "generation, confidence, source_id, expires_at"
)

_IDS_AT_ONCE = 50
"""They stand in the request's URL twice, which the project's gateway takes up to some 8 KB."""


class SupabaseMemoryStore(MemoryStore):
    """The contract over PostgREST (migrations/0002_memory.sql, 0004_facts.sql, 0005_search.sql).

    Args:
        clients: gives each user's client; whoever made it closes it.
    """

    def __init__(self, clients: SupabaseClients) -> None:
        self._clients = clients

    def store(self, user: str, memories: Sequence[NewMemory]) -> list[Memory]:
        """Store memories in one call of ``remember``, which is one transaction."""
        if not memories:
            return []
        arguments = {"p_user": user, "p_memories": [written(memory) for memory in memories]}
        return execute(self._clients.client_for(user).rpc("remember", arguments), read_memories)

    def generation(self, user: str) -> int | None:
        """Read the person's fence."""
        table = self._clients.client_for(user).table("person_fences")
        query = table.select("generation, remembered").eq("user_id", user).limit(1)
        return execute(query.retry(False), _generation)

    def retrieve(self, user: str, category: Category, key: str) -> Memory | None:
        """Return the current value of the key."""
        found = self._select(user, {"category": category.value, "key": key}, current=True, limit=1)
        return found[0] if found else None

    def candidates(self, user: str, words: Sequence[Sequence[str]], limit: int) -> Candidates:
        """Find hits by the rarity of the words that they share, in one call.

        A name that the index leaves out, as English has a word like it, takes one more.
        """
        if not words:
            return NOTHING
        arguments = {
            "p_user": user,
            "p_words": [" ".join(forms) for forms in words],
            "p_limit": limit,
            "p_reach": REACH,
        }
        query = self._clients.client_for(user).rpc("search_memory", arguments)
        found = execute(query, lambda data: _candidates(user, data))
        if any(not NAMES.isdisjoint(forms) for forms in words):
            found = _with(found, self._naming(user, limit))
        return found

    def _naming(self, user: str, limit: int) -> list[Memory]:
        named = ",".join(f"value.like.*{name.title()}*" for name in sorted(NAMES))
        query = self._clients.client_for(user).table("memory").select(_COLUMNS)
        query = query.eq("user_id", user).is_("superseded_at", "null").or_(named)
        query = query.or_("expires_at.is.null,expires_at.gt.now")
        ordered = query.order("created_at", desc=True).order("id", desc=True).limit(limit)
        told = execute(ordered.retry(False), read_memories)
        return [memory for memory in told if is_named_in(memory.value)]

    def list_memories(
        self, user: str, category: Category | None, limit: int, before: Position | None = None
    ) -> list[Memory]:
        """Return current memories, newest first."""
        equal = {} if category is None else {"category": category.value}
        return self._select(user, equal, current=True, limit=limit, before=before)

    def list_facts(self, user: str, limit: int) -> list[Memory]:
        """Return current memories that are no turns, newest first."""
        return self._select(user, {}, current=True, limit=limit, turns=False)

    def related(self, user: str, write_ids: Sequence[str]) -> list[Memory]:
        """Find the writes by their ids and by their sources, some in each request."""
        found: dict[str, Memory] = {}
        for start in range(0, len(write_ids), _IDS_AT_ONCE):
            related = self._related(user, write_ids[start : start + _IDS_AT_ONCE])
            found.update({each.id: each for each in related})
        return sorted(found.values(), key=lambda each: each.position)

    def history(self, user: str, category: Category, key: str) -> list[Memory]:
        """Return the values of the key, newest first."""
        equal = {"category": category.value, "key": key}
        return self._select(user, equal, current=False, limit=MOST_OF_A_HISTORY)

    def values_of(self, user: str, category: Category | None, key: str) -> list[Memory]:
        """Return the values of the key in one request."""
        equal = {"key": key} if category is None else {"category": category.value, "key": key}
        return self._select(user, equal, current=False, limit=MOST_OF_A_HISTORY)

    def forget(self, user: str, category: Category | None, key: str) -> int:
        """Delete every value of the key."""
        query = self._clients.client_for(user).table("memory").delete()
        query = query.eq("user_id", user).eq("key", key)
        if category is not None:
            query = query.eq("category", category.value)
        return len(execute(query, rows))

    def withdraw(self, user: str, write_id: str) -> bool:
        """Delete the write in one call of ``withdraw_memory``."""
        arguments = {"p_user": user, "p_id": write_id}
        return execute(self._clients.client_for(user).rpc("withdraw_memory", arguments), bool)

    def _related(self, user: str, write_ids: Sequence[str]) -> list[Memory]:
        ids = ",".join(check_write_id(write_id) for write_id in write_ids)
        query = self._clients.client_for(user).table("memory").select(_COLUMNS)
        query = query.eq("user_id", user).or_(f"id.in.({ids}),source_id.in.({ids})")
        ordered = query.order("created_at").order("id").limit(MOST_OF_A_HISTORY)
        return execute(ordered.retry(False), read_memories)

    def _select(
        self,
        user: str,
        equal: dict[str, str],
        *,
        current: bool,
        limit: int,
        turns: bool = True,
        before: Position | None = None,
    ) -> list[Memory]:
        query = self._clients.client_for(user).table("memory").select(_COLUMNS)
        query = query.eq("user_id", user)
        for column, value in equal.items():
            query = query.eq(column, value)
        if not turns:
            query = query.not_.like("key", f"{TURN_KEY}%")
        if before is not None:
            told_at = f'"{before.told_at.isoformat()}"'
            write_id = check_write_id(before.id)
            query = query.or_(
                f"created_at.lt.{told_at},and(created_at.eq.{told_at},id.lt.{write_id})"
            )
        if current:
            query = query.is_("superseded_at", "null")
            query = query.or_("expires_at.is.null,expires_at.gt.now")
        ordered = query.order("created_at", desc=True).order("id", desc=True).limit(limit)
        return execute(ordered.retry(False), read_memories)


def written(memory: NewMemory) -> dict[str, Any]:
    """Return a memory as the SQL function ``remember`` takes it."""
    return {
        "id": memory.id,
        "category": memory.category.value,
        "key": memory.key,
        "value": memory.value,
        "created_at": memory.created_at.isoformat(),
        "session_id": memory.session_id,
        "next_free_key": memory.next_free_key,
        "generation": memory.generation,
        "confidence": memory.confidence,
        "source_id": memory.source_id,
        "expires_at": None if memory.expires_at is None else memory.expires_at.isoformat(),
    }


def read_memories(data: Any) -> list[Memory]:
    """Read an answer that is a list of rows of the table memory.

    Raises:
        TypeError, KeyError, ValueError: it is something else.
    """
    return [
        Memory(
            id=row["id"],
            user=row["user_id"],
            category=Category.of(row["category"]),
            key=row["key"],
            value=row["value"],
            created_at=read_time(row["created_at"]),
            superseded_at=_time_or_none(row["superseded_at"]),
            session_id=row["session_id"],
            place=row["place"],
            generation=row["generation"],
            confidence=row["confidence"],
            source_id=row["source_id"],
            expires_at=_time_or_none(row["expires_at"]),
        )
        for row in rows(data)
    ]


def _generation(data: Any) -> int | None:
    fences = rows(data)
    if not fences:
        return 0
    return int(fences[0]["generation"]) if fences[0]["remembered"] else None


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else read_time(text)


def _candidates(user: str, data: Any) -> Candidates:
    rows = {row[0]: row for row in data["found"]}
    found = [
        Candidate(
            row[0], row[1], row[2], row[3], "?" in row[6], *(row[5:7] if row[4] else (None, None))
        )
        for row in rows.values()
    ]

    def read(ids: Sequence[str]) -> list[Memory]:
        return [_found(user, rows[each]) for each in ids]

    return Candidates(data["total"], data["frequencies"], found, read)


def _with(stored: Candidates, told: Sequence[Memory]) -> Candidates:
    mine = {memory.id: memory for memory in told}
    found = [candidate for candidate in stored.found if candidate.id not in mine]
    found += [
        Candidate(
            *(m.id, microseconds(m.created_at), m.session_id, m.place),
            *("?" in m.value, m.key, m.value),
        )
        for m in told
    ]

    def read(ids: Sequence[str]) -> list[Memory]:
        theirs = stored.read([each for each in ids if each not in mine])
        by_id = {memory.id: memory for memory in theirs} | mine
        return [by_id[each] for each in ids if each in by_id]

    return stored._replace(found=found, read=read)


def _found(user: str, row: Sequence[Any]) -> Memory:
    write_id, told_at, session_id, place, _, key, value, category, *rest = row
    generation, confidence, source_id, expires_at = rest
    return Memory(
        id=write_id,
        user=user,
        category=Category.of(category),
        key=key,
        value=value,
        created_at=moment_of(told_at),
        session_id=session_id,
        place=place,
        generation=generation,
        confidence=confidence,
        source_id=source_id,
        expires_at=None if expires_at is None else moment_of(expires_at),
    )
