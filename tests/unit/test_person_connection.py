"""What a job says of its person's connection, what it hears of it, and what it does then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import gt
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import anyio
import pytest
from livekit import rtc
from livekit.rtc import DisconnectReason
from redis import asyncio as aioredis

from config import Settings
from connection_events import ConnectionEvent, Reason, disconnected, open_speech_control
from connection_events.in_redis import RedisChannel
from sessions import SessionRecord, StateUnreachableError
from sessions.in_process import ProcessSessionState
from sessions.naming import new_session_id
from tests.unit.test_presence import Job
from tests.unit.test_releases import NAMES, FakeStage
from worker.connection import PersonConnection
from worker.speaking_flag import SpeakingFlag
from worker.whereabouts import Sign

Events = list[ConnectionEvent]
UNREACHABLE = StateUnreachableError("Redis is out of reach")
GONE: Any = DisconnectReason.CONNECTION_TIMEOUT
LEFT: Any = DisconnectReason.CLIENT_INITIATED


@pytest.fixture
def session_id() -> str:
    return new_session_id()


@pytest.fixture
def settings(redis: str) -> Settings:
    return Settings.from_environment({"REDIS_URL": redis, "RECONNECT_GRACE_S": "30"})


class Talk:
    """A connection under test, with what became of it."""

    def __init__(self, session_id: str, settings: Settings) -> None:
        self.job = Job()
        self.job.room.enter("alice")
        self.stages = {name: FakeStage() for name in NAMES}
        self.lost: list[float] = []
        self.followed: list[bool] = []
        self.kept = 0
        ctx: Any = self.job
        self.connection = PersonConnection(
            ctx, "alice", session_id, settings, on_gone=lambda: self.job.noted.append("gone")
        )

    def begin(self) -> None:
        session: Any = rtc.EventEmitter()
        self.connection.attach(session, self.stages, lost=self.lost.append, changed=self._note)

    def _note(self, sign: Sign) -> None:
        self.followed.append(sign.is_here)

    async def keep(self) -> None:
        self.kept += 1

    def works(self) -> list[bool]:
        return [stage.works for stage in self.stages.values()]


async def listeners(settings: Settings) -> tuple[int, ...]:
    """How many subscriptions there are to events, and to orders to stop."""
    channels = (settings.sessions.events_channel, settings.sessions.tts_control_channel)
    async with aioredis.from_url(str(settings.sessions.redis_url)) as client:
        return tuple(count for _, count in await client.pubsub_numsub(*channels))


@pytest.fixture
async def talk(session_id: str, settings: Settings) -> AsyncIterator[Talk]:
    before = await listeners(settings)
    made = Talk(session_id, settings)
    made.begin()
    with anyio.fail_after(5):
        while not all(map(gt, await listeners(settings), before)):  # noqa: ASYNC110 - it says nothing
            await asyncio.sleep(0.01)
    yield made
    await made.connection.end(made.keep)


@asynccontextmanager
async def listening(
    settings: Settings,
) -> AsyncIterator[tuple[RedisChannel, list[ConnectionEvent]]]:
    channel = RedisChannel(str(settings.sessions.redis_url), settings.sessions.events_channel)
    heard: Events = []

    async def note(event: ConnectionEvent) -> None:
        heard.append(event)

    async with channel.listening(note):
        yield channel, heard
    await channel.aclose()


async def until(condition: Any) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_whoever_vanishes_is_said_to_be_gone_once_and_back_once(talk, settings, session_id):
    async with listening(settings) as (_, heard):
        talk.job.room.leave("alice", GONE)
        await until(lambda: talk.works() == [False] * 3)
        talk.job.room.enter("alice")
        await until(lambda: talk.works() == [True] * 3)
        await until(
            lambda: (
                [(e.type, e.reason) for e in heard if e.conversation_id == session_id]
                == [
                    ("connection_disconnected", Reason.TIMEOUT),
                    ("connection_reconnected", Reason.TIMEOUT),
                ]
            )
        )
    assert len(talk.lost) == 1
    assert talk.followed == [True, False, True]


async def test_an_event_about_this_conversation_stops_it_and_about_another_does_not(
    talk, settings, session_id
):
    async with listening(settings) as (channel, _):
        await channel.publish(disconnected(new_session_id(), Reason.SERVER_ERROR))
        await asyncio.sleep(0.2)
        assert talk.works() == [True] * 3
        await channel.publish(disconnected(session_id, Reason.SERVER_ERROR))
        await until(lambda: talk.works() == [False] * 3)


async def test_an_order_to_stop_stops_the_speech_of_this_conversation_alone(
    talk, settings, session_id
):
    control = open_speech_control(settings.sessions)
    await control.stop(new_session_id())
    await asyncio.sleep(0.2)
    assert talk.works() == [True] * 3
    await control.stop(session_id)
    await until(lambda: talk.works() == [True, True, False])
    assert not talk.connection.releases.is_released
    await control.aclose()


async def test_what_happens_before_the_session_runs_is_done_to_it_once_it_does(
    session_id, settings
):
    talk = Talk(session_id, settings)
    talk.job.room.leave("alice", GONE)
    talk.begin()
    await until(lambda: talk.works() == [False] * 3)
    assert len(talk.lost) == 1
    assert talk.followed == [False]
    await talk.connection.end(talk.keep)


async def test_nothing_is_said_to_nobody(talk):
    talk.job.room.leave("alice", GONE)
    waiting = asyncio.create_task(talk.connection.until_here())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    talk.job.room.enter("alice")
    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize(
    ("kept_after", "reason", "kept"),
    [
        ("timeout,server_error", DisconnectReason.CLIENT_INITIATED, 0),
        ("client_disconnect", DisconnectReason.CLIENT_INITIATED, 1),
        ("", DisconnectReason.CLIENT_INITIATED, 0),
    ],
)
async def test_whether_the_history_is_kept_is_as_the_settings_have_it(
    session_id, redis, kept_after, reason, kept
):
    variables = {"REDIS_URL": redis, "HISTORY_KEPT_AFTER": kept_after}
    talk = Talk(session_id, Settings.from_environment(variables))
    talk.begin()
    talk.job.room.leave("alice", reason)
    assert talk.job.noted == ["gone", "the participant left"]
    await talk.connection.end(talk.keep)
    assert talk.kept == kept
    assert talk.works() == [False] * 3


@pytest.mark.parametrize(
    ("told", "kept"), [(Reason.TIMEOUT, 1), (Reason.SERVER_ERROR, 1), (Reason.CLIENT_DISCONNECT, 0)]
)
async def test_a_room_that_is_taken_was_taken_for_the_reason_that_was_said(
    talk, settings, session_id, told, kept
):
    async with listening(settings) as (channel, _):
        await channel.publish(disconnected(session_id, told))
        await until(lambda: talk.works() == [False] * 3)
        talk.job.room.emit("disconnected", DisconnectReason.ROOM_DELETED)
        await talk.connection.end(talk.keep)
    assert talk.kept == kept


async def test_the_end_goes_on_where_the_history_cannot_be_kept(talk, settings, caplog):
    async def fail() -> None:
        raise ValueError("not foreseen")

    talk.connection.failed()
    await talk.connection.end(fail)
    assert "a part of the connection's end failed" in caplog.text
    assert talk.connection._listening.done()


async def test_a_conversation_that_cannot_go_on_is_kept_and_said_to_have_failed(
    talk, settings, session_id
):
    async with listening(settings) as (_, heard):
        talk.connection.failed()
        await talk.connection.end(talk.keep)
        await until(lambda: [e for e in heard if e.conversation_id == session_id])
    assert {e.reason for e in heard if e.conversation_id == session_id} == {Reason.SERVER_ERROR}
    assert talk.kept == 1


async def test_without_redis_the_person_is_followed_all_the_same(session_id):
    talk = Talk(session_id, Settings.from_environment({}))
    talk.begin()
    talk.job.room.leave("alice", GONE)
    await until(lambda: talk.works() == [False] * 3)
    assert talk.connection.histories is None
    await talk.connection.end(talk.keep)


async def test_the_end_does_not_wait_for_a_redis_that_is_gone(session_id):
    talk = Talk(session_id, Settings.from_environment({"REDIS_URL": "redis://127.0.0.1:1/0"}))
    talk.begin()
    talk.job.room.leave("alice", LEFT)
    with anyio.fail_after(5):
        await talk.connection.end(talk.keep)
    assert talk.works() == [False] * 3


async def test_the_flag_follows_the_agent_and_is_lowered_at_once():
    state = ProcessSessionState(fence_s=60)
    record = SessionRecord("s", "s", "alice", "u", "c")
    await state.records.add(record, ttl_s=60)
    flag, session = SpeakingFlag(state, "s", ttl_s=60), rtc.EventEmitter[str]()
    emitter: Any = session
    flag.watch(emitter)
    for new_state, speaks in (("thinking", False), ("speaking", True), ("listening", False)):
        session.emit("agent_state_changed", SimpleNamespace(new_state=new_state))
        await asyncio.sleep(0.01)
        assert await state.conversations.is_speaking("s") is speaks
    session.emit("agent_state_changed", SimpleNamespace(new_state="speaking"))
    await flag.lower()
    assert not await state.conversations.is_speaking("s")
    await flag.aclose()


async def test_a_flag_that_could_not_be_lowered_is_lowered_once_it_can_be(monkeypatch):
    state = ProcessSessionState(fence_s=60)
    await state.records.add(SessionRecord("s", "s", "alice", "u", "c"), ttl_s=60)
    await state.conversations.set_speaking("s", True, ttl_s=60)
    flag = SpeakingFlag(state, "s", ttl_s=60)
    with monkeypatch.context() as away:
        away.setattr(state.conversations, "set_speaking", AsyncMock(side_effect=UNREACHABLE))
        with pytest.raises(StateUnreachableError):
            await flag.lower()
        assert await state.conversations.is_speaking("s")
    with anyio.fail_after(5):
        while await state.conversations.is_speaking("s"):  # noqa: ASYNC110 - it says nothing
            await asyncio.sleep(0.01)
    await flag.aclose()
