"""A damaged outbox gives what is readable, keeps the damaged file, and goes on."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.outbox import Drainer, OutboxFile, OutboxUnwritableError
from memory.outbox.lane import Lane
from tests.outbox import Database, an_outbox, new

ALICE = str(uuid.uuid4())
SAID = [f"turn number {n} " + "word " * (n % 60) for n in range(120)]

RUIN = b"\xff\xfe" * 50


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an outbox as a killed process leaves them: some rows only in the -wal."""
    folder, copy = tmp_path_factory.mktemp("outbox") / "data", tmp_path_factory.mktemp("copy")
    outbox = an_outbox(folder)
    outbox.append(ALICE, [new(each, f"k{n}") for n, each in enumerate(SAID[:90])])
    outbox.empty_log()
    outbox.append(ALICE, [new(each, f"k{n + 90}") for n, each in enumerate(SAID[90:])])
    for name in ("outbox.db", "outbox.db-wal"):
        shutil.copy(folder / name, copy / name)
    outbox.close()
    return copy


def delivered(folder: Path, outbox: OutboxFile) -> list[str]:
    """Append one more, deliver everything, and return what the database has."""
    outbox.append(ALICE, [new("told after the damage")])
    database = Database(folder / "database")
    Drainer(outbox, lambda: database).run_once()
    values = database.values(ALICE)
    database.files.close()
    return values


def a_copy(healthy: Path, folder: str) -> Path:
    shutil.copytree(healthy, Path(folder) / "data")
    return Path(folder) / "data"


def test_an_undamaged_one_is_delivered_whole(healthy, tmp_path):
    outbox = an_outbox(a_copy(healthy, str(tmp_path)))
    assert delivered(tmp_path, outbox) == [*SAID, "told after the damage"]
    outbox.close()


changes = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("flip"), st.floats(0, 0.999), st.integers(1, 255)),
    st.tuples(st.just("noise"), st.floats(0, 0.999), st.integers(1, 255)),
)


def damage(file: Path, kind: str, at: float, bits: int) -> None:
    content = bytearray(file.read_bytes())
    place = int(len(content) * at)
    if kind == "cut":
        del content[place:]
    elif kind == "flip" and content:
        content[place] ^= bits
    else:
        content[place : place + 600] = os.urandom(len(content[place : place + 600]))
    file.write_bytes(content)


@settings(max_examples=int(os.environ.get("OUTBOX_DAMAGES", "60")))
@given(
    st.lists(
        st.tuples(st.sampled_from(["outbox.db", "outbox.db-wal"]), changes), min_size=1, max_size=4
    )
)
def test_whatever_is_damaged_no_row_comes_out_changed_and_it_goes_on(healthy, damages):
    with tempfile.TemporaryDirectory() as folder:
        data = a_copy(healthy, folder)
        for name, (kind, at, bits) in damages:
            damage(data / name, kind, at, bits)
        outbox = an_outbox(data)
        values = delivered(Path(folder), outbox)
        assert values[-1] == "told after the damage"
        # In the order in which they were told, none twice, none that nobody said.
        numbers = [SAID.index(value) for value in values[:-1]]
        assert numbers == sorted(set(numbers))
        assert outbox.counts()[0] == 0
        outbox.close()


def ruin_the_page_of(data: Path, text: bytes) -> None:
    content = bytearray((data / "outbox.db").read_bytes())
    page = content.index(text) // 4096 * 4096
    content[page : page + len(RUIN)] = RUIN
    (data / "outbox.db").write_bytes(content)


def test_a_damaged_page_costs_its_own_rows_only_and_the_file_is_kept(healthy, tmp_path, caplog):
    data = a_copy(healthy, str(tmp_path))
    ruin_the_page_of(data, b"turn number 40 ")
    outbox = an_outbox(data)
    values = delivered(tmp_path, outbox)
    assert len(SAID) - 40 < len(values) < len(SAID)
    assert {SAID[0], SAID[-1]} < set(values)
    [kept] = data.glob("outbox.damaged-*.db")
    assert RUIN in kept.read_bytes()
    assert "the damaged file is kept" in caplog.text
    outbox.close()


def test_a_changed_letter_is_noticed_and_that_row_set_aside(healthy, tmp_path):
    data = a_copy(healthy, str(tmp_path))
    content = (data / "outbox.db").read_bytes()
    (data / "outbox.db").write_bytes(content.replace(b"turn number 40 ", b"torn number 40 "))
    outbox = an_outbox(data)
    values = delivered(tmp_path, outbox)
    assert values == [*(each for each in SAID if "number 40 " not in each), "told after the damage"]
    assert [entry.problem for entry in outbox.entries()] == ["the row is damaged"]
    outbox.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 400, b"\x00" * 8192])
def test_a_file_that_is_no_outbox_at_all_is_replaced(tmp_path, content):
    (tmp_path / "outbox.db").write_bytes(content)
    outbox = an_outbox(tmp_path)
    assert delivered(tmp_path, outbox) == ["told after the damage"]
    outbox.close()


def test_damage_met_while_others_have_it_open_is_repaired_once_they_have_closed(healthy, tmp_path):
    data = a_copy(healthy, str(tmp_path))
    here, there = an_outbox(data), an_outbox(data)
    assert here.counts() == there.counts() == (120, 0)
    here.empty_log()
    with (data / "outbox.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 3)
    here.step_aside()
    fresh = Lane(data)
    with pytest.raises(OutboxUnwritableError), fresh.use() as connection:
        connection.execute("SELECT count(payload), sum(length(payload)) FROM entry").fetchall()
    fresh.close()
    with pytest.raises(OutboxUnwritableError, match="damaged"):
        here.append(ALICE, [new("while it is not repaired")])
    there.step_aside()
    here.step_aside()
    here.append(ALICE, [new("after the repair")])
    assert "after the repair" in [entry.key for entry in there.waiting(ALICE)]
    assert len(list(data.glob("outbox.damaged-*.db"))) == 1
    here.close()
    there.close()


@pytest.mark.parametrize("step", ["copied", "replacement made", "moved away"])
def test_a_repair_that_was_killed_is_made_again(healthy, tmp_path, step, monkeypatch):
    data = a_copy(healthy, str(tmp_path))
    ruin_the_page_of(data, b"turn number 40 ")
    killed_at = {
        "copied": "memory.outbox.salvage._fill",
        "replacement made": "memory.outbox.salvage.time.time_ns",
        "moved away": "memory.outbox.lane.connect",
    }[step]

    class KilledError(BaseException):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    original = Path.rename

    def rename_once(self: Path, target: Path) -> Path:
        if step == "moved away" and self.name == "outbox.new.db":
            raise KilledError
        return original(self, target)

    first = an_outbox(data)
    with monkeypatch.context() as patched:
        patched.setattr(killed_at, kill)
        patched.setattr(Path, "rename", rename_once)
        with pytest.raises(KilledError):
            first.counts()
    second = an_outbox(data)
    values = delivered(tmp_path, second)
    assert len(values) > 60
    assert not (data / "outbox.new.db").exists()
    first.close()
    second.close()
