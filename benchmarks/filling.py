"""Fills a store with a million memories by plain SQL, as one at a time would take an hour."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psycopg

from benchmarks.invented import Speaker
from session_context import livekit_identity_to_uuid
from storage.person_file import PersonFiles, ensure_profile_row

ONE_OF_THE_REST = 1_000
"""How many memories those people have who only fill the store."""

_SQLITE = (
    "INSERT INTO memory (id, category, key, value, created_at, session_id, place) "
    "VALUES (?, 'FACT', ?, ?, ?, ?, ?)"
)
_COPY = (
    "copy public.memory (id, user_id, category, key, value, created_at, session_id, place) "
    "from stdin"
)


def people_of(total: int, sizes: Iterable[int]) -> dict[str, int]:
    """Return how many memories each identity tells, ``total`` in all."""
    people = {f"told-{size}@example.com": size for size in sizes if size <= total}
    left = total - sum(people.values())
    while left > 0:
        people[f"one-of-the-rest-{len(people)}@example.com"] = min(left, ONE_OF_THE_REST)
        left -= ONE_OF_THE_REST
    return people


def fill_sqlite(folder: Path, people: dict[str, int]) -> None:
    """Make a file for each person, where it is not there already."""
    done = folder / "filled"
    if done.exists():
        return
    files = PersonFiles(folder)
    shown = _Progress("filling SQLite", sum(people.values()))
    for seed, (identity, count) in enumerate(people.items()):
        with files.writing(livekit_identity_to_uuid(identity)) as file:
            ensure_profile_row(file, email=None)
            file.execute("DELETE FROM memory")
            told = (
                (m.id, m.key, m.value, int(m.told_at.timestamp() * 1e6), m.session_id, m.place)
                for m in Speaker(seed).tell(count)
            )
            file.executemany(_SQLITE, told)
        shown.advance(count)
    files.close()
    done.touch()


def fill_postgres(url: str, people: dict[str, int]) -> None:
    """Copy everybody's memories into the migrated database, where they are not there already."""
    with psycopg.connect(url, autocommit=True) as database:
        held = database.execute("select count(*) from public.profiles").fetchone()
        if held is not None and held[0] >= len(people):
            return
        definition = database.execute("select pg_get_indexdef('public.memory_search'::regclass)")
        [index] = definition.fetchone() or [""]
        with database.transaction():
            database.execute("truncate public.profiles cascade")
            database.execute("drop index public.memory_search")
            _copy(database, people)
            database.execute("set local maintenance_work_mem = '512MB'")
            database.execute(index)  # built at once: row by row it takes ten times as long
        database.execute("vacuum analyze public.memory")


def _copy(database: psycopg.Connection, people: dict[str, int]) -> None:
    users: Sequence[str] = [livekit_identity_to_uuid(identity) for identity in people]
    database.execute("insert into public.profiles (id) select unnest(%s::uuid[])", [list(users)])
    shown = _Progress("filling Postgres", sum(people.values()))
    with database.cursor().copy(_COPY) as copy:
        for seed, (user, count) in enumerate(zip(users, people.values(), strict=True)):
            for m in Speaker(seed).tell(count):
                copy.write_row(
                    (m.id, user, "FACT", m.key, m.value, m.told_at, m.session_id, m.place)
                )
            shown.advance(count)


class _Progress:
    """Says how far a long work is, every few seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done, self._said_at = 0, time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._said_at > 5:
            self._said_at = time.monotonic()
            print(f"{self._what}: {self._done} of {self._total}", flush=True)
