"""A model that fails costs at most the turn in which it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from devstack.participant import Participant
from devstack.waiting import eventually
from tests.e2e.conftest import Deployment, deployment
from tests.standins import Disturbance, OpenAIStandIn, ScriptedBrain, Timing

TRIES = 4
"""How often the framework asks the model for one reply: livekit-agents' APIConnectOptions."""

MOST_FAILED_TURNS = 3
"""How many of them in a row a session survives: its SessionConnectOptions."""


@pytest.fixture
def openai() -> Iterator[OpenAIStandIn]:
    brain = ScriptedBrain(lambda request: f"I heard {request.last_user_text}.")
    with OpenAIStandIn(brain, timing=Timing(seconds_per_character=0.02)) as running:
        yield running
        running.assert_no_faults()


@pytest.fixture
def running(worker_settings: dict[str, str], openai: OpenAIStandIn) -> Iterator[Deployment]:
    with deployment({**worker_settings, **openai.environment}) as made:
        yield made


def refused(openai: OpenAIStandIn) -> int:
    return [chat.outcome for chat in openai.chats].count("refused")


async def test_a_model_that_fails_once_is_asked_again_for_the_same_turn(
    running, openai, identity, new_room
):
    async with running.join(identity, new_room()) as person:
        await person.hear()
        openai.disturb("chat", Disturbance(status=500))
        assert await person.ask("I love hiking") == "I heard I love hiking."
        assert await person.ask("I love the sea") == "I heard I love the sea."
    assert refused(openai) == 1


async def test_after_a_turn_to_which_the_model_gave_no_reply_the_next_is_answered(
    running, openai, identity, new_room
):
    async with running.join(identity, new_room()) as person:
        await person.hear()
        openai.disturb("chat", Disturbance(status=500), times=TRIES)
        await person.type("I love hiking")
        await eventually(lambda: refused(openai) == TRIES, 30)
        assert await person.ask("I love the sea") == "I heard I love the sea."
        assert "Unhandled" not in running.worker.log()
    said = ["I love hiking", "I love the sea"]
    await eventually(lambda: running.said(identity) == said)


async def test_a_model_that_is_gone_for_good_ends_the_session_and_its_room(
    running, openai, identity, new_room
):
    async with running.join(identity, new_room()) as person:
        await person.hear()
        openai.disturb("chat", Disturbance(status=401), times=1000)
        for _ in range(MOST_FAILED_TURNS + 1):
            await _fail(person, openai)
        await asyncio.wait_for(person.disconnected.wait(), 30)
    assert set(running.said(identity)) == {"I love hiking"}


async def _fail(person: Participant, openai: OpenAIStandIn) -> None:
    before = refused(openai)
    await person.type("I love hiking")
    await openai.until(lambda: refused(openai) > before, timeout_s=30)
