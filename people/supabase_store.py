"""Whole people in Supabase, by the SQL functions of migrations/0007_people.sql."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from memory import Memory
from memory.supabase_store import read_memories, written
from memory.transcript import SupabaseTranscriptStore, TranscriptStore
from people.model import Erasure, Move, Record, Standing, as_write
from people.store import PeopleStore
from storage.supabase_clients import SupabaseClients, execute, read_time, rows

T = TypeVar("T")

_PAGE = 500
"""Hosted Supabase gives at most 1 000 rows at once."""

_EXPIRED_AT_ONCE = 5_000
_MOVED_AT_ONCE = 10_000

_MEMORY = (
    "id, user_id, category, key, value, created_at, superseded_at, session_id, place, "
    "generation, confidence, source_id, expires_at"
)
_PROFILE = (
    "email, is_first_login, created_at, last_seen_at, "
    "user_profile:user_profiles(profile_text, language, time_zone, updated_at), "
    "onboarding_details(first_name, occupation, interests, updated_at)"
)
_TIMES = ("created_at", "last_seen_at", "updated_at")


class SupabasePeopleStore(PeopleStore):
    """The contract over PostgREST.

    Args:
        clients: gives each user's client; whoever made it closes it.
    """

    def __init__(self, clients: SupabaseClients) -> None:
        self._clients = clients
        self._transcripts = SupabaseTranscriptStore(clients)

    @property
    def transcripts(self) -> TranscriptStore:
        """The transcripts over the same clients."""
        return self._transcripts

    def standing(self, user: str) -> Standing:
        """Read the fence."""
        table = self._clients.client_for(user).table("person_fences")
        query = table.select("generation, remembered").eq("user_id", user).limit(1)
        return execute(query.retry(False), _standing)

    def set_remembering(self, user: str, on: bool) -> int:
        """Say so in one call of ``set_remembering``."""
        call = self._clients.client_for(user).rpc("set_remembering", {"p_user": user, "p_on": on})
        return execute(call, int)

    def records(self, user: str) -> dict[str, Record | None]:
        """Read the three rows in one request."""
        query = self._clients.client_for(user).table("profiles").select(_PROFILE).eq("id", user)
        return execute(query.limit(1).retry(False), lambda data: _records(rows(data)))

    def memories(self, user: str) -> Iterator[Memory]:
        """Read page after page, each from where the last one ended."""
        last: Memory | None = None
        while True:
            query = (
                self._clients.client_for(user).table("memory").select(_MEMORY).eq("user_id", user)
            )
            if last is not None:
                told_at = f'"{last.created_at.isoformat()}"'
                query = query.or_(
                    f"created_at.gt.{told_at},and(created_at.eq.{told_at},id.gt.{last.id})"
                )
            ordered = query.order("created_at").order("id").limit(_PAGE)
            page = execute(ordered.retry(False), read_memories)
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]

    def erase(self, user: str, idle_since: datetime | None = None) -> Erasure | None:
        """Erase in one call of ``erase_person``."""
        since = None if idle_since is None else idle_since.isoformat()
        client = self._clients.client_for(user)
        call = client.rpc("erase_person", {"p_user": user, "p_idle_since": since})
        return execute(call, _erasure)

    def move(self, source: str, target: str, target_email: str | None) -> Move:
        """Move in calls of ``move_person``: one, but for people of very many memories.

        Each is a transaction; the last one erases the source.
        """
        arguments = {"p_source": source, "p_target": target, "p_email": target_email}
        merged_keys: int | None = None
        memories = 0
        while True:
            [row] = self._as_service("move_person", {**arguments, "p_limit": _MOVED_AT_ONCE}, rows)
            memories += row["memories"]
            merged_keys = row["merged_keys"] if merged_keys is None else merged_keys
            if row["done"]:
                return Move(row["moved"], memories, merged_keys, row["generation"])

    def restore_memories(self, user: str, memories: Sequence[Memory]) -> int:
        """Write them in one call of ``restore_memories``."""
        if not memories:
            return 0
        given = [_with_history(memory) for memory in memories]
        return self._as_service("restore_memories", {"p_user": user, "p_memories": given}, int)

    def restore_records(
        self, user: str, records: dict[str, Record | None], generation: int
    ) -> bool:
        """Add them in one call of ``restore_person``."""
        arguments = {"p_user": user, "p_person": records, "p_generation": generation}
        return self._as_service("restore_person", arguments, bool)

    def raise_fence(self, user: str, standing: Standing) -> None:
        """Raise it in one call of ``raise_fence``."""
        arguments = {
            "p_user": user,
            "p_generation": standing.generation,
            "p_remembered": standing.remembered,
        }
        self._as_service("raise_fence", arguments, lambda _: None)

    def everybody(self) -> Iterator[str]:
        """List them by ``list_people``, page by page."""
        return self._ids("list_people", {})

    def idle(self, since: datetime) -> Iterator[str]:
        """List them by ``list_idle_people``, page by page."""
        return self._ids("list_idle_people", {"p_since": since.isoformat()})

    def delete_expired(self) -> int:
        """Delete in calls of ``delete_expired_memories``, each of which is soon done."""
        total = 0
        while True:
            arguments = {"p_limit": _EXPIRED_AT_ONCE}
            gone = self._as_service("delete_expired_memories", arguments, int)
            total += gone
            if gone < _EXPIRED_AT_ONCE:
                return total

    def _ids(self, function: str, arguments: dict[str, Any]) -> Iterator[str]:
        last: str | None = None
        while True:
            page = self._as_service(
                function, {**arguments, "p_after": last, "p_limit": _PAGE}, rows
            )
            yield from (row["user_id"] for row in page)
            if len(page) < _PAGE:
                return
            last = page[-1]["user_id"]

    def _as_service(self, function: str, arguments: dict[str, Any], read: Callable[[Any], T]) -> T:
        return execute(self._clients.service_client().rpc(function, arguments), read)


def _standing(data: Any) -> Standing:
    found = rows(data)
    if not found:
        return Standing(generation=0, remembered=True)
    return Standing(int(found[0]["generation"]), bool(found[0]["remembered"]))


def _erasure(data: Any) -> Erasure | None:
    found = rows(data)
    return Erasure(**found[0]) if found else None


def _records(found: list[Record]) -> dict[str, Record | None]:
    profile = found[0] if found else {}
    user_profile = profile.pop("user_profile", None)
    onboarding_details = profile.pop("onboarding_details", None)
    return {
        "profile": _in_utc(profile or None),
        "user_profile": _in_utc(user_profile),
        "onboarding_details": _in_utc(onboarding_details),
    }


def _in_utc(row: Record | None) -> Record | None:
    if row is None:
        return None
    times = {name: read_time(row[name]).isoformat() for name in _TIMES if row.get(name)}
    return {**row, **times}


def _with_history(memory: Memory) -> Record:
    end = memory.superseded_at
    ended = None if end is None else end.isoformat()
    return {**written(as_write(memory)), "place": memory.place, "superseded_at": ended}
