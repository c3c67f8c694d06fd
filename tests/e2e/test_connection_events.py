"""Connection events and a real conversation: a Redis that comes and goes, and a second device."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from connection_events import ConnectionEvent, EventChannel, Reason, disconnected, reconnected
from connection_events.in_redis import RedisChannel
from devstack.participant import Participant
from devstack.servers.redis import RedisServer
from devstack.waiting import eventually
from sessions.naming import new_session_id
from tests import leaks
from tests.e2e.conftest import Deployment, deployment
from tests.services import started

STAGES = {"hearing", "thinking", "speaking"}


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may stop and start."""
    server = started(RedisServer)
    yield server
    server.stop()


@pytest.fixture
def eventful(
    webrtc: None, worker_settings: dict[str, str], own_redis: RedisServer
) -> Iterator[Any]:
    """A worker that is told of connections over that Redis."""
    with deployment({**worker_settings, "REDIS_URL": own_redis.info.url}) as running:
        yield running


@pytest.fixture
async def channel(own_redis: RedisServer) -> AsyncIterator[EventChannel]:
    """Where somebody else says what has happened."""
    made = RedisChannel(own_redis.info.url, "connection_events")
    yield made
    await made.aclose()


def joining(running: Deployment, identity: str, session_id: str) -> Participant:
    """Somebody about to enter the room of a session that was dispatched for them."""
    metadata = {"sessionId": session_id, "creator": "c" * 32, "attempt": 1}
    return running.join(identity, session_id, metadata=metadata)


def told(running: Deployment, session_id: str, action: str) -> list[str]:
    """The stages of a conversation that were told to do something, in order."""
    records = [
        json.loads(line) for line in running.worker.log().splitlines() if line.startswith("{")
    ]
    return [
        record["stage"]
        for record in records
        if record.get("conversation_id") == session_id and record.get("action") == action
    ]


async def answer(person: Participant, text: str) -> str:
    """What the agent answers, after the line by which it takes up what a loss had cut off."""
    await person.type(text)
    said = await person.hear()
    return (await person.hear() if "I was cut off" in said.text else said).text


async def heeded(running: Deployment, channel: EventChannel, session_id: str) -> None:
    """Say that somebody is gone, and that they are back, and see both heeded.

    Said again until it is heard: nobody keeps what is said while the job is not subscribed.
    """

    async def until_heard(event: ConnectionEvent, action: str) -> None:
        before = len(told(running, session_id, action))

        def is_heard() -> bool:
            return set(told(running, session_id, action)[before:]) >= STAGES

        for _ in range(60):
            await channel.publish(event)
            try:
                await eventually(is_heard, 0.5)
            except AssertionError:
                continue
            return
        pytest.fail("the event was not heeded")

    await until_heard(disconnected(session_id, Reason.TIMEOUT), "release")
    await until_heard(reconnected(session_id, Reason.TIMEOUT), "resume")


async def test_a_conversation_that_begins_without_redis_heeds_what_is_said_once_it_is_there(
    eventful, own_redis, channel, identity
):
    session_id = new_session_id()
    own_redis.kill()
    async with joining(eventful, identity, session_id) as person:
        assert "What may I call you?" in (await person.hear(30)).text
        assert "Nice to meet you" in await person.ask("Hello, my name is Anna.")
        with leaks.shared():
            own_redis.start()
        await heeded(eventful, channel, session_id)
        assert "remember" in await answer(person, "my favorite color is blue")


async def test_a_conversation_goes_on_while_redis_is_away_and_heeds_what_is_said_afterwards(
    eventful, own_redis, channel, identity
):
    session_id = new_session_id()
    async with joining(eventful, identity, session_id) as person:
        await person.hear(30)
        await heeded(eventful, channel, session_id)
        own_redis.kill()
        assert "Nice to meet you" in await answer(person, "Hello, my name is Anna.")
        with leaks.shared():
            own_redis.start()
        await heeded(eventful, channel, session_id)
        own_redis.kill()
        assert "remember" in await answer(person, "my favorite color is blue")
    # With Redis away they hang up, and nothing waits for it.
    await eventually(lambda: "blue" in eventful.values(identity), 20)


async def test_a_second_device_takes_the_conversation_over(eventful, identity):
    session_id = new_session_id()
    async with joining(eventful, identity, session_id) as first:
        await first.hear(30)
        await first.ask("my favorite color is blue")
        async with joining(eventful, identity, session_id) as second:
            await eventually(lambda: not first.room.isconnected(), 10)
            # LiveKit drops what is typed before the agent's room has the person again.
            await eventually(lambda: "the participant is back" in eventful.worker.log(), 10)
            assert "blue" in await second.ask("what is my favorite color?")
            assert told(eventful, session_id, "release") == []
