"""What the outbox has taken is on the disk, in order, once, and stays until it is delivered."""

from __future__ import annotations

import sqlite3
import stat
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from memory.outbox import Forgetting, OutboxFullError, OutboxUnwritableError
from memory.outbox.entry import Entry
from storage import StorageUnavailableError
from tests.outbox import an_outbox, new, now

ALICE, BOB = str(uuid.uuid4()), str(uuid.uuid4())


@pytest.fixture
def outbox(data_dir):
    made = an_outbox(data_dir)
    yield made
    made.close()


def values(entries: list[Entry]) -> list[str]:
    return [getattr(entry.read(), "value", "forget") for entry in entries]


def test_what_was_appended_waits_in_its_order_each_persons_apart(outbox):
    outbox.append(ALICE, [new("one"), new("two")])
    outbox.append(BOB, [new("other")])
    outbox.append(ALICE, [Forgetting(None, "one"), new("three")])
    assert values(outbox.waiting(ALICE)) == ["one", "two", "forget", "three"]
    assert values(outbox.waiting(BOB)) == ["other"]
    assert values(outbox.waiting(ALICE, 2)) == ["one", "two"]
    assert outbox.users() == [ALICE, BOB]


def test_a_write_is_read_as_it_was_appended(outbox):
    write = new(
        "na\u00efve \u0435\u0434\u0430 \U0001f600",
        "key",
        session_id="s-1",
        generation=3,
        confidence=0.5,
        source_id=str(uuid.uuid4()),
        expires_at=now(),
    )
    forgetting = Forgetting(None, "key")
    outbox.append(ALICE, [write, forgetting])
    assert [entry.read() for entry in outbox.waiting(ALICE)] == [write, forgetting]


def test_another_process_sees_what_was_appended(outbox, data_dir):
    outbox.append(ALICE, [new("one")])
    other = an_outbox(data_dir)
    before = other.version()
    outbox.append(ALICE, [new("two")])
    assert other.version() != before
    assert values(other.waiting(ALICE)) == ["one", "two"]
    other.close()


def test_a_write_appended_twice_waits_once_and_keeps_its_content(outbox):
    write = new("one", "k7", next_free_key=True)
    [first] = outbox.append(ALICE, [write])
    [again] = outbox.append(ALICE, [write])
    assert again == first
    assert outbox.counts() == (1, 0)


def test_keys_that_may_move_on_do_not_meet(outbox):
    turns = [new(str(n), "user_input_99", next_free_key=True) for n in range(3)]
    keys = [entry.key for entry in outbox.append(ALICE, turns)]
    assert keys == ["user_input_99", "user_input_100", "user_input_101"]
    assert [entry.key for entry in outbox.append(BOB, [new("x", "k9", next_free_key=True)])] == [
        "k9"
    ]


def test_all_of_a_batch_is_appended_or_nothing(outbox):
    broken = new("b")
    object.__setattr__(broken, "value", None)
    with pytest.raises(ValueError, match="value"):
        outbox.append(ALICE, [new("a"), broken])
    assert outbox.waiting(ALICE) == []


def test_a_memory_without_a_generation_gets_the_last_that_this_host_knows(outbox):
    outbox.append(ALICE, [new("one")])
    outbox.append(ALICE, [new("two", generation=4)])
    outbox.append(ALICE, [new("three")])
    outbox.append(BOB, [new("four")])
    generations = [entry.read().generation for entry in outbox.entries()]
    assert generations == [0, 4, 4, 0]


def test_a_memory_of_an_older_generation_is_dropped(outbox):
    outbox.learn_generation(ALICE, 2)
    outbox.learn_generation(ALICE, 1)
    appended = outbox.append(ALICE, [new("late", generation=1), new("told since", generation=2)])
    assert values(appended) == ["told since"] == values(outbox.waiting(ALICE))


def test_what_is_delivered_is_gone_and_an_ordinal_is_never_used_again(outbox):
    [first] = outbox.append(ALICE, [new("one")])
    assert outbox.delivered([first.ordinal]) == 1
    assert outbox.delivered([first.ordinal]) == 0
    [second] = outbox.append(ALICE, [new("two")])
    assert second.ordinal > first.ordinal


