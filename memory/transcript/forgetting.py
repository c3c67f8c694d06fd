"""Which turns of a transcript go when a memory is forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from memory.model import Memory
from memory.transcript.store import TranscriptStore


def told_in(store: TranscriptStore, user: str, memories: Sequence[Memory]) -> list[str]:
    """Return the ids of the turns in which memories were told, and of the answers to them.

    A memory and the turn that it was told in have one time; a blocking call.
    """
    found: list[str] = []
    for session_id in {memory.session_id for memory in memories}:
        moments = {each.created_at for each in memories if each.session_id == session_id}
        is_told = False
        for turn in store.turns(user, session_id):
            if turn.role == "user":
                is_told = turn.said_at in moments
            if is_told:
                found.append(turn.id)
    return found
