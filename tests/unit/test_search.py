"""Search over a person's file: what is found, what never is, and when nothing is relevant."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import Category, MemoryManager, NewMemory, SqliteMemoryStore
from memory.search import search
from session_context import set_session_user
from storage.person_file import PersonFiles

NOW = datetime(2026, 5, 20, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def store() -> Iterator[SqliteMemoryStore]:
    with tempfile.TemporaryDirectory() as folder:
        files = PersonFiles(Path(folder))
        yield SqliteMemoryStore(files)
        files.close()


@pytest.fixture
def memory(store: SqliteMemoryStore) -> MemoryManager:
    set_session_user(f"{uuid.uuid4()}@example.com")
    return MemoryManager(lambda: store)


def test_nothing_is_recalled_where_nothing_is_relevant(memory):
    memory.store("FACT", "sister", "My sister Ana lives in Lisbon and paints")
    memory.store("FACT", "walk", "The walk to work takes ten minutes")
    assert [m.key for m in memory.recall("Where does my sister live?")] == ["sister"]
    for said in (
        "How are you today?",
        "Please set an alarm for ten in the morning tomorrow",
        "Tell me a joke about penguins",
        "okay thanks a lot",
        "",
    ):
        assert memory.recall(said) == []


def test_a_search_by_name_shows_what_a_recall_would_not(memory):
    memory.store("FACT", "walk", "The walk to work takes ten minutes")
    said = "Please set an alarm for ten in the morning tomorrow"
    assert [m.key for m in memory.search(said)] == ["walk"]


def test_what_only_mentions_a_time_recalls_nothing_of_that_time(memory):
    memory.store("FACT", "walk", "The walk to work takes ten minutes")
    for said in ("How are you today?", "I did it today.", "Today!", "Can you do it this week?"):
        assert memory.recall(said) == []
    assert [m.key for m in memory.recall("What did I tell you today?")] == ["walk"]


def test_of_a_long_speech_a_memory_need_hold_only_a_part(memory):
    memory.store("FACT", "cello", "I play the cello in the city orchestra")
    said = (
        "So yesterday evening after dinner we talked with the neighbours and somebody wanted a "
        "cello for the orchestra, because the old wooden one broke during the winter concert"
    )
    assert [m.key for m in memory.recall(said)] == ["cello"]


@pytest.mark.parametrize("limit", [1, 7, 200])
def test_no_more_is_found_than_was_asked_for(memory, limit):
    memory.store_all([NewMemory(Category.FACT, f"k{n}", f"cat number {n}") for n in range(150)])
    assert len(memory.search("my cat", limit)) == min(limit, 150)


_words = st.sampled_from(
    "cat dog red green house Lisbon may 2023 'quoted\" OR NEAR( * went".split()
)
_sentences = st.lists(_words, min_size=1, max_size=6).map(" ".join)
_tellings = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(["k1", "k2", "k3", "k4"]),
        _sentences,
        st.sampled_from([None, "s-1", "s-2"]),
        st.integers(0, 400),
        st.sampled_from([None, -1, 1]),
    ),
    max_size=15,
)


@settings(max_examples=60)
@given(_tellings, _sentences, st.integers(1, 6))
def test_only_what_is_current_and_the_persons_own_is_found(store, tellings, question, limit):
    people = {name: str(uuid.uuid4()) for name in ("alice", "bob")}
    for name, key, value, session, age, expires in tellings:
        ends = None if expires is None else datetime.now(timezone.utc) + timedelta(days=expires)
        told_at = NOW - timedelta(days=age)
        new = NewMemory(Category.FACT, key, value, told_at, session_id=session, expires_at=ends)
        store.store(people[name], [new])
    for user in people.values():
        found = search(store, user, question, limit, now=NOW)
        current = store.list_memories(user, None, 100)
        assert len(found) == len({m.id for m in found}) <= limit
        assert {m.id for m in found} <= {m.id for m in current}
        assert all(m.user == user and m.superseded_at is None for m in found)
        assert found == search(store, user, question, limit, now=NOW)


@settings(max_examples=60)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_can_be_told_and_asked(store, told, asked):
    user = str(uuid.uuid4())
    if told.strip() and "\x00" not in told:
        store.store(user, [NewMemory(Category.FACT, "k", told)])
    for text in (told, asked):
        assert len(search(store, user, text, 5, now=NOW)) <= 1