def test_what_is_set_aside_no_longer_waits_until_it_is_tried_again(outbox):
    [entry] = outbox.append(ALICE, [new("one")])
    outbox.set_aside(entry.ordinal, "refused (23514)", reason="rejected")
    assert (outbox.waiting(ALICE), outbox.is_waiting(ALICE), outbox.users()) == ([], False, [])
    assert [each.problem for each in outbox.entries()] == ["refused (23514)"]
    assert outbox.counts() == (0, 1)
    assert outbox.retry_all() == 1
    assert outbox.is_waiting(ALICE)


def test_threads_and_connections_append_at_once_without_losing_any(data_dir):
    outboxes = [an_outbox(data_dir) for _ in range(4)]
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda n: outboxes[n % 4].append(ALICE, [new(str(n))]), range(80)))
    assert sorted(values(outboxes[0].waiting(ALICE)), key=int) == [str(n) for n in range(80)]
    for each in outboxes:
        each.close()


def test_the_files_are_private(outbox, data_dir):
    outbox.append(ALICE, [new("one")])
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in data_dir.iterdir()}
    assert {"outbox.db", "outbox.db-wal", "outbox.db-shm"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_each_commit_is_synced(outbox):
    outbox.append(ALICE, [new("one")])
    with outbox._writer.use() as file:
        assert file.execute("PRAGMA synchronous").fetchone() == (2,)
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_at_its_bound_it_takes_no_more_and_keeps_what_it_has(data_dir):
    outbox = an_outbox(data_dir, max_bytes=200_000)
    taken = 0
    with pytest.raises(OutboxFullError, match="OUTBOX_MAX_MB"):
        while taken < 1000:
            outbox.append(ALICE, [new("x" * 5000, f"k{taken}")])
            taken += 1
    assert len(outbox.waiting(ALICE)) == taken > 10
    outbox.delivered([entry.ordinal for entry in outbox.waiting(ALICE)])
    outbox.append(ALICE, [new("there is room again")])
    outbox.close()


def test_after_an_erasure_nothing_of_the_person_is_on_the_disk(outbox, data_dir):
    outbox.append(ALICE, [new("alice's secret"), Forgetting(None, "alice's key")])
    outbox.append(BOB, [new("bob's own")])
    assert outbox.erase(ALICE) == 2
    content = b"".join(file.read_bytes() for file in data_dir.iterdir())
    assert b"alice's" not in content
    assert values(outbox.waiting(BOB)) == ["bob's own"]


def test_a_folder_that_cannot_be_written_is_said_with_its_mend(tmp_path):
    (tmp_path / "file").write_text("")
    outbox = an_outbox(tmp_path / "file" / "data")
    with pytest.raises(OutboxUnwritableError, match="DATA_DIR"):
        outbox.append(ALICE, [new("one")])


def test_a_disk_that_is_full_is_said_with_its_mend_and_passes(outbox):
    outbox.append(ALICE, [new("one")])
    with outbox._writer.use() as file:
        pages = file.execute("PRAGMA page_count").fetchone()[0]
        file.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxUnwritableError, match=r"disk full.*free space"):
        outbox.append(ALICE, [new("x" * 9000, "k")])
    with outbox._writer.use() as file:
        file.execute("PRAGMA max_page_count = 1000000")
    outbox.append(ALICE, [new("two")])
    assert values(outbox.waiting(ALICE)) == ["one", "two"]


def test_a_file_that_somebody_has_locked_is_said_and_loses_nothing(outbox, data_dir, monkeypatch):
    outbox.append(ALICE, [new("one")])
    with outbox._writer.use() as file:
        file.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(data_dir / "outbox.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailableError, match="locked"):
        outbox.append(ALICE, [new("two")])
    other.close()
    outbox.append(ALICE, [new("three")])
    assert values(outbox.waiting(ALICE)) == ["one", "three"]


def test_a_closed_outbox_opens_again_and_leaves_no_log_behind(outbox, data_dir):
    outbox.append(ALICE, [new("one")])
    outbox.close()
    assert {file.name for file in data_dir.iterdir()} == {"outbox.access", "outbox.db"}
    assert values(outbox.waiting(ALICE)) == ["one"]
