"""Only registered processes are ended, only those that are over, and never one that got a pid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from connection_events import Reason, disconnected
from connection_events.in_process import ProcessChannel
from devstack.machine import PROJECT_ROOT
from devstack.waiting import eventually
from sessions import Gone, SessionRecord, SessionState, StateUnreachableError
from sessions.in_process import ProcessSessionState
from sessions.naming import new_session_id, now_ms
from worker.escalation import Reaper
from worker.processes import start_of
from worker.registry import Entry, Registry, this_host

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def registry(data_dir: Path) -> Registry:
    return Registry(data_dir)


@pytest.fixture
def state() -> SessionState:
    return ProcessSessionState(fence_s=60)


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[str]]:
    """A process that ignores SIGTERM."""
    made = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    yield made
    made.kill()
    made.wait()
    made.stdout.close()


def entry_of(pid: int, **changes: object) -> Entry:
    made = Entry(
        session_id=new_session_id(),
        pid=pid,
        started=start_of(pid),
        host=this_host(),
        parent=os.getpid(),
        attempt=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def known(state: SessionState, entry: Entry, **fields: object) -> None:
    record = SessionRecord(
        id=entry.session_id,
        room=entry.session_id,
        identity="alice@example.com",
        user_id="a-user",
        creator="somebody",
        start_time=now_ms(),
        **{"dispatches": 1, **fields},  # type: ignore[arg-type]
    )
    await state.records.add(record, ttl_s=60)
    await state.agents.started(entry.session_id, entry.process, attempt=entry.attempt, ttl_s=60)


@asynccontextmanager
async def reaping(
    registry: Registry, state: SessionState, *, grace_s: float = 1.5
) -> AsyncIterator[ProcessChannel]:
    events = ProcessChannel()
    running = asyncio.create_task(Reaper(registry, state, events, grace_s=grace_s).run())
    try:
        yield events
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.alone
async def test_a_process_that_ignores_sigterm_is_killed_when_its_session_has_ended(
    registry, state, stubborn
):
    entry = entry_of(stubborn.pid)
    await known(state, entry)
    registry.put(entry)
    async with reaping(registry, state) as events:
        await state.cleanups.claim(entry.session_id, owner="me", reason="end", lease_s=30)
        began_at = time.monotonic()
        await events.publish(disconnected(entry.session_id, Reason.CLIENT_DISCONNECT))
        await eventually(lambda: stubborn.poll() is not None)
        assert 1.4 < time.monotonic() - began_at < 2.2
        await eventually(lambda: not registry.entries())
    assert stubborn.returncode == -signal.SIGKILL
    assert await state.agents.how_gone(entry.session_id) is Gone.KILLED


async def test_the_fence_is_found_without_an_event(registry, state, stubborn):
    entry = entry_of(stubborn.pid)
    await known(state, entry)
    registry.put(entry)
    async with reaping(registry, state, grace_s=0.3):
        await state.records.fence(entry.session_id)
        await eventually(lambda: stubborn.poll() is not None, 3)


@pytest.mark.parametrize("steps", range(6))
async def test_a_reaper_that_is_woken_as_it_is_cancelled_ends(registry, state, steps):
    reaper = Reaper(registry, state, ProcessChannel(), grace_s=1.5)
    running = asyncio.create_task(reaper.run())
    await eventually(lambda: reaper._woken._waiters)
    reaper._woken.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running}, timeout=2)
    assert running.cancelled()


async def test_a_process_whose_session_lives_is_left_alone(registry, state, stubborn):
    entry = entry_of(stubborn.pid)
    await known(state, entry)
    registry.put(entry)
    reaper = Reaper(registry, state, ProcessChannel(), grace_s=0.0)
    await reaper.look()
    assert stubborn.poll() is None
    assert registry.entries() == [entry]
    registry.remove(entry)
    await reaper.look()


async def test_a_process_that_does_not_know_its_dispatch_yet_is_not_outdated(
    registry, state, stubborn
):
    entry = entry_of(stubborn.pid, attempt=0)
    await known(state, entry)
    registry.put(entry)
    reaper = Reaper(registry, state, ProcessChannel(), grace_s=0.0)
    await reaper.look()
    with pytest.raises(subprocess.TimeoutExpired):
        stubborn.wait(0.3)
    await state.records.update(entry.session_id, agent_pid=entry.pid + 1)
    await reaper.look()  # another process has its session
    assert stubborn.wait(3) == -signal.SIGKILL
    await reaper.look()
    assert registry.entries() == []


async def test_a_pid_that_another_process_has_got_is_never_signalled(registry, state, stubborn):
    entry = entry_of(stubborn.pid)
    entry = replace(entry, started=entry.started - 100)
    await known(state, entry)
    await state.records.fence(entry.session_id)
    registry.put(entry)
    reaper = Reaper(registry, state, ProcessChannel(), grace_s=0.0)
    for _ in range(3):
        await reaper.look()
    assert stubborn.poll() is None
    assert registry.entries() == []


async def test_a_process_is_the_same_after_the_clock_was_set(
    registry, state, stubborn, monkeypatch
):
    entry = entry_of(stubborn.pid)
    await known(state, entry)
    registry.put(entry)
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: time.time() + 3600)
    await Reaper(registry, state, ProcessChannel(), grace_s=0.0).look()
    assert await state.agents.how_gone(entry.session_id) is None
    assert registry.entries() == [entry]


async def test_a_process_from_before_the_machine_was_started_anew_is_gone(
    registry, state, stubborn
):
    entry = entry_of(stubborn.pid, boot="another")
    await known(state, entry)
    await state.records.fence(entry.session_id)
    registry.put(entry)
    reaper = Reaper(registry, state, ProcessChannel(), grace_s=0.0)
    for _ in range(3):
        await reaper.look()
    assert stubborn.poll() is None
    assert registry.entries() == []


async def test_the_end_of_a_process_that_waited_days_for_its_session_is_reported(
    registry, state, stubborn
):
    entry = entry_of(stubborn.pid, started=1.0)  # an idle one that began long ago
    await known(state, entry)
    registry.put(entry)
    await Reaper(registry, state, ProcessChannel(), grace_s=0.0).look()
    assert await state.agents.how_gone(entry.session_id) is Gone.KILLED


async def test_a_pid_that_only_the_state_knows_is_never_signalled(registry, state, stubborn):
    entry = entry_of(stubborn.pid)
    await known(state, entry)
    await state.records.fence(entry.session_id)
    reaper = Reaper(registry, state, ProcessChannel(), grace_s=0.0)
    for _ in range(3):
        await reaper.look()
    assert stubborn.poll() is None


async def test_a_process_of_another_host_that_shares_the_folder_is_left_alone(
    registry, state, stubborn
):
    entry = entry_of(stubborn.pid, host="another")
    await known(state, entry)
    await state.records.fence(entry.session_id)
    registry.put(entry)
    reaper = Reaper(registry, state, ProcessChannel(), grace_s=0.0)
    for _ in range(3):
        await reaper.look()
    assert stubborn.poll() is None


@pytest.mark.parametrize("change", ["a newer dispatch", "another process"])
async def test_a_process_that_lost_its_session_is_ended(registry, state, stubborn, change):
    entry = entry_of(stubborn.pid)
    await known(state, entry)
    await state.records.update(entry.session_id, dispatches=2)
    if change == "another process":
        other = replace(entry.process, pid=1)
        await state.agents.started(entry.session_id, other, attempt=2, ttl_s=60)
    registry.put(entry)
    async with reaping(registry, state, grace_s=0.2):
        await eventually(lambda: stubborn.poll() is not None, 3)
        await eventually(lambda: not registry.entries())
    if change == "another process":
        assert await state.agents.how_gone(entry.session_id) is None


async def test_a_process_that_ended_in_order_counts_as_exited_and_one_that_did_not_as_killed(
    registry, state
):
    for ending, expected in ((True, Gone.EXITED), (False, Gone.KILLED)):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        entry = entry_of(child.pid)
        await known(state, entry)
        registry.put(entry)
        if ending:
            registry.note_ending(entry)
        async with reaping(registry, state):
            await asyncio.sleep(0)
            child.kill()
            child.wait()
            assert child.stdin is not None
            child.stdin.close()
            await eventually(lambda: not registry.entries(), 3)
        assert await state.agents.how_gone(entry.session_id) is expected


async def test_what_an_unreachable_state_was_not_told_is_told_later(registry, state, monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", ""])
    entry = entry_of(child.pid)
    child.wait()
    await known(state, entry)
    registry.put(entry)
    reaper = Reaper(registry, state, ProcessChannel(), grace_s=1.0)

    async def away(*_: object, **__: object) -> bool:
        raise StateUnreachableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(state.agents, "gone", away)
        with pytest.raises(StateUnreachableError):
            await reaper.look()
    assert registry.entries() == [entry]
    await reaper.look()
    assert registry.entries() == []
    assert await state.agents.how_gone(entry.session_id) is Gone.KILLED


ORPHANING = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
"""


