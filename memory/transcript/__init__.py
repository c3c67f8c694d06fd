"""What was said, word for word, by both sides: kept only where the operator wants it.

A transcript is no memory. Nothing is recalled from it, facts are not read from it, and it is
deleted when it is as old as the operator says. It does not go through the outbox: what the
store does not take before the conversation ends is lost.
"""

from __future__ import annotations

from memory.transcript.keeper import TranscriptKeeper
from memory.transcript.model import Role, TranscriptTurn
from memory.transcript.sqlite_store import SqliteTranscriptStore
from memory.transcript.store import TranscriptStore
from memory.transcript.supabase_store import SupabaseTranscriptStore
from storage import Storage, default_storage

__all__ = [
    "Role",
    "SqliteTranscriptStore",
    "SupabaseTranscriptStore",
    "TranscriptKeeper",
    "TranscriptStore",
    "TranscriptTurn",
    "open_default_transcripts",
    "open_transcript_store",
]


def open_transcript_store(storage: Storage) -> TranscriptStore:
    """Return the transcripts of an open storage."""
    if storage.supabase is not None:
        return SupabaseTranscriptStore(storage.supabase)
    if storage.people is None:
        raise ValueError("the storage has neither Supabase nor a data folder")
    return SqliteTranscriptStore(storage.people)


def open_default_transcripts() -> TranscriptStore:
    """Return the transcripts in the store that the environment names.

    Raises:
        ConfigError: the environment does not say how to reach the storage.
    """
    return open_transcript_store(default_storage())
