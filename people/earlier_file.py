"""The file that this host holds of a person although Supabase is the store.

It is left by ``copy --from sqlite --to supabase``, and from where SQLite took over for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from config import Settings
from people.export import memory_record, turn_record
from people.model import Record, Standing
from people.sqlite_store import SqlitePeopleStore
from storage.person_file import PersonFiles


def erase_file(user: str, generation: int) -> int:
    """Erase what the person's file holds, and return how many memories and rows that were.

    Raises:
        ErasureUnfinishedError: all is erased, but deleted bytes are still in the file.
    """
    with _file_of(user) as store:
        if store is None:
            return 0
        try:
            erasure = store.erase(user)
        finally:
            # A later copy to Supabase then brings what was told since.
            store.raise_fence(user, Standing(generation, remembered=True))
        if erasure is None:
            raise AssertionError("an erasure without a condition always happens")
    rows = (erasure.profile, erasure.user_profile, erasure.onboarding_details)
    return erasure.memories + sum(rows)


def export_file(user: str) -> Iterator[Record]:
    """Yield what the person's file holds."""
    with _file_of(user) as store:
        if store is None:
            return
        for kind, record in store.records(user).items():
            if record is not None:
                yield {"kind": kind, **record}
        for memory in store.memories(user):
            yield {"kind": "memory", **memory_record(memory)}
        for turn in store.transcripts.turns(user):
            yield {"kind": "turn", **turn_record(turn)}


@contextmanager
def _file_of(user: str) -> Iterator[SqlitePeopleStore | None]:
    files = PersonFiles(Settings.from_environment().store.data_dir)
    try:
        yield SqlitePeopleStore(files) if files.has(user) else None
    finally:
        files.close()
