"""What a damaged outbox file, kept for whoever looks into it, holds of somebody who is erased."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from memory import Category, NewMemory
from memory.outbox import OutboxUnwritableError
from memory.outbox.damaged import entries_of, erase_from_copies
from people import open_everything
from people.elsewhere import ALSO_EXPORTED
from storage import Storage
from storage.person_file import PersonFiles
from tests.outbox import an_outbox

ALICE, BOB = "edabafbb-61ad-51d6-9fd8-e976c892a731", str(uuid.uuid4())
PAGE = 4096


def damage(folder: Path) -> list[Path]:
    """Fill an outbox with two people's words, damage it, let it be repaired; return the copies."""
    outbox = an_outbox(folder)
    for n in range(30):
        for user, secret in ((ALICE, "zanzibar"), (BOB, "madeira")):
            said = f"{secret} {n} " + f"{secret} " * 40
            outbox.append(user, [NewMemory(Category.FACT, f"k{n}", said)])
    path = folder / "outbox.db"
    outbox.empty_log()
    outbox.close()
    with path.open("r+b") as file:
        file.seek(5 * PAGE)
        file.write(b"\xff\xfe" * 100)
    outbox = an_outbox(folder)
    assert outbox.counts()[0] > 0, "it is repaired"
    outbox.close()
    return sorted(folder.glob("outbox.damaged-*.db"))


def names_with(folder: Path, text: str) -> list[str]:
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def rows_of(copy: Path) -> set[str]:
    with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as file:
        return {user for (user,) in file.execute("SELECT user FROM entry")}


@pytest.mark.parametrize("wal", [False, True])
def test_an_erasure_leaves_no_word_of_the_person_in_a_damaged_copy(data_dir, monkeypatch, wal):
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    [copy] = damage(data_dir)
    if wal:
        Path(f"{copy}-wal").write_bytes(b"what was there before: zanzibar")
    assert any(name.startswith(copy.name) for name in names_with(data_dir, "zanzibar"))
    files = PersonFiles(data_dir)
    erasure = open_everything(Storage(supabase=None, people=files)).erase(ALICE)
    files.close()
    assert erasure.elsewhere["damaged_outbox"] > 0
    assert names_with(data_dir, "zanzibar") == []
    assert rows_of(copy) == {BOB}
    assert copy.stat().st_mode & 0o777 == 0o600


def test_another_persons_erasure_then_deletes_the_copy_of_which_nothing_is_left(data_dir):
    [copy] = damage(data_dir)
    erase_from_copies(data_dir, ALICE)
    assert erase_from_copies(data_dir, BOB) > 0
    assert not copy.exists()
    assert [each for each in names_with(data_dir, "madeira") if "damaged" in each] == []


def test_a_copy_of_which_nothing_can_be_read_is_deleted_and_the_log_says_so(data_dir, caplog):
    copy = data_dir / "outbox.damaged-1.db"
    data_dir.mkdir(exist_ok=True)
    copy.write_bytes(b"zanzibar \xff\x00" * 5000)
    Path(f"{copy}-wal").write_bytes(b"zanzibar")
    assert erase_from_copies(data_dir, ALICE) == 0
    assert names_with(data_dir, "zanzibar") == []
    [said] = caplog.records
    assert (said.copy, said.kept, said.unattributable) == (copy.name, 0, 0)


def test_a_row_whose_owner_cannot_be_told_goes_with_the_first_who_is_erased(data_dir):
    outbox = an_outbox(data_dir)
    outbox.append(BOB, [NewMemory(Category.FACT, "k", "madeira")])
    outbox.append(ALICE, [NewMemory(Category.FACT, "k", "zanzibar")])
    outbox.close()
    copy = (data_dir / "outbox.db").rename(data_dir / "outbox.damaged-1.db")
    with closing(sqlite3.connect(copy)) as file:
        file.execute("UPDATE entry SET user = replace(user, 'eda', 'eca') WHERE user = ?", (ALICE,))
        file.commit()
    assert erase_from_copies(data_dir, ALICE) == 0
    assert rows_of(copy) == {BOB}
    assert names_with(data_dir, "zanzibar") == []


def test_a_sound_copy_without_the_person_stays_as_it_is(data_dir):
    [copy] = damage(data_dir)
    erase_from_copies(data_dir, ALICE)
    before = copy.stat().st_ino
    assert erase_from_copies(data_dir, ALICE) == 0
    assert copy.stat().st_ino == before


def test_the_export_has_what_a_damaged_copy_holds_of_the_person(data_dir, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    assert list(ALSO_EXPORTED["damaged_outbox"](ALICE)) == []
    [copy] = damage(data_dir)
    before = copy.read_bytes()
    records = list(ALSO_EXPORTED["damaged_outbox"](ALICE))
    assert {each["value"].split()[0] for each in records} == {"zanzibar"}
    assert copy.read_bytes() == before, "it is read, not touched"
    assert [path.name for path in data_dir.glob("outbox.reading*")] == []


def test_without_copies_nothing_is_made(data_dir):
    assert erase_from_copies(data_dir / "none", ALICE) == 0
    assert entries_of(data_dir / "none", ALICE) == []
    assert not (data_dir / "none").exists()


def test_two_erasures_at_once_bring_nobody_back(data_dir):
    [copy] = damage(data_dir)
    erasing = [
        threading.Thread(target=erase_from_copies, args=(data_dir, user)) for user in (ALICE, BOB)
    ]
    for each in erasing:
        each.start()
    for each in erasing:
        each.join(30)
    assert not copy.exists()


def test_who_waits_too_long_for_another_erasure_is_told(data_dir, monkeypatch):
    monkeypatch.setattr("memory.outbox.damaged._LOCK_DEADLINE_S", 0.05)
    damage(data_dir)
    handle = os.open(data_dir, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(OutboxUnwritableError, match="locked"):
        erase_from_copies(data_dir, ALICE)
    os.close(handle)
    assert erase_from_copies(data_dir, ALICE) > 0
