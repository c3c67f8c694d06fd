"""A person's file: private, shared safely between processes, and nobody else's."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from memory import Category, NewMemory, SqliteMemoryStore
from storage import StorageError, StorageRejectedError, StorageUnavailableError
from storage.person_file import PersonFiles

ALICE = "edabafbb-61ad-51d6-9fd8-e976c892a731"


@pytest.fixture
def people(data_dir: Path):
    opened = PersonFiles(data_dir)
    yield opened
    opened.close()


def test_folder_and_files_are_private(people: PersonFiles, data_dir: Path):
    with people.writing(ALICE) as file:
        file.execute("INSERT INTO profile (one, created_at) VALUES (1, 0)")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.rglob("*")}
    assert modes.pop("people") == 0o700
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert set(modes) == {f"{ALICE}.db", f"{ALICE}.db-wal", f"{ALICE}.db-shm"}
    assert set(modes.values()) == {0o600}


def test_an_empty_folder_made_by_hand_becomes_private_and_one_of_others_stays(data_dir: Path):
    for name, entry, expected in (("ours", None, 0o700), ("shared", "file", 0o755)):
        folder = data_dir / name
        folder.mkdir(parents=True, mode=0o755)
        if entry:
            (folder / entry).touch()
        people = PersonFiles(folder)
        with people.reading(ALICE):
            assert stat.S_IMODE(folder.stat().st_mode) == expected
            assert stat.S_IMODE((folder / "people").stat().st_mode) == 0o700
        people.close()


@pytest.mark.parametrize("user", ["", "alice", "../../etc/passwd", f"{ALICE}/x", None, 7])
def test_only_a_uuid_names_a_file(people: PersonFiles, data_dir: Path, user):
    with pytest.raises(StorageRejectedError, match="not a uuid"), people.reading(user):
        pass
    assert not data_dir.exists()


def test_writes_are_synced_before_they_are_acknowledged(people: PersonFiles):
    with people.reading(ALICE) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("PRAGMA synchronous").fetchone() == (2,)
        assert file.execute("PRAGMA secure_delete").fetchone() == (1,)


def test_an_error_within_a_transaction_undoes_it(people: PersonFiles):
    with pytest.raises(ZeroDivisionError), people.writing(ALICE) as file:
        file.execute("INSERT INTO profile (one, created_at) VALUES (1, 0)")
        _ = 1 / 0
    with people.reading(ALICE) as file:
        assert file.execute("SELECT count(*) FROM profile").fetchone() == (0,)


def test_a_row_that_breaks_a_rule_is_rejected_for_good(people: PersonFiles):
    with pytest.raises(StorageRejectedError), people.writing(ALICE) as file:
        file.execute("INSERT INTO profile (one, created_at) VALUES (2, 0)")


def test_a_damaged_file_is_told_from_one_that_is_busy(people: PersonFiles, data_dir: Path):
    (data_dir / "people").mkdir(parents=True)
    (data_dir / "people" / f"{ALICE}.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StorageError) as caught, people.reading(ALICE):
        pass
    assert not isinstance(caught.value, StorageUnavailableError)


def test_a_data_folder_that_cannot_be_made_says_what_to_change(tmp_path: Path):
    (tmp_path / "file").write_text("")
    people = PersonFiles(tmp_path / "file" / "data")
    with pytest.raises(StorageUnavailableError, match="DATA_DIR"), people.reading(ALICE):
        pass


def test_a_file_of_an_older_schema_is_brought_up_to_date(people: PersonFiles, data_dir: Path):
    (data_dir / "people").mkdir(parents=True)
    sqlite3.connect(data_dir / "people" / f"{ALICE}.db").close()
    with people.reading(ALICE) as file:
        assert file.execute("SELECT count(*) FROM memory").fetchone() == (0,)


_WRITER = """
import sys
from pathlib import Path
from memory import Category, NewMemory, SqliteMemoryStore
from storage.person_file import PersonFiles
people = PersonFiles(Path(sys.argv[1]))
store = SqliteMemoryStore(people)
for number in range(25):
    store.store(sys.argv[2], [NewMemory(Category.FACT, f"{sys.argv[3]}-{number}", "x")])
people.close()
"""


def test_many_processes_make_and_fill_one_file_at_once(people: PersonFiles, data_dir: Path):
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(data_dir), ALICE, str(number)])
        for number in range(6)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 6
    kept = SqliteMemoryStore(people).list_memories(ALICE, Category.FACT, 1000)
    assert len({memory.key for memory in kept}) == 6 * 25


def test_only_a_few_connections_stay_open(people: PersonFiles):
    store = SqliteMemoryStore(people)
    for number in range(20):
        user = f"00000000-0000-5000-8000-{number:012d}"
        store.store(user, [NewMemory(Category.FACT, "k", str(number))])
    assert sum(len(group) for group in people._idle.values()) <= 8
    first = store.retrieve("00000000-0000-5000-8000-000000000000", Category.FACT, "k")
    assert first is not None
    assert first.value == "0"


def test_everybody_who_has_a_file_is_found_and_nothing_else(people: PersonFiles, data_dir: Path):
    assert people.everybody() == []
    for user in (ALICE, "1bbc064c-d74a-56e6-a2b9-009139975e85"):
        with people.reading(user):
            pass
    (data_dir / "people" / "notes.db").touch()
    (data_dir / "people" / f"{ALICE.upper()}.db").touch()
    assert people.everybody() == ["1bbc064c-d74a-56e6-a2b9-009139975e85", ALICE]
