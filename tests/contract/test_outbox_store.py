"""The contract over Supabase with an outbox before it: while all waits, and once it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from config import Settings
from devstack.servers.supabase import SupabaseProject
from memory import Category, Memory, MemoryStore, NewMemory, open_memory_store
from memory.outbox import Drainer, OutboxFile, OutboxMemoryStore
from storage import Storage, open_storage
from tests.contract import test_memory_store as contract
from tests.contract.test_memory_store import NOON, found, new, put, values
from tests.outbox import an_outbox

_OTHERWISE = {
    # Here the outbox promises less; what it does promise stands at the end of this file.
    "test_a_key_that_may_move_on_takes_the_next_free_number",
    "test_memories_of_a_session_know_their_place_in_it",
    "test_what_stands_beside_a_hit_in_its_session_is_found_with_it",
    "test_a_withdrawn_write_gives_its_place_back_to_the_value_before",
}

globals().update(
    {
        name: test
        for name, test in vars(contract).items()
        if name.startswith("test_") and name not in _OTHERWISE
    }
)


class Delivered(OutboxMemoryStore):
    """Answers a write only once it is delivered, with what the database has made of it."""

    def store(self, user: str, memories: Sequence[NewMemory]) -> list[Memory]:
        waiting = super().store(user, memories)
        assert self.drain(user, 10)
        made = {m.id: m for w in waiting for m in self.values_of(user, w.category, w.key)}
        return [made.get(each.id, each) for each in waiting]

    def forget(self, user: str, category: Category | None, key: str) -> int:
        gone = super().forget(user, category, key)
        assert self.drain(user, 10)
        return gone


@pytest.fixture
def storage(supabase: SupabaseProject) -> Iterator[Storage]:
    opened = open_storage(
        Settings.from_environment(
            {
                "SUPABASE_URL": supabase.info.url,
                "SUPABASE_SERVICE_ROLE_KEY": supabase.info.keys.service_role_key,
            }
        ).store
    )
    yield opened
    opened.close()


@pytest.fixture
def outbox(data_dir: Path) -> OutboxFile:
    return an_outbox(data_dir)


@pytest.fixture(params=["waiting", "delivered"])
def store(
    request: pytest.FixtureRequest, storage: Storage, outbox: OutboxFile
) -> Iterator[MemoryStore]:
    database = open_memory_store(storage)
    if request.param == "waiting":
        made = OutboxMemoryStore(outbox, database)
    else:
        drainer = Drainer(outbox, lambda: database)
        drainer.start()
        made = Delivered(outbox, database, drainer)
    yield made
    made.close()


@pytest.fixture
def raise_fence(storage: Storage, outbox: OutboxFile) -> Callable[[str, int], None]:
    """As an erasure on this host does."""

    def raise_to(person: str, generation: int) -> None:
        assert storage.supabase is not None
        table = storage.supabase.client_for(person).table("person_fences")
        table.upsert({"user_id": person, "generation": generation}).execute()
        outbox.learn_generation(person, generation)

    return raise_to


def test_a_key_that_may_move_on_takes_a_number_that_no_other_has(store, user):
    turns = [
        new(str(n), "user_input_1700000000123", list(Category)[n], next_free_key=True)
        for n in range(3)
    ]
    keys = [memory.key for memory in put(store, user, *turns)]
    assert keys == [f"user_input_170000000012{n}" for n in (3, 4, 5)]
    put(store, user, turns[1])
    assert len(store.list_memories(user, None, 10)) == 3


def test_once_delivered_memories_of_a_session_know_their_place_in_it(store, user):
    for number in range(3):
        put(store, user, new(str(number), f"k{number}", session_id="s-1"))
    places = {m.value: m.place for m in store.list_memories(user, None, 10)}
    waits = not isinstance(store, Delivered)
    assert places == ({"0": None, "1": None, "2": None} if waits else {"0": 1, "1": 2, "2": 3})


def test_once_delivered_what_stands_beside_a_hit_in_its_session_is_found_with_it(store, user):
    told = ["Which instrument?", "A cello"]
    put(store, user, *(new(text, f"k{n}", session_id="s-1") for n, text in enumerate(told)))
    waits = not isinstance(store, Delivered)
    around = values(found(store, user, "instrument"))
    assert set(around) == set(told[:1] if waits else told)


def test_a_withdrawn_write_gives_way_to_the_value_before(store, user):
    [blue] = put(store, user, new("blue", created_at=NOON, session_id="s"))
    [red] = put(store, user, new("red", created_at=NOON + timedelta(seconds=1)))
    assert store.withdraw(user, red.id) is True
    assert [m.id for m in store.history(user, Category.FACT, "color")] == [blue.id]
    assert store.retrieve(user, Category.FACT, "color").value == "blue"
    assert found(store, user, "red") == []
    assert store.withdraw(user, red.id) is False


def test_what_was_withdrawn_or_forgotten_can_be_told_again_by_the_same_id(store, user):
    blue = new("blue", "color")
    put(store, user, blue)
    store.withdraw(user, blue.id)
    put(store, user, blue)
    assert store.retrieve(user, Category.FACT, "color").value == "blue"
    store.forget(user, None, "color")
    put(store, user, blue)
    assert store.retrieve(user, Category.FACT, "color").value == "blue"


def test_a_withdrawal_that_waits_hides_what_the_database_still_has(storage, outbox, user):
    database = open_memory_store(storage)
    put(database, user, new("old color", "color", created_at=NOON))
    [newer] = put(database, user, new("new color", "color"))
    store = OutboxMemoryStore(outbox, database)
    put(store, user, new("a dog", "pet"))  # and so the withdrawal waits behind it
    assert store.withdraw(user, newer.id) is True
    current = store.retrieve(user, Category.FACT, "color")
    assert current is not None
    assert current.value == "old color"
    assert values(store.history(user, Category.FACT, "color")) == ["old color"]
    assert values(database.list_memories(user, None, 5)) == ["new color"]
    Drainer(outbox, lambda: database).run_once()
    assert set(values(database.list_memories(user, None, 5))) == {"old color", "a dog"}
    store.close()


def test_what_waits_is_laid_over_what_is_there(storage, outbox, user):
    database = open_memory_store(storage)
    put(database, user, new("old color", "color", created_at=NOON), new("Paris", "city"))
    store = OutboxMemoryStore(outbox, database)
    put(store, user, new("new color", "color"), new("a dog", "pet"))
    assert values(store.history(user, Category.FACT, "color")) == ["new color", "old color"]
    assert values(found(store, user, "color")) == ["new color"]
    assert values(store.list_memories(user, None, 2)) == ["a dog", "new color"]
    assert store.forget(user, None, "color") == 2
    assert store.forget(user, Category.FACT, "city") == 1
    assert values(store.list_memories(user, None, 5)) == ["a dog"]
    assert found(store, user, "color paris") == []
    store.close()
