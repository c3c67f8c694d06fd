"""What was stored is read back at once, wherever it lies and whatever is broken."""

from __future__ import annotations

import tempfile
import threading
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import Category, Memory, MemoryStore, SqliteMemoryStore
from memory.outbox import Drainer, OutboxFullError, OutboxMemoryStore, OutboxUnwritableError
from memory.outbox.overlay import sharing_a_word
from memory.search import search as ranked
from storage import StorageRejectedError, StorageUnavailableError
from storage.person_file import PersonFiles
from tests.outbox import Database, an_outbox, new, now

pytest_plugins = ["tests.unit.outbox_fixtures"]

ALICE, BOB = str(uuid.uuid4()), str(uuid.uuid4())
FACT = Category.FACT
AWAY = StorageUnavailableError("away")


@pytest.fixture
def store(outbox, database):
    return OutboxMemoryStore(outbox, database)


def values(memories: list[Memory]) -> list[str]:
    return [memory.value for memory in memories]


def search(store: MemoryStore, text: str) -> list[Memory]:
    return ranked(store, ALICE, text, 10, now=datetime.now(timezone.utc))


def told(store: OutboxMemoryStore, key: str) -> str | None:
    found = store.retrieve(ALICE, FACT, key)
    return found.value if found else None


def test_what_was_stored_is_retrieved_while_the_database_is_away(store, database):
    database.away = AWAY
    store.store(ALICE, [new("blue", "color")])
    store.store(ALICE, [new("red", "color"), new("Paris", "city")])
    assert told(store, "color") == "red"
    assert told(store, "city") == "Paris"
    store.forget(ALICE, FACT, "city")
    assert store.retrieve(ALICE, FACT, "city") is None


def test_what_the_outbox_cannot_answer_is_not_hidden(store, database):
    store.store(ALICE, [new("blue", "color")])
    database.away = AWAY
    for read in (
        lambda: store.retrieve(ALICE, FACT, "other"),
        lambda: search(store, "blue"),
        lambda: store.list_memories(ALICE, None, 5),
        lambda: store.history(ALICE, FACT, "color"),
    ):
        with pytest.raises(StorageUnavailableError):
            read()


def test_storing_and_retrieving_never_wait_for_a_database_that_hangs(outbox, database):
    database.passing.clear()
    drainer = Drainer(outbox, lambda: database)
    drainer.start()
    with OutboxMemoryStore(outbox, database, drainer) as store:
        store.store(ALICE, [new("blue", "color")])
        assert database.entered.wait(5)
        store.store(ALICE, [new("red", "color")])
        assert told(store, "color") == "red"
        assert not store.drain(ALICE, 0.05)
        database.passing.set()
        assert store.drain(ALICE, 10)
    assert database.values(ALICE) == ["blue", "red"]


def test_an_older_value_that_waits_does_not_hide_the_current_one(store, database):
    database.store(ALICE, [new("told later", "color", created_at=now() - timedelta(days=1))])
    store.store(ALICE, [new("told earlier", "color", created_at=now() - timedelta(days=2))])
    assert told(store, "color") == "told later"
    assert values(store.list_memories(ALICE, None, 5)) == ["told later"]
    assert values(store.history(ALICE, FACT, "color")) == ["told later", "told earlier"]


def test_forgetting_counts_what_is_known_and_promises_what_is_not(store, database):
    database.store(ALICE, [new("blue", "color")])
    store.store(ALICE, [new("red", "color")])
    assert store.forget(ALICE, None, "color") == 2
    assert store.forget(ALICE, FACT, "color") == 0
    database.away = AWAY
    assert store.forget(ALICE, FACT, "city") == 1


def test_what_waits_is_seen_by_another_process_and_by_nobody_else(store, database, data_dir):
    store.store(ALICE, [new("blue", "color")])
    there = OutboxMemoryStore(an_outbox(data_dir), database)
    assert told(there, "color") == "blue"
    assert there.retrieve(BOB, FACT, "color") is None
    assert there.list_memories(BOB, None, 5) == []
    store.store(ALICE, [new("red", "color")])
    assert told(there, "color") == "red"
    there.close()


def test_a_memory_that_cannot_be_stored_is_rejected_at_once(store, outbox):
    broken = new("b")
    object.__setattr__(broken, "value", "a\x00b")
    with pytest.raises(StorageRejectedError):
        store.store(ALICE, [broken])
    assert outbox.counts() == (0, 0)


def test_where_the_outbox_cannot_be_written_the_write_goes_to_the_database(
    tmp_path, database, caplog
):
    (tmp_path / "file").write_text("")
    store = OutboxMemoryStore(an_outbox(tmp_path / "file"), database)
    for value in ("blue", "red"):
        store.store(ALICE, [new(value, "color")])
    assert database.values(ALICE) == ["blue", "red"]
    assert told(store, "color") == "red"
    assert store.forget(ALICE, FACT, "color") == 2
    assert store.drain(ALICE, 0.1) is False
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert "DATA_DIR" in errors[0].error


def test_a_full_disk_costs_no_write_and_what_waits_is_still_read(store, outbox, database):
    store.store(ALICE, [new("waits", "first")])
    with outbox._writer.use() as file:
        file.execute("PRAGMA max_page_count = 1")
    store.store(ALICE, [new("x" * 9000, "second")])
    assert database.values(ALICE) == ["x" * 9000]
    assert told(store, "first") == "waits"


