"""Interleaved users of one memory, in tasks, threads and to_thread, never meet."""

from __future__ import annotations

import asyncio
import contextvars
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import MemoryManager, SqliteMemoryStore
from session_context import set_session_user
from storage.person_file import PersonFiles

PEOPLE = [f"{name}@example.com" for name in ("alice", "bob", "carol", "dave")]
KEYS = ["color", "city"]

steps = st.lists(
    st.tuples(
        st.sampled_from(["store", "retrieve", "search", "list", "forget", "pause"]),
        st.sampled_from(KEYS),
        st.integers(0, 9),
    ),
    max_size=12,
)
scripts = st.lists(steps, min_size=2, max_size=len(PEOPLE))


@pytest.fixture(scope="module")
def people() -> Iterator[PersonFiles]:
    with tempfile.TemporaryDirectory() as folder:
        files = PersonFiles(Path(folder))
        yield files
        files.close()


class Life:
    """One person's steps, each checked against what only they have done."""

    def __init__(self, memory: MemoryManager, identity: str, round_: int) -> None:
        self.memory, self.identity = memory, identity
        self.prefix = f"{identity.split('@')[0]}{round_}"
        self.known: dict[str, str] = {}

    def key(self, key: str) -> str:
        return f"{key}-{self.prefix.removeprefix(self.identity.split('@')[0])}"

    def step(self, action: str, key: str, number: int) -> None:
        value = f"{self.prefix} likes thing{number}"
        if action == "store":
            self.memory.store("FACT", self.key(key), value)
            self.known[key] = value
        elif action == "forget":
            assert self.memory.forget("FACT", self.key(key)) > 0 or key not in self.known
            self.known.pop(key, None)
        elif action == "retrieve":
            assert self.memory.retrieve("FACT", self.key(key)) == self.known.get(key)
        elif action == "search":
            found = {m.value for m in self.memory.search(f"thing{number} likes", 200)}
            assert all(value.startswith(self.prefix[: len(self.prefix) - 1]) for value in found)
            assert {v for v in self.known.values() if f"thing{number}" in v} <= found
        elif action == "list":
            values = {m.value for m in self.memory.list_memories(limit=200)}
            assert set(self.known.values()) <= values
            assert all(value.startswith(self.identity.split("@")[0]) for value in values)


_round = iter(range(10_000))


def lives(people: PersonFiles, count: int) -> list[Life]:
    memory = MemoryManager(lambda: SqliteMemoryStore(people))
    number = next(_round) % 10
    made = [Life(memory, identity, number) for identity in PEOPLE[:count]]
    for life in made:
        set_session_user(life.identity)
        for key in KEYS:
            memory.forget("FACT", life.key(key))
    return made


@settings(max_examples=40)
@given(scripts)
async def test_users_in_interleaved_tasks(people, scripts):
    async def live(life: Life, script: list[tuple[str, str, int]]) -> None:
        set_session_user(life.identity)
        for step in script:
            await asyncio.sleep(0)
            life.step(*step)

    await asyncio.gather(*map(live, lives(people, len(scripts)), scripts))


@settings(max_examples=25)
@given(scripts)
async def test_users_whose_calls_run_in_worker_threads(people, scripts):
    async def live(life: Life, script: list[tuple[str, str, int]]) -> None:
        set_session_user(life.identity)
        for step in script:
            await asyncio.to_thread(life.step, *step)

    await asyncio.gather(*map(live, lives(people, len(scripts)), scripts))


@settings(max_examples=25)
@given(scripts)
def test_users_in_threads_of_their_own(people, scripts):
    def live(life: Life, script: list[tuple[str, str, int]]) -> None:
        set_session_user(life.identity)
        for step in script:
            life.step(*step)

    with ThreadPoolExecutor(len(scripts)) as executor:
        for lived in [
            executor.submit(contextvars.copy_context().run, live, life, script)
            for life, script in zip(lives(people, len(scripts)), scripts, strict=True)
        ]:
            lived.result()
