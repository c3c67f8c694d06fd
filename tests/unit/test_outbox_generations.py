"""A write that does not name its generation is of the person's own, which the database knows."""

from __future__ import annotations

import threading
import uuid

import pytest

from memory import Category, NewMemory
from memory.outbox import Drainer, OutboxFile, OutboxMemoryStore, OutboxUnwritableError
from memory.outbox.generations import Generations
from people import SqlitePeopleStore
from storage import StorageUnavailableError
from tests.outbox import Database, new

pytest_plugins = ["tests.unit.outbox_fixtures"]

ALICE = str(uuid.uuid4())
AWAY = StorageUnavailableError("away")


@pytest.fixture
def people(database):
    """What another host does to the same people."""
    return SqlitePeopleStore(database.files)


@pytest.fixture
def store(outbox, database):
    with OutboxMemoryStore(outbox, database) as made:
        yield made


@pytest.fixture
def asked(database: Database, monkeypatch) -> list[str]:
    """Whose generation the database was asked for."""
    users: list[str] = []
    generation = database.generation

    def ask(user: str) -> int | None:
        users.append(user)
        return generation(user)

    monkeypatch.setattr(database, "generation", ask)
    return users


def delivered(outbox: OutboxFile, database: Database) -> list[str]:
    Drainer(outbox, lambda: database).run_once()
    return database.values(ALICE)


@pytest.mark.parametrize("what", ["an erasure", "opting out and in again"])
def test_what_is_told_after_it_happened_on_another_host_is_kept(
    store, outbox, database, people, what
):
    if what == "an erasure":
        people.erase(ALICE)
    else:
        people.set_remembering(ALICE, False)
        people.set_remembering(ALICE, True)
    assert [memory.generation for memory in store.store(ALICE, [new("blue")])] == [1]
    assert delivered(outbox, database) == ["blue"]


def test_the_database_is_asked_once_a_person_and_only_where_it_is_needed(store, asked):
    store.store(ALICE, [new("told in a session", generation=0)])
    assert asked == []
    for value in ("blue", "red"):
        store.store(ALICE, [new(value)])
    assert asked == [ALICE]


def test_nothing_is_acknowledged_for_somebody_who_is_not_remembered(store, outbox, people):
    people.set_remembering(ALICE, False)
    assert store.store(ALICE, [new("blue")]) == []
    assert outbox.counts() == (0, 0)
    people.set_remembering(ALICE, True)
    assert [memory.value for memory in store.store(ALICE, [new("blue")])] == ["blue"]


def test_while_the_database_is_away_a_write_is_taken_and_it_is_not_asked_each_time(
    store, outbox, database, asked, caplog
):
    database.away = AWAY
    for value in ("blue", "red"):
        assert [memory.value for memory in store.store(ALICE, [new(value)])] == [value]
    assert asked == [ALICE]
    assert "a write's generation cannot be asked for" in caplog.messages
    database.away = None
    assert delivered(outbox, database) == ["blue", "red"]


def test_once_it_is_back_it_is_asked_again(outbox, database, people):
    people.erase(ALICE)
    database.away = AWAY
    generations = Generations(outbox, database, again_s=0)
    assert generations.learn(ALICE)
    assert outbox.generation(ALICE) == 0
    database.away = None
    assert generations.learn(ALICE)
    assert outbox.generation(ALICE) == 1
    generations.close()


def test_a_database_that_hangs_holds_up_one_write_for_the_deadline_and_is_heard_later(
    outbox, database, people, asked, monkeypatch
):
    people.erase(ALICE)
    answers = threading.Event()
    generation = database.generation
    monkeypatch.setattr(database, "generation", lambda user: answers.wait(20) and generation(user))
    generations = Generations(outbox, database, answer_s=0.05)
    assert generations.learn(ALICE)
    assert outbox.generation(ALICE) == 0
    assert generations.learn(ALICE)  # and does not ask again while the first is under way
    answers.set()
    question = generations._people[ALICE]
    assert question is not None
    question.join(10)
    assert generations.learn(ALICE)
    assert outbox.generation(ALICE) == 1
    assert asked == [ALICE]
    generations.close()


def test_an_outbox_that_cannot_be_written_does_not_stop_a_write(
    outbox, database, people, monkeypatch
):
    people.erase(ALICE)

    def broken(*_: object) -> None:
        raise OutboxUnwritableError("disk full", "free space under DATA_DIR")

    for name in ("append", "generation", "learn_generation"):
        monkeypatch.setattr(outbox, name, broken)
    with OutboxMemoryStore(outbox, database) as store:
        [stored] = store.store(ALICE, [NewMemory(Category.FACT, "color", "blue")])
    assert stored.generation == 1