def test_at_its_bound_the_outbox_refuses_and_says_so(data_dir, database, caplog):
    outbox = an_outbox(data_dir, max_bytes=1)
    store = OutboxMemoryStore(outbox, database)
    for _ in range(3):
        with pytest.raises(OutboxFullError):
            store.store(ALICE, [new("blue", "color")])
    assert database.values(ALICE) == []
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    store.close()


def test_reading_never_fails_for_a_broken_outbox(store, outbox, database, monkeypatch):
    database.store(ALICE, [new("blue", "color")])

    def broken() -> None:
        raise OutboxUnwritableError("damaged", "mend it")

    monkeypatch.setattr(outbox, "version", broken)
    assert told(store, "color") == "blue"
    assert values(search(store, "blue")) == ["blue"]


def test_a_word_is_shared_by_its_stem_in_any_case(store):
    memories = [Memory("1", ALICE, FACT, "my_hobby", "I love READING", now())]
    assert sharing_a_word(memories, [["painted"], ["reads"]]) == [(memories[0], {1})]
    assert sharing_a_word(memories, [["hobby", "sport"], ["love"]]) == [(memories[0], {0, 1})]
    assert sharing_a_word(memories, [['"quote'], ["AND"]]) == []
    assert sharing_a_word(memories, []) == []


KEYS = ["color", "city"]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.sampled_from(KEYS), st.integers(0, 9)),
        st.tuples(st.just("forget"), st.sampled_from(KEYS), st.sampled_from([FACT, None])),
        st.tuples(st.just("again"), st.just(""), st.just(0)),
        st.tuples(st.sampled_from(["deliver", "deliver, answer lost"]), st.just(""), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(steps)
def test_however_much_is_delivered_it_reads_as_one_store(script):
    """The model is the plain store, to which every write goes at once."""
    with tempfile.TemporaryDirectory() as folder:
        files = PersonFiles(Path(folder) / "model")
        model = SqliteMemoryStore(files)
        database = Database(Path(folder) / "database")
        outbox = an_outbox(Path(folder))
        drainer = Drainer(outbox, lambda: database)
        store = OutboxMemoryStore(outbox, database)
        written = []
        for action, key, detail in script:
            if action == "store":
                written.append(new(f"{key} number{detail}", key))
                model.store(ALICE, written[-1:])
                store.store(ALICE, written[-1:])
            elif action == "forget":
                gone = model.forget(ALICE, detail, key)
                assert store.forget(ALICE, detail, key) == gone
                written = [each for each in written if each.key != key]
            elif action == "again" and written:
                model.store(ALICE, written[-1:])
                store.store(ALICE, written[-1:])
            elif action == "deliver":
                drainer.run_once()
            elif action == "deliver, answer lost":
                database.answers_lost = 1
                try:
                    drainer.run_once()
                except StorageUnavailableError:
                    database.answers_lost = 0
                database.answers_lost = 0
            assert_same(store, model)
        drainer.run_once()
        assert_same(store, model)
        assert_same(database, model)
        outbox.close()
        database.files.close()
        files.close()


def assert_same(left: OutboxMemoryStore | Database, right: SqliteMemoryStore) -> None:
    for key in KEYS:
        assert left.retrieve(ALICE, FACT, key) == right.retrieve(ALICE, FACT, key)
        assert left.history(ALICE, FACT, key) == right.history(ALICE, FACT, key)
    assert left.list_memories(ALICE, None, 10) == right.list_memories(ALICE, None, 10)
    assert left.list_memories(ALICE, FACT, 1) == right.list_memories(ALICE, FACT, 1)
    for text in ("color", "number3 city"):
        found = {memory.id for memory in search(left, text)}
        assert found == {memory.id for memory in search(right, text)}


def test_threads_that_store_and_read_at_once_see_their_own(store):
    failures: list[str] = []

    def live(number: int) -> None:
        for value in range(10):
            store.store(ALICE, [new(str(value), f"key{number}")])
            found = store.retrieve(ALICE, FACT, f"key{number}")
            if found is None or found.value != str(value):
                failures.append(f"{number}/{value}")

    threads = [threading.Thread(target=live, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


told_at_some_time = st.tuples(st.sampled_from("abcde"), st.integers(0, 9))


@settings(max_examples=15)
@given(
    before=st.lists(told_at_some_time, max_size=8),
    forgotten=st.sets(st.sampled_from("abcde"), max_size=2),
    after=st.lists(told_at_some_time, max_size=8),
    limit=st.integers(1, 4),
)
def test_pages_are_the_same_while_it_waits_and_once_it_is_delivered(
    before, forgotten, after, limit
):
    def written(told):
        noon = datetime(2026, 5, 8, 12, tzinfo=timezone.utc)
        return [new("told", key, created_at=noon + timedelta(seconds=n)) for key, n in told]

    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "database")
        outbox = an_outbox(Path(folder))
        store = OutboxMemoryStore(outbox, database)
        database.store(ALICE, written(before))
        for key in forgotten:
            store.forget(ALICE, FACT, key)
        store.store(ALICE, written(after))
        waiting = pages(store, limit)
        Drainer(outbox, lambda: database).run_once()
        assert [m.id for m in waiting] == [m.id for m in database.list_memories(ALICE, None, 99)]
        outbox.close()
        database.files.close()


def pages(store: MemoryStore, limit: int) -> list[Memory]:
    listed: list[Memory] = []
    while page := store.list_memories(ALICE, None, limit, listed[-1].position if listed else None):
        listed += page
        assert len(page) <= limit
    return listed
