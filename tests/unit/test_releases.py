"""Stages free what they hold, each by itself, and what is wanted last is what is done."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connection_events import Reason
from worker.release import Releases

NAMES = ("hearing", "thinking", "speaking")


class FakeStage:
    """Notes what it is told; works at first."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.works = True
        self.error: Exception | None = None
        self.hangs = False

    async def release(self) -> None:
        await self._do("release", works=False)

    async def resume(self) -> None:
        await self._do("resume", works=True)

    async def _do(self, what: str, *, works: bool) -> None:
        self.told.append(what)
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        await asyncio.sleep(0)
        self.works = works


@pytest.fixture
def stages() -> dict[str, FakeStage]:
    return {name: FakeStage() for name in NAMES}


@pytest.fixture
async def releases():
    made = Releases("session_1_a", timeout_s=0.2)
    yield made
    await made.aclose()


def works(stages: dict[str, FakeStage]) -> list[bool]:
    return [stage.works for stage in stages.values()]


async def test_all_stages_free_what_they_hold_and_work_again_when_wanted(releases, stages):
    releases.attach(stages)
    releases.want_released(Reason.TIMEOUT)
    await releases.settled()
    assert works(stages) == [False] * 3
    releases.want_working()
    await releases.settled()
    assert works(stages) == [True] * 3


async def test_wanting_the_same_twice_does_it_once(releases, stages):
    releases.attach(stages)
    for _ in range(3):
        releases.want_released(Reason.TIMEOUT)
        await releases.settled()
    assert [stage.told for stage in stages.values()] == [["release"]] * 3


async def test_a_stage_that_fails_hinders_no_other(releases, stages, caplog):
    caplog.set_level("INFO")
    stages["hearing"].error = ValueError("told")
    releases.attach(stages)
    releases.want_released(Reason.TIMEOUT)
    await releases.settled()
    assert works(stages) == [True, False, False]
    told = [each.__dict__ for each in caplog.records if "result" in each.__dict__]
    assert {each["stage"]: each["result"] for each in told} == {
        "hearing": "failed",
        "thinking": "ok",
        "speaking": "ok",
    }


async def test_a_stage_that_hangs_is_given_up_after_its_time(releases, stages):
    stages["thinking"].hangs = True
    releases.attach(stages)
    releases.want_released(Reason.TIMEOUT)
    await asyncio.wait_for(releases.settled(), 1.0)
    assert works(stages) == [False, True, False]


async def test_what_is_wanted_before_the_stages_work_is_done_once_they_do(releases, stages):
    releases.want_released(Reason.TIMEOUT)
    releases.attach(stages)
    await releases.settled()
    assert works(stages) == [False] * 3


async def test_what_is_wanted_at_the_end_is_done_before_it_closes(stages):
    releases = Releases("session_1_a", timeout_s=0.2)
    releases.attach(stages)
    releases.want_released(Reason.CLIENT_DISCONNECT)
    await releases.aclose()
    assert works(stages) == [False] * 3


async def test_closing_twice_or_without_any_stage_is_harmless():
    releases = Releases("session_1_a", timeout_s=0.2)
    releases.want_released(Reason.TIMEOUT)
    await releases.stop("speaking", Reason.CLIENT_DISCONNECT)
    await releases.aclose()
    await releases.aclose()


async def test_one_stage_can_be_stopped_alone(releases, stages):
    releases.attach(stages)
    await releases.stop("speaking", Reason.CLIENT_DISCONNECT)
    assert works(stages) == [True, True, False]
    assert not releases.is_released


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([True, False, None]), max_size=20))
def test_whatever_is_wanted_in_between_what_is_wanted_last_is_done(wishes):
    async def run() -> None:
        stages = {name: FakeStage() for name in NAMES}
        releases = Releases("session_1_a", timeout_s=1.0)
        releases.attach(stages)
        last = True
        for wish in wishes:
            if wish is None:
                await asyncio.sleep(0)
            elif wish:
                releases.want_working()
            else:
                releases.want_released(Reason.TIMEOUT)
            last = last if wish is None else wish
        await releases.settled()
        assert works(stages) == [last] * 3
        await releases.aclose()

    asyncio.run(run())