async def test_a_reaper_of_its_own_ends_what_a_dead_worker_left_behind(
    registry, data_dir, redis, tmp_path
):
    worker = subprocess.Popen(
        [sys.executable, "-c", ORPHANING, STUBBORN], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    orphan = psutil.Process(int(worker.stdout.readline()))
    entry = entry_of(orphan.pid, parent=worker.pid)
    worker.wait()
    worker.stdout.close()
    registry.put(entry)
    # Between the two signals it must get to look: a busy machine can take half a second.
    settings = {"REDIS_URL": redis, "DATA_DIR": str(data_dir), "TERM_GRACE_S": "5"}
    with (tmp_path / "log").open("w") as log:
        reaper = subprocess.Popen(
            [sys.executable, "-m", "worker.reaper"],
            cwd=PROJECT_ROOT,
            env={**os.environ, **settings},
            stderr=log,
        )
        try:
            await eventually(lambda: not registry.entries(), 15)
        finally:
            reaper.terminate()
            assert reaper.wait(5) == 0
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    said = (tmp_path / "log").read_text()
    assert said.count("is signalled") == 2
    assert "an agent's process is gone" in said


def test_without_redis_the_reaper_says_what_to_do(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "worker.reaper"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "ENV_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("REDIS_URL: set it")


def test_the_folder_is_private_and_what_is_none_of_ours_is_left_alone(registry, data_dir, caplog):
    entry = entry_of(os.getpid())
    registry.put(entry)
    folder = data_dir / "agents"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (folder / "notes.json").write_text("{")
    (folder / "1-0.0.json").write_text(json.dumps({"pid": 1}))
    assert registry.entries() == [entry]
    assert registry.entries() == [entry]
    assert len(caplog.records) == 2
    registry.note_ending(entry)
    assert registry.entries() == [replace(entry, ending=True)]
    registry.remove(entry)
    registry.note_ending(entry)
    assert registry.entries() == []
