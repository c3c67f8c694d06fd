"""The person decides while Supabase is away, too: what is to be left out or forgotten waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from memory import NewMemory
from memory.outbox import Drainer, OutboxFile, OutboxMemoryStore
from session_context import get_current_user
from storage import StorageRefusedError, StorageUnavailableError
from tests.outbox import Database, an_outbox
from tests.unit.tool_calls import talk_of

ALICE = "alice@example.com"
STOP: tuple[str, dict[str, object]] = ("stop_remembering", {})
AGAIN: tuple[str, dict[str, object]] = ("remember_again", {})


@pytest.fixture
def outbox(data_dir):
    made = an_outbox(data_dir / "outbox")
    yield made
    made.close()


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path / "database")
    yield made
    made.files.close()


@pytest.fixture
def talking(outbox, database, data_dir):
    """A session whose memories go to `database`, behind an outbox that nobody drains."""
    store = OutboxMemoryStore(outbox, database)
    return lambda **options: talk_of(ALICE, data_dir, open_store=lambda: store, **options)


def deliver(outbox: OutboxFile, database: Database) -> list[str]:
    """Deliver what waits to a database that is back, and return what it holds."""
    database.away = None
    Drainer(outbox, lambda: database).run_once()
    return database.values(get_current_user())


@pytest.mark.parametrize(
    "away", [StorageUnavailableError("away"), StorageRefusedError("the key is refused")]
)
async def test_what_is_not_to_be_remembered_is_not_though_the_database_is_away(
    talking, outbox, database, away
):
    async with talking() as talk:
        database.away = away
        await talk.says("I love hiking")
        [answer] = await talk.says("don't remember this: my PIN is 1234", STOP)
        assert answer.startswith("from now on nothing is remembered")
        await talk.says("My bank is Fidelity")
        [answer] = await talk.says("you can remember again", AGAIN)
        assert answer.startswith("from now on it remembers again")
        await talk.says("I love the sea")
        assert deliver(outbox, database) == ["I love hiking", "I love the sea"]


async def test_what_was_derived_from_it_meanwhile_is_left_out_with_it(talking, outbox, database):
    async with talking() as talk:
        database.away = StorageUnavailableError("away")
        await talk.says("My PIN is 1234")
        said = talk.person.recorder.turn_id(talk.session.history.messages()[0].id)
        fact = NewMemory("FACT", "number", "1234", source_id=said)  # type: ignore[arg-type]
        talk.memory.store_all([fact])
        await talk.says("forget that", ("forget_last", {"what": "said"}))
        assert deliver(outbox, database) == []


async def test_what_the_database_has_already_goes_once_it_is_back(talking, outbox, database):
    async with talking() as talk:
        await talk.says("My PIN is 1234")
        assert deliver(outbox, database) == ["My PIN is 1234"]
        database.away = StorageUnavailableError("away")
        [answer] = await talk.says("forget that", ("forget_last", {"what": "said"}))
        assert answer.startswith('whatever was kept of "My PIN is 1234" goes')
        assert deliver(outbox, database) == []


async def test_what_the_model_stored_is_undone_once_the_database_is_back(talking, outbox, database):
    async with talking() as talk:
        stored = ("store_memory", {"category": "FACT", "key": "city", "value": "Rome"})
        await talk.says("I live in Rome", stored)
        deliver(outbox, database)
        database.away = StorageUnavailableError("away")
        await talk.says("undo", ("undo_last_change", {}))
        assert deliver(outbox, database) == []


async def test_a_pause_begins_and_ends_while_the_database_hangs(
    talking, outbox, database, monkeypatch
):
    answers = threading.Event()
    related = database.related
    monkeypatch.setattr(database, "related", lambda *asked: answers.wait(20) and related(*asked))
    async with talking(JOIN_DEADLINE_MS="50") as talk:
        [answer] = await talk.says("don't remember this: my PIN is 1234", STOP)
        assert "you cannot be sure of it yet" in answer
        [answer] = await talk.says("you can remember again", AGAIN)
        assert answer.startswith("from now on it remembers again")
        answers.set()
        await asyncio.gather(*talk.person._tools.under_way)
        assert deliver(outbox, database) == []


async def test_what_nobody_can_take_back_is_said_to_be_unsure(talking, outbox, monkeypatch, caplog):
    async with talking() as talk:

        def broken(write_id: str) -> bool:
            raise StorageUnavailableError("away, and the disk is full")

        monkeypatch.setattr(talk.memory, "related", broken)
        monkeypatch.setattr(talk.memory, "withdraw", broken)
        [answer] = await talk.says("don't remember this", STOP)
        assert "you cannot be sure of it yet" in answer
        assert "a turn that asks for a tool may be kept" in caplog.messages
