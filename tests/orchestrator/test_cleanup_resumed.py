"""An orchestrator that dies between two steps of a clean-up leaves it to another one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from connection_events import Reason
from orchestrator.ending.owners import is_gone, new_owner
from orchestrator.ending.rounds import rounds
from orchestrator.errors import UnavailableError
from orchestrator.spawners.dispatch import DispatchSpawner
from tests.orchestrator.ending_world import World, a_person, an_agent, made_settings, until

pytest_plugins = ["tests.orchestrator.ending_fixtures"]

LEFT = Reason.CLIENT_DISCONNECT
MOST_CALLS = 14
"""As many calls as the longest clean-up makes; asserted below."""


class Death:
    """Ends its orchestrator at one call, before the call takes effect or after it did.

    Args:
        at: the number of the call, from 0 on.
        after: let the call take effect.
    """

    def __init__(self, at: int, *, after: bool) -> None:
        self._at = at
        self._after = after
        self.calls: list[str] = []

    def within(self, thing: Any) -> Any:
        """The same thing, whose asynchronous methods may be the last."""
        return Mortal(thing, self)

    async def call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if len(self.calls) > self._at:
            raise asyncio.CancelledError  # the dead do nothing more
        self.calls.append(name)
        if len(self.calls) <= self._at:
            return await method(*args, **kwargs)
        if self._after:
            await method(*args, **kwargs)
        raise asyncio.CancelledError

    @property
    def came(self) -> bool:
        return len(self.calls) > self._at


class Mortal:
    def __init__(self, thing: Any, death: Death) -> None:
        self._thing = thing
        self._death = death

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name in ("records", "cleanups", "agents"):
            return Mortal(found, self._death)
        if not asyncio.iscoroutinefunction(found) or name in (
            "renew",
            "abandoned",
            "owners",
            "let_go",
        ):
            return found

        async def mortal(*args: Any, **kwargs: Any) -> Any:
            return await self._death.call(name, found, *args, **kwargs)

        return mortal


async def die(tended: World, session_id: str, death: Death) -> None:
    """Begin a clean-up that ends where death comes."""
    async with tended.cleaning(
        state=death.within(tended.state),
        events=death.within(tended.events),
        rooms=death.within(tended.rooms),
        spawner=death.within(DispatchSpawner(tended.rooms)),
        lease_s=0.1,
    ) as mortal:
        with pytest.raises(UnavailableError):
            await mortal.end(session_id, LEFT, asked_by="end")


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "once it had"])
@pytest.mark.parametrize("at", range(MOST_CALLS))
async def test_a_clean_up_killed_at_any_call_is_finished_by_another_orchestrator(
    lone_world, at, after
):
    tended = lone_world
    record = await tended.started(a_person(), an_agent())
    death = Death(at, after=after)
    async with tended.cleaning() as living:
        try:
            await die(tended, record.id, death)
        except pytest.fail.Exception:
            assert not death.came, "it came, and was not noticed"
        if not await tended.state.cleanups.is_pending(record.id) and not await tended.is_gone(
            record
        ):
            assert death.calls == ["claim"]  # the session is as it was
            assert await tended.state.records.get(record.id) is not None
            assert await living.end(record.id, LEFT, asked_by="end") is not None
        await until(lambda: tended.is_gone(record))


async def test_the_calls_of_a_clean_up_are_all_tried_above(lone_world):
    record = await lone_world.started(a_person(), an_agent())
    death = Death(1000, after=False)
    with pytest.raises(pytest.fail.Exception):
        await die(lone_world, record.id, death)
    assert len(death.calls) <= MOST_CALLS, death.calls


async def test_a_clean_up_that_was_abandoned_is_finished_over_redis_too(tended):
    record = await tended.started(a_person(), an_agent())
    death = Death(4, after=True)
    await die(tended, record.id, death)
    assert await tended.state.cleanups.is_pending(record.id)
    async with tended.cleaning():
        await until(lambda: tended.is_gone(record))
    report = await tended.state.cleanups.report(record.id)
    assert report["errors"] == []


@pytest.fixture
def gone_owner() -> str:
    """An orchestrator of this host that is no more."""
    script = "from orchestrator.ending.owners import new_owner; print(new_owner())"
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return ran.stdout.strip()


async def test_an_orchestrator_takes_over_at_once_from_one_that_was_killed_on_its_host(
    tended, gone_owner
):
    record = await tended.started(a_person(), an_agent())
    await tended.state.cleanups.claim(record.id, owner=gone_owner, reason="", lease_s=3600)
    async with tended.cleaning():
        await until(lambda: tended.is_gone(record))


async def test_of_an_owner_elsewhere_nobody_says_that_it_is_gone(gone_owner):
    assert is_gone(gone_owner)
    assert not is_gone(new_owner())
    assert not is_gone(gone_owner.replace("/", "/another", 1))
    assert not is_gone("somebody")


async def test_the_rounds_of_a_killed_orchestrator_go_on_at_once_on_its_host(tended, gone_owner):
    await tended.state.marks.lease("work", owner=gone_owner, for_s=3600)
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    owned = {"state": tended.state, "owner": new_owner(), "every_s": 0.02, "lease_s": 60}
    async with rounds("work", work, **owned):
        await asyncio.wait_for(done.wait(), 5)


async def test_a_clean_up_that_the_orchestrators_end_broke_off_is_free_at_once(tended):
    record = await tended.started(agent_pid=4711, agent_host="there", agent_started=1.0)
    async with tended.cleaning(made_settings(TERM_GRACE_S="60"), lease_s=60) as ending:
        await ending.begin(record.id, LEFT, asked_by="end")
        for task in [run.task for run in ending._runs.values()]:
            task.cancel()
    assert record.id in await tended.state.cleanups.abandoned()


async def test_who_waits_for_an_orchestrator_that_dies_takes_over_and_gets_a_report(tended):
    record = await tended.started(a_person(), an_agent())
    await die(tended, record.id, Death(3, after=True))
    async with tended.cleaning(sweep_every_s=60) as other:
        report = await other.end(record.id, LEFT, asked_by="end")
    assert report is not None
    assert report.room_deleted
    assert await tended.is_gone(record)


async def test_a_long_clean_up_is_not_taken_over_while_its_owner_lives(tended):
    record = await tended.started(agent_pid=4711, agent_host="there", agent_started=1.0)
    async with tended.cleaning(lease_s=1.5) as one, tended.cleaning(lease_s=1.5):
        one._sequence._gone_within_s = 2.5
        report = await one.end(record.id, LEFT, asked_by="end")
    assert report.seconds >= 2.5
    assert len(tended.heard) == 1
