"""An erased person's file: not a byte of them, whoever else has it open."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from memory import Category, Memory, MemoryStore, NewMemory, SqliteMemoryStore
from memory.outbox import OutboxFile
from memory.search import search
from people import (
    ErasureUnfinishedError,
    People,
    PersonManager,
    SqlitePeopleStore,
    StillWaitingError,
    open_everything,
)
from people.elsewhere import ALSO_EXPORTED
from profiles import SqliteProfileStore
from session_context import get_session_generation, set_session_generation, set_session_user
from storage import Storage
from storage.person_file import PersonFiles

ALICE = "edabafbb-61ad-51d6-9fd8-e976c892a731"
BOB = "1bbc064c-d74a-56e6-a2b9-009139975e85"
SECRET = "zanzibar"


@pytest.fixture
def files(data_dir: Path) -> Iterator[PersonFiles]:
    opened = PersonFiles(data_dir)
    yield opened
    opened.close()


@pytest.fixture
def people(files: PersonFiles) -> People:
    return People(SqlitePeopleStore(files))


def fill(files: PersonFiles, memories: int = 3) -> None:
    """Write the secret into every place where a text can be, the index and the log included."""
    store = SqliteMemoryStore(files)
    for n in range(memories):
        store.store(
            ALICE, [NewMemory(Category.FACT, f"{SECRET}{n}", f"{SECRET} {n} " + SECRET * 40)]
        )
        store.store(ALICE, [NewMemory(Category.FACT, f"{SECRET}{n}", f"later {SECRET}")])
    store.forget(ALICE, Category.FACT, f"{SECRET}0")
    profiles = SqliteProfileStore(files)
    profiles.bind_person(ALICE, f"{SECRET}@example.com")
    profiles.update_user_profile(ALICE, {"profile_text": SECRET})
    profiles.update_onboarding_details(ALICE, {"first_name": SECRET, "interests": [SECRET]})


def found(store: MemoryStore, person: str, text: str) -> list[Memory]:
    return search(store, person, text, 10, now=datetime.now(timezone.utc))


def bytes_held(data_dir: Path) -> dict[str, bytes]:
    return {path.suffix: path.read_bytes() for path in (data_dir / "people").iterdir()}


def test_before_the_erasure_the_content_is_in_the_file_or_the_log(files, data_dir):
    fill(files)
    assert any(SECRET.encode() in held for held in bytes_held(data_dir).values())


@pytest.mark.parametrize("memories", [3, 300])
def test_no_byte_of_the_content_is_left(files, people, data_dir, memories):
    fill(files, memories)
    erasure = people.erase(ALICE)
    assert (erasure.generation, erasure.memories) == (1, memories * 2 - 2)
    held = bytes_held(data_dir)
    assert set(held) == {".db", ".db-wal", ".db-shm"}
    assert {name for name, content in held.items() if SECRET.encode() in content} == set()
    assert held[".db-wal"] == b""


def test_the_file_is_erased_in_place_and_is_as_a_new_one(files, people, data_dir):
    fill(files)
    before = (data_dir / "people" / f"{ALICE}.db").stat().st_ino
    people.erase(ALICE)
    assert (data_dir / "people" / f"{ALICE}.db").stat().st_ino == before
    with files.reading(ALICE) as erased, files.reading(ALICE.replace("e", "f")) as new:
        layout = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        assert erased.execute(layout).fetchall() == new.execute(layout).fetchall()
        version = "PRAGMA user_version"
        assert erased.execute(version).fetchone() == new.execute(version).fetchone()


_LATE_WRITER = """
import sys
from pathlib import Path
from memory import Category, NewMemory, SqliteMemoryStore
from storage.person_file import PersonFiles
from datetime import datetime, timezone
from memory.outbox import OutboxFile
from memory.search import search

