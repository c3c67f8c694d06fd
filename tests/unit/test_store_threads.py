"""Store calls run off the loop, in the caller's context, and never hold up the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from session_context import get_current_user, set_session_user
from storage import NoFreeThreadError, StoreThreads


@pytest.fixture
def threads():
    made = StoreThreads(2)
    yield made
    made.close()


async def test_a_call_runs_in_another_thread_and_its_answer_comes_back(threads: StoreThreads):
    name = await threads.run(lambda: threading.current_thread().name)
    assert name.startswith("store-")


async def test_what_a_call_raises_is_raised_to_whoever_awaits_it(threads: StoreThreads):
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await threads.run(fail)


async def test_a_call_sees_its_callers_user(threads: StoreThreads):
    async def as_user(identity: str) -> bool:
        return set_session_user(identity) == await threads.run(get_current_user)

    assert all(await asyncio.gather(*(as_user(f"user-{n}") for n in range(20))))


async def test_when_all_threads_are_busy_a_call_that_must_not_wait_is_refused(
    threads: StoreThreads,
):
    gate = threading.Event()
    stuck = [asyncio.ensure_future(threads.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(NoFreeThreadError):
        await threads.run_if_free(int)
    waiting = asyncio.ensure_future(threads.run(int))
    gate.set()
    await asyncio.gather(*stuck)
    assert await waiting == 0
    assert await threads.run_if_free(int) == 0


async def test_a_call_that_nobody_awaits_any_more_is_finished_all_the_same(threads: StoreThreads):
    gate, begun, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        gate.wait()
        done.set()

    under_way = asyncio.ensure_future(threads.run(call))
    assert await asyncio.to_thread(begun.wait, 5)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(under_way, 0.01)
    gate.set()
    assert await asyncio.to_thread(done.wait, 5)


async def test_a_call_that_was_given_up_before_it_began_never_begins(threads: StoreThreads):
    gate, begun = threading.Event(), threading.Event()
    stuck = [asyncio.ensure_future(threads.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)  # from Python 3.12 on, wait_for would begin before them
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(threads.run(begun.set), 0.01)
    gate.set()
    await asyncio.gather(*stuck)
    await threads.run(int)
    assert not begun.is_set()


async def test_closed_threads_take_no_call(threads: StoreThreads):
    threads.close()
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        await threads.run(int)


def test_a_stuck_call_does_not_keep_the_process():
    program = (
        "import asyncio, time\n"
        "from storage import StoreThreads\n"
        "async def main():\n"
        "    try:\n"
        "        await asyncio.wait_for(StoreThreads(1).run(time.sleep, 3600), 0.05)\n"
        "    except asyncio.TimeoutError:\n"
        "        print('late')\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert ended.stdout == "late\n"
