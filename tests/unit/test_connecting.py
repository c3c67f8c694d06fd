"""A job joins its room, unless its session ends while it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from worker.connecting import connect


class Job:
    """A job that joins as it is told."""

    def __init__(self, join: Callable[[], Awaitable[None]]) -> None:
        self.connect = join


def answers(*given: bool) -> Callable[[], Awaitable[bool]]:
    """Tells in turn whether the session has ended."""
    left = list(given)

    async def has_ended() -> bool:
        return left.pop(0)

    return has_ended


async def at_once() -> None:
    return


async def never() -> None:
    await asyncio.Event().wait()


async def refused() -> None:
    raise ConnectionError("refused")


async def test_a_room_is_joined_and_nobody_is_asked():
    assert await connect(Job(at_once), has_ended=answers())  # type: ignore[arg-type]


async def test_a_room_that_takes_its_time_is_joined_while_the_session_lives():
    asked: list[bool] = []
    twice = asyncio.Event()

    async def has_ended() -> bool:
        asked.append(False)
        if len(asked) == 2:
            twice.set()
        return False

    async def later() -> None:
        await twice.wait()

    assert await connect(Job(later), has_ended=has_ended)  # type: ignore[arg-type]
    assert len(asked) == 2


async def test_a_session_that_ends_meanwhile_is_not_waited_for():
    job = Job(never)
    assert not await asyncio.wait_for(
        connect(job, has_ended=answers(False, True)),  # type: ignore[arg-type]
        1.0,
    )


async def test_why_a_room_cannot_be_joined_is_told():
    with pytest.raises(ConnectionError, match="refused"):
        await connect(Job(refused), has_ended=answers())  # type: ignore[arg-type]


async def test_a_job_that_is_cancelled_leaves_nothing_behind():
    joining = asyncio.create_task(
        connect(Job(never), has_ended=answers())  # type: ignore[arg-type]
    )
    await asyncio.sleep(0.05)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
