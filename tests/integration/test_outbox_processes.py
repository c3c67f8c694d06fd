"""Real processes that share an outbox: what was acknowledged outlives any of them."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from config import PROJECT_ROOT
from memory.outbox import Drainer, OutboxMemoryStore, OutboxUnwritableError
from tests.outbox import Database, an_outbox, new

ALICE = str(uuid.uuid4())
CHILD = [sys.executable, "-m", "tests.outbox_child"]
SOAK = os.environ.get("SOAK") == "true"


def child(*arguments: str | Path, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, *CHILD, *map(str, arguments)],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def acknowledged(process: subprocess.Popen[str]) -> list[int]:
    output, _ = process.communicate(timeout=60)
    return [int(line.split()[1]) for line in output.splitlines() if line.startswith("ack")]


def waiting(folder: Path) -> list[str]:
    outbox = an_outbox(folder / "data")
    keys = [entry.key for entry in outbox.waiting(ALICE)]
    outbox.close()
    return keys


def delivered(folder: Path) -> list[str]:
    database = Database(folder / "database")
    values = database.values(ALICE)
    database.files.close()
    return values


def test_the_sync_comes_before_the_acknowledgement(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not on PATH; install it with your system's package manager")
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,fdatasync"
    with child(
        *("append", tmp_path, ALICE, "0", "5"),
        before=("strace", "-f", "-y", "-e", calls, "-o", str(trace)),
    ) as process:
        if not acknowledged(process):
            pytest.skip("strace may not trace here")
    events = re.findall(
        r"(pwrite64|fsync|fdatasync|write)\((?:\d+)<([^>]*)>(?:, \"(ack)?)?", trace.read_text()
    )
    written = synced = True
    acknowledgements = 0
    for call, path, is_acknowledgement in events:
        if is_acknowledgement:
            assert written, "nothing was written before this acknowledgement"
            assert synced, "it was acknowledged before it was synced"
            acknowledgements += 1
            written = False
        elif path.endswith("outbox.db-wal"):
            written = written or call == "pwrite64"
            synced = call in ("fsync", "fdatasync")
    assert acknowledgements == 5


@pytest.mark.parametrize("times", [4, pytest.param(50, marks=pytest.mark.soak)])
def test_what_was_acknowledged_outlives_a_kill_at_any_moment(tmp_path, times):
    last = 0
    for _ in range(times):
        with child("append", tmp_path, ALICE, str(last), "100000") as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.3))
            process.kill()
            numbers = acknowledged(process)
        last = (numbers[-1] if numbers else last) + 2
        kept = waiting(tmp_path)
        assert {f"turn {number}" for number in numbers} <= set(kept)
        assert len(kept) == len(set(kept))
        assert kept == sorted(kept, key=lambda key: int(key.split()[1]))


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    children = [child("append", tmp_path, ALICE, str(n * 100), "25") for n in range(4)]
    numbers = [number for each in children for number in acknowledged(each)]
    for each in children:
        each.wait()
    assert len(numbers) == 100
    assert sorted(waiting(tmp_path)) == sorted(f"turn {number}" for number in numbers)


def test_what_a_dead_process_left_the_next_one_delivers(tmp_path):
    with child("append", tmp_path, ALICE, "0", "100000") as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
    kept = waiting(tmp_path)
    assert len(kept) >= 20
    with child("deliver", tmp_path) as process:
        assert process.wait() == 0
    assert delivered(tmp_path) == kept
    assert waiting(tmp_path) == []


def test_one_killed_between_sending_and_deleting_doubles_nothing(tmp_path):
    with child("append", tmp_path, ALICE, "0", "30") as process:
        assert len(acknowledged(process)) == 30
    said = [f"turn {number}" for number in range(30)]
    for _ in range(3):
        with child("deliver", tmp_path, "kill") as process:
            assert process.wait() == -signal.SIGKILL
        assert delivered(tmp_path) == said
        assert waiting(tmp_path) == said
    with child("deliver", tmp_path) as process:
        assert process.wait() == 0
    assert delivered(tmp_path) == said
    assert waiting(tmp_path) == []


def test_a_disk_that_is_full_costs_no_write(tmp_path):
    """The bound on a file's size stands for the disk: a write beyond it fails with EFBIG."""
    outbox, database = an_outbox(tmp_path / "data"), Database(tmp_path / "database")
    store = OutboxMemoryStore(outbox, database)
    store.store(ALICE, [new("before")])
    database.values(ALICE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    wal = (tmp_path / "data" / "outbox.db-wal").stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 100, limits[1]))
        with pytest.raises(OutboxUnwritableError):
            outbox.append(ALICE, [new("x" * 9000, "refused")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handled)
    store.store(ALICE, [new("after")])
    Drainer(outbox, lambda: database).run_once()
    assert database.values(ALICE) == ["before", "after"]
    store.close()
    database.files.close()
