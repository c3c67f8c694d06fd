"""What was forgotten stays so, whatever waits or is set aside; and what is told again is kept."""

from __future__ import annotations

import uuid

import pytest

from memory import Category
from memory.outbox import OutboxMemoryStore, OutboxUnwritableError
from memory.outbox.delivery import Delivery
from tests.outbox import new

pytest_plugins = ["tests.unit.outbox_fixtures"]

ALICE = str(uuid.uuid4())
FACT = Category.FACT
FULL = OutboxUnwritableError("disk full", "free space under DATA_DIR")


@pytest.fixture
def store(outbox, database):
    return OutboxMemoryStore(outbox, database)


@pytest.fixture
def deliver(outbox, database):
    def all_of_it() -> None:
        delivery = Delivery(outbox, database)
        while delivery.deliver(ALICE):
            pass

    return all_of_it


def refuse_appends(monkeypatch, outbox) -> None:
    def append(user, writes):
        raise FULL

    monkeypatch.setattr(outbox, "append", append)


def test_what_is_told_again_after_it_was_forgotten_is_kept_though_all_of_it_waits(
    store, database, deliver
):
    address = new("Elm Street", "address")
    store.store(ALICE, [address])
    store.forget(ALICE, FACT, "address")
    store.store(ALICE, [address])  # as an undo does, with the same id
    found = store.retrieve(ALICE, FACT, "address")
    assert found is not None
    assert found.value == "Elm Street"
    deliver()
    assert database.values(ALICE) == ["Elm Street"]


def test_a_write_is_appended_once_where_only_another_category_was_forgotten(store, outbox):
    address = new("Elm Street", "address")
    store.store(ALICE, [address])
    store.forget(ALICE, Category.GOAL, "address")
    store.store(ALICE, [address])
    assert [entry.kind for entry in outbox.waiting(ALICE)] == ["remember", "forget"]


@pytest.mark.parametrize("category", [FACT, None])
def test_what_is_set_aside_does_not_come_back_after_it_was_forgotten(
    store, outbox, database, deliver, category
):
    database.poison = lambda memory: True
    store.store(ALICE, [new("Elm Street", "address"), new("Rome", "city")])
    deliver()
    store.forget(ALICE, category, "address")
    database.poison = lambda memory: False
    deliver()
    outbox.retry_all()
    deliver()
    assert database.values(ALICE) == ["Rome"]


def test_what_is_set_aside_does_not_come_back_after_it_was_withdrawn(
    store, outbox, database, deliver
):
    database.poison = lambda memory: True
    address = new("Elm Street", "address")
    store.store(ALICE, [address])
    deliver()
    assert store.withdraw(ALICE, address.id)
    database.poison = lambda memory: False
    outbox.retry_all()
    deliver()
    assert database.values(ALICE) == []


def test_an_unwritable_outbox_does_not_bring_back_what_was_forgotten_past_it(
    store, outbox, database, deliver, monkeypatch
):
    store.store(ALICE, [new("Elm Street", "address")])
    refuse_appends(monkeypatch, outbox)
    with pytest.raises(OutboxUnwritableError):
        store.forget(ALICE, FACT, "address")  # it would be delivered after the forgetting
    deliver()
    assert store.forget(ALICE, FACT, "address") == 1
    assert database.values(ALICE) == []


def test_an_undo_waits_with_what_it_undoes_and_can_itself_be_undone(store, database, deliver):
    database.store(ALICE, [new("Rome", "city")])
    oslo = new("Oslo", "city")
    store.store(ALICE, [oslo])
    assert store.withdraw(ALICE, oslo.id)  # nobody delivers meanwhile
    assert [m.value for m in store.history(ALICE, FACT, "city")] == ["Rome"]
    assert [m.value for m in store.list_memories(ALICE, None, 5)] == ["Rome"]
    store.store(ALICE, [oslo])
    assert [m.value for m in store.list_memories(ALICE, None, 5)] == ["Oslo"]
    assert store.withdraw(ALICE, oslo.id)
    deliver()
    assert [m.value for m in store.list_memories(ALICE, None, 5)] == ["Rome"]


def test_what_is_delivered_and_withdrawn_behind_what_waits_is_not_read_any_more(
    store, database, deliver
):
    rome, oslo = new("Rome", "city"), new("Oslo", "city")
    database.store(ALICE, [rome, oslo])
    store.store(ALICE, [new("a dog", "pet")])
    assert store.withdraw(ALICE, oslo.id)
    found = store.retrieve(ALICE, FACT, "city")
    assert found is not None
    assert found.id == rome.id
    assert "Oslo" not in [m.value for m in store.list_memories(ALICE, None, 5)]
    deliver()
    assert sorted(database.values(ALICE)) == ["Rome", "a dog"]