files = PersonFiles(Path(sys.argv[1]))
store = SqliteMemoryStore(files)
with files.reading(sys.argv[2]) as held_open:
    print(held_open.execute("SELECT count(*) FROM memory").fetchone()[0], flush=True)
    sys.stdin.readline()
    for generation in (0, 1):
        new = NewMemory(Category.FACT, "late", "told late: " + sys.argv[3], generation=generation)
        print(len(store.store(sys.argv[2], [new])), flush=True)
    print(held_open.execute("SELECT count(*) FROM memory").fetchone()[0], flush=True)
    print(len(search(store, sys.argv[2], "late", 5, now=datetime.now(timezone.utc))), flush=True)
    sys.stdin.readline()
files.close()
"""


@contextmanager
def late_writer(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the person's file open, and writes when it is told to."""
    command = [sys.executable, "-c", _LATE_WRITER, str(data_dir), ALICE, "mauritius"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_another_process_that_has_the_file_open_finds_nothing_and_revives_nothing(
    files, people, data_dir
):
    fill(files)
    with late_writer(data_dir) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "4\n"
        people.erase(ALICE)
        assert not any(SECRET.encode() in held for held in bytes_held(data_dir).values())
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "0\n", "told before the erasure"
        assert process.stdout.readline() == "1\n", "told after it"
        assert process.stdout.readline() == "1\n", "the connection that was open all the time"
        assert process.stdout.readline() == "1\n", "the index is in use again"
        assert not any(SECRET.encode() in held for held in bytes_held(data_dir).values())


def test_an_erasure_by_another_process_is_seen_by_a_session_with_an_open_connection(
    files, people, data_dir
):
    fill(files)
    store = SqliteMemoryStore(files)
    assert found(store, ALICE, SECRET) != []
    script = (
        "import sys; from pathlib import Path; from people import *; "
        "from storage.person_file import PersonFiles; files = PersonFiles(Path(sys.argv[1])); "
        "People(SqlitePeopleStore(files)).erase(sys.argv[2]); files.close()"
    )
    subprocess.run([sys.executable, "-c", script, str(data_dir), ALICE], check=True, timeout=60)
    assert found(store, ALICE, SECRET) == []
    assert store.store(ALICE, [NewMemory(Category.FACT, "k", "v", generation=0)]) == []
    assert len(store.store(ALICE, [NewMemory(Category.FACT, "k", "v", generation=1)])) == 1
    assert [m.value for m in found(store, ALICE, "v")] == ["v"]


def test_where_somebody_goes_on_reading_the_person_is_erased_and_the_error_says_what_stays(
    files, data_dir
):
    fill(files)
    people = People(SqlitePeopleStore(files, scrub_deadline_s=0.1), also_erase={"x": lambda *_: 7})
    reader = sqlite3.connect(data_dir / "people" / f"{ALICE}.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM memory").fetchone()
    with pytest.raises(ErasureUnfinishedError, match="erase once more") as caught:
        people.erase(ALICE)
    assert (caught.value.erasure.generation, caught.value.erasure.memories) == (1, 4)
    assert caught.value.erasure.elsewhere == {"x": 7}
    assert SqliteMemoryStore(files).list_memories(ALICE, None, 5) == []
    assert any(SECRET.encode() in held for held in bytes_held(data_dir).values())
    reader.close()
    assert people.erase(ALICE).generation == 2
    assert not any(SECRET.encode() in held for held in bytes_held(data_dir).values())


def test_who_is_erased_for_not_coming_back_is_erased_elsewhere_even_where_bytes_remain(
    files, data_dir
):
    fill(files)
    people = People(SqlitePeopleStore(files, scrub_deadline_s=0.1), also_erase={"x": lambda *_: 7})
    with closing(sqlite3.connect(data_dir / "people" / f"{ALICE}.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM memory").fetchone()
        with pytest.raises(ErasureUnfinishedError) as caught:
            people.erase_if_idle(ALICE, datetime(2999, 1, 1, tzinfo=timezone.utc))
    assert caught.value.erasure.elsewhere == {"x": 7}


def test_a_damaged_row_of_the_outbox_is_exported_as_far_as_it_is_there(data_dir, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    outbox = OutboxFile(data_dir, max_bytes=1_000_000)
    outbox.append(ALICE, [NewMemory(Category.FACT, key, "v") for key in ("one", "two")])
    outbox.close()
    with closing(sqlite3.connect(data_dir / "outbox.db")) as file:
        file.execute('UPDATE entry SET payload = \'{"key": "o\' WHERE ordinal = 1')
        file.commit()
    damaged, sound = ALSO_EXPORTED["outbox"](ALICE)
    assert damaged["unreadable"] == '{"key": "o'
    assert sound["key"] == "two"


def test_a_move_that_stopped_between_its_two_steps_is_finished_by_the_next(
    files, people, monkeypatch
):
    fill(files)
    held = people.export(ALICE)["memories"]
    with monkeypatch.context() as broken:
        broken.setattr("people.sqlite_store.lay_anew", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            people.move(ALICE, BOB)
    assert people.export(ALICE)["memories"] == held
    assert people.export(BOB)["memories"] == held
    assert people.move(ALICE, BOB).moved is True
    assert people.export(ALICE)["memories"] == []
    assert people.export(BOB)["memories"] == held


@pytest.fixture
def everything(files: PersonFiles, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    """People with all the places of this host."""
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    return open_everything(Storage(supabase=None, people=files))


@pytest.mark.parametrize("is_held", [False, True])
def test_while_something_of_the_source_waits_a_move_is_refused_and_changes_nothing(
    files, everything, data_dir, is_held
):
    if is_held:
        fill(files)
    before = everything.export(ALICE)["memories"]
    with closing(OutboxFile(data_dir, max_bytes=1_000_000)) as outbox:
        outbox.append(ALICE, [NewMemory(Category.FACT, "k", "waits")])
        with pytest.raises(StillWaitingError, match=r"nothing was changed.*outbox drain"):
            everything.move(ALICE, BOB)
        assert outbox.counts() == (1, 0)
        assert everything.export(ALICE)["memories"] == before
        outbox.delivered(entry.ordinal for entry in outbox.entries())
        assert everything.move(ALICE, BOB).moved is is_held


def test_a_move_of_nothing_leaves_the_other_places_as_they_are(everything, data_dir):
    with closing(OutboxFile(data_dir, max_bytes=1_000_000)) as outbox:
        [entry] = outbox.append(ALICE, [NewMemory(Category.FACT, "k", "refused")])
        outbox.set_aside(entry.ordinal, "too long", reason="refused")
        assert everything.move(ALICE, BOB).moved is False
        assert outbox.counts() == (0, 1)


def test_a_move_erases_what_other_places_hold_of_the_source(files, everything, data_dir):
    fill(files)
    with closing(OutboxFile(data_dir, max_bytes=1_000_000)) as outbox:
        [entry] = outbox.append(ALICE, [NewMemory(Category.FACT, "k", "refused")])
        outbox.set_aside(entry.ordinal, "too long", reason="refused")
        assert everything.move(ALICE, BOB).moved is True
        assert outbox.counts() == (0, 0)


async def test_a_session_that_erases_its_person_goes_on_as_of_now(people):
    manager = PersonManager(lambda: people)
    set_session_user("alice@example.com")
    set_session_generation(0)
    assert manager.erase().generation == 1
    assert get_session_generation() == manager.generation() == 1
    assert manager.export()["user"] == ALICE


async def test_a_session_goes_on_as_of_now_even_where_bytes_remain(files, data_dir):
    fill(files)
    manager = PersonManager(lambda: People(SqlitePeopleStore(files, scrub_deadline_s=0)))
    set_session_user("alice@example.com")
    set_session_generation(0)
    reader = sqlite3.connect(data_dir / "people" / f"{ALICE}.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM memory").fetchone()
    with pytest.raises(ErasureUnfinishedError):
        manager.erase()
    assert get_session_generation() == 1
    reader.close()


async def test_a_session_whose_person_is_not_remembered_any_more_writes_nothing(files, people):
    manager = PersonManager(lambda: people)
    set_session_user("alice@example.com")
    set_session_generation(0)
    manager.set_remembering(False)
    assert manager.is_remembered() is False
    assert get_session_generation() == 0, "what it still writes is told before"
    manager.set_remembering(True)
    assert get_session_generation() == 1
    assert manager.is_remembered() is True
