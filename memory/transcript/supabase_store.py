"""Transcripts in Supabase, by migrations/0008_transcripts.sql."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from memory.transcript.model import TranscriptTurn
from memory.transcript.store import TranscriptStore
from storage.supabase_clients import SupabaseClients, execute, read_time, rows

_PAGE = 500
"""Hosted Supabase gives at most 1 000 rows at once."""

_IDS_AT_ONCE = 100
"""Ids are part of the address, which gateways bound at 8 KB."""

_DELETED_AT_ONCE = 5_000
_COLUMNS = "id, session_id, role, text, said_at, generation"


class SupabaseTranscriptStore(TranscriptStore):
    """The contract over PostgREST.

    Args:
        clients: gives each user's client; whoever made it closes it.
    """

    def __init__(self, clients: SupabaseClients) -> None:
        self._clients = clients

    def keep(self, user: str, turns: Sequence[TranscriptTurn]) -> list[str]:
        """Keep them in one call of ``keep_turns``, which is one transaction."""
        if not turns:
            return []
        arguments = {"p_user": user, "p_turns": [_written(turn) for turn in turns]}
        return execute(self._clients.client_for(user).rpc("keep_turns", arguments), _ids)

    def turns(self, user: str, session_id: str | None = None) -> Iterator[TranscriptTurn]:
        """Read page after page, each from where the last one ended."""
        last: TranscriptTurn | None = None
        while True:
            query = self._clients.client_for(user).table("turns").select(_COLUMNS)
            query = query.eq("user_id", user)
            if session_id is not None:
                query = query.eq("session_id", session_id)
            if last is not None:
                said_at = f'"{last.said_at.isoformat()}"'
                query = query.or_(f"said_at.gt.{said_at},and(said_at.eq.{said_at},id.gt.{last.id})")
            ordered = query.order("said_at").order("id").limit(_PAGE)
            page = execute(ordered.retry(False), _read)
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]

    def remove(self, user: str, ids: Sequence[str]) -> int:
        """Delete them, some in each request."""
        gone = 0
        for start in range(0, len(ids), _IDS_AT_ONCE):
            query = self._clients.client_for(user).table("turns").delete()
            query = query.eq("user_id", user).in_("id", ids[start : start + _IDS_AT_ONCE])
            gone += len(execute(query, rows))
        return gone

    def delete_before(self, moment: datetime) -> int:
        """Delete in calls of ``delete_turns_before``, each of which is soon done."""
        arguments = {"p_before": moment.isoformat(), "p_limit": _DELETED_AT_ONCE}
        total = 0
        while True:
            client = self._clients.service_client()
            gone = execute(client.rpc("delete_turns_before", arguments), int)
            total += gone
            if gone < _DELETED_AT_ONCE:
                return total


def _written(turn: TranscriptTurn) -> dict[str, Any]:
    return {
        "id": turn.id,
        "session_id": turn.session_id,
        "role": turn.role,
        "text": turn.text,
        "said_at": turn.said_at.isoformat(),
        "generation": turn.generation,
    }


def _ids(data: Any) -> list[str]:
    if not isinstance(data, list):
        raise TypeError("not a list of ids")
    return [str(each) for each in data]


def _read(data: Any) -> list[TranscriptTurn]:
    return [
        TranscriptTurn(
            row["id"],
            row["session_id"],
            row["role"],
            row["text"],
            read_time(row["said_at"]),
            row["generation"],
        )
        for row in rows(data)
    ]
