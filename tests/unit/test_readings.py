"""Who watches sees how far each read of turns for facts is."""

from __future__ import annotations

import asyncio

import pytest

from devstack.waiting import eventually
from memory.extraction import Extraction, ReadingState
from memory.extraction.fact import FactModel
from storage import StorageRejectedError
from tests.unit.test_extractor import FixedModel, extractor, told

pytest_plugins = ["tests.unit.extraction_fixtures"]

P, R, C, F, X = ReadingState


class GatedModel(FixedModel):
    """Answers once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def read(self, turns, known, earlier=()) -> Extraction:
        self.was_asked.set()
        await self.may_answer.wait()
        return await super().read(turns, known, earlier)


class Watcher:
    """Which reads there were, in the order in which they began, and the states of each."""

    def __init__(self) -> None:
        self.states: dict[str, list[ReadingState]] = {}

    def __call__(self, reading: str, state: ReadingState) -> None:
        self.states.setdefault(reading, []).append(state)

    def seen(self) -> list[list[ReadingState]]:
        return list(self.states.values())


async def test_turns_that_are_read_together_are_one_read_that_waits_runs_and_is_done(
    memory, threads
):
    watcher = Watcher()
    reading = extractor(memory, threads, FixedModel(), wait_s=60, on_reading=watcher)
    reading.hear(told("I'm a nurse"))
    reading.hear(told("I live in Porto", 1))
    assert watcher.seen() == [[P]]
    assert await reading.flush(5)
    await eventually(lambda: watcher.seen() == [[P, R, C]])
    await reading.aclose(5)
    assert watcher.seen() == [[P, R, C]]


async def test_what_is_heard_while_something_is_read_is_a_read_of_its_own(memory, threads):
    watcher, model = Watcher(), GatedModel()
    reading = extractor(memory, threads, model, on_reading=watcher)
    reading.hear(told("I'm a nurse"))
    await model.was_asked.wait()
    reading.hear(told("I live in Porto", 1))
    assert watcher.seen() == [[P, R], [P]]
    model.may_answer.set()
    assert await reading.flush(5)
    await reading.aclose(5)
    assert watcher.seen() == [[P, R, C], [P, R, C]]


async def test_a_read_whose_facts_the_store_refuses_has_failed(memory, threads):
    def refuse(*_args, **_more):
        raise StorageRejectedError("no")

    watcher = Watcher()
    memory.list_facts = refuse
    reading = extractor(memory, threads, FixedModel(), on_reading=watcher)
    reading.hear(told("I'm a nurse"))
    assert await reading.flush(5)
    await reading.aclose(5)
    assert watcher.seen() == [[P, R, F]]


@pytest.mark.parametrize("is_reading", [False, True], ids=["nothing is read", "another is read"])
async def test_what_waits_when_something_is_to_be_forgotten_is_cancelled(
    memory, threads, is_reading
):
    watcher, model = Watcher(), GatedModel()
    reading = extractor(memory, threads, model, on_reading=watcher)
    if is_reading:
        reading.hear(told("I'm a nurse"))
        await model.was_asked.wait()
    reading.hear(told("I live in Porto", 1))
    reading.drop_waiting()
    assert watcher.seen()[-1] == [P, X]
    model.may_answer.set()
    await reading.aclose(5)
    assert watcher.seen() == ([[P, R, C], [P, X]] if is_reading else [[P, X]])


async def test_what_is_not_read_when_the_session_ends_is_cancelled(memory, threads):
    watcher = Watcher()
    model: FactModel = GatedModel()
    reading = extractor(memory, threads, model, fallback=GatedModel(), on_reading=watcher)
    reading.hear(told("I'm a nurse"))
    await eventually(lambda: watcher.seen() == [[P, R]])
    reading.hear(told("I live in Porto", 1))
    await reading.aclose(0.1)
    assert watcher.seen() == [[P, R, X], [P, X]]
