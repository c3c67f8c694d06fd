"""One contract for the channel of connection events: over Redis, and in this process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import pytest
from redis import asyncio as aioredis

from connection_events import (
    ConnectionEvent,
    EventChannel,
    Reason,
    SpeechControl,
    disconnected,
    reconnected,
)
from connection_events.in_process import ProcessBroadcast, ProcessChannel
from connection_events.in_redis import RedisBroadcast, RedisChannel
from connection_events.metrics import HANDLER_FAILURES, HEARD, RESUBSCRIBED
from devstack.servers.redis import RedisServer
from devstack.waiting import eventually
from tests.services import started
from worker.owned_tasks import end_tasks

DEADLINE_S = 15.0


class Heard:
    """A handler that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[ConnectionEvent] = []
        self._grew = asyncio.Event()

    async def __call__(self, event: ConnectionEvent) -> None:
        self.events.append(event)
        self._grew.set()

    async def until(self, count: int) -> list[ConnectionEvent]:
        with anyio.fail_after(DEADLINE_S):
            while len(self.events) < count:
                self._grew.clear()
                await self._grew.wait()
        return self.events


@pytest.fixture
def name() -> str:
    return f"events-{uuid.uuid4().hex}"


@pytest.fixture(params=["process", "redis"])
async def channel(request: pytest.FixtureRequest, name: str) -> AsyncIterator[EventChannel]:
    made: EventChannel = ProcessChannel()
    if request.param == "redis":
        made = RedisChannel(request.getfixturevalue("redis"), name)
    yield made
    await made.aclose()


async def test_whoever_listens_is_told_what_is_published(channel):
    first, second = Heard(), Heard()
    event = disconnected("session_1_a", Reason.TIMEOUT)
    async with channel.listening(first), channel.listening(second):
        assert await channel.publish(event)
        assert await first.until(1) == [event]
        assert await second.until(1) == [event]


async def test_events_are_told_in_the_order_in_which_they_were_published(channel):
    heard = Heard()
    events = [disconnected(f"session_{n}_a", Reason.TIMEOUT) for n in range(20)]
    async with channel.listening(heard):
        for event in events:
            await channel.publish(event)
        assert await heard.until(20) == events


async def test_nothing_is_told_before_or_after_the_listening(channel):
    heard = Heard()
    await channel.publish(disconnected("before", Reason.TIMEOUT))
    async with channel.listening(heard):
        await channel.publish(disconnected("within", Reason.TIMEOUT))
        await heard.until(1)
    await channel.publish(disconnected("after", Reason.TIMEOUT))
    assert [event.conversation_id for event in heard.events] == ["within"]


async def test_a_handler_that_raises_is_told_the_next_event_and_hinders_nobody(channel):
    heard = Heard()

    async def failing(event: ConnectionEvent) -> None:
        await heard(event)
        raise ValueError("told")

    failures = HANDLER_FAILURES.labels("ValueError")
    before = failures._value.get()
    async with channel.listening(failing), channel.listening(other := Heard()):
        await channel.publish(disconnected("a", Reason.TIMEOUT))
        await channel.publish(reconnected("a", Reason.TIMEOUT))
        await heard.until(2)
        await other.until(2)
    assert failures._value.get() == before + 2


async def test_closing_while_somebody_listens_is_clean(channel):
    async with channel.listening(Heard()):
        await channel.aclose()


async def test_without_anybody_listening_an_event_is_published_all_the_same(channel):
    assert await channel.publish(disconnected("a", Reason.CLIENT_DISCONNECT))


async def test_what_is_no_event_is_counted_and_ignored(redis, name):
    channel, heard = RedisChannel(redis, name), Heard()
    rubbish = [
        b"\xff\xfe",
        b"",
        b"null",
        b"[1]",
        b"{}",
        b'{"type": "something_else", "conversation_id": "a"}',
        b"[" * 5000,
        b'{"type": "connection_disconnected", "conversation_id": "", "timestamp_ms": 1}',
    ]
    unreadable = HEARD.labels("unreadable")
    before = unreadable._value.get()
    client = aioredis.from_url(redis)
    async with channel.listening(heard):
        for text in rubbish:
            await client.publish(name, text)
        event = disconnected("a", Reason.TIMEOUT)
        await channel.publish(event)
        assert await heard.until(1) == [event]
    assert unreadable._value.get() == before + len(rubbish)
    await client.aclose()
    await channel.aclose()


async def test_what_a_newer_version_adds_to_an_event_is_left_alone(redis, name):
    channel, heard = RedisChannel(redis, name), Heard()
    event = disconnected("a", Reason.SERVER_ERROR)
    client = aioredis.from_url(redis)
    async with channel.listening(heard):
        await client.publish(name, event.as_json()[:-1] + ', "node": {"x": [1]}}')
        assert await heard.until(1) == [event]
    await client.aclose()
    await channel.aclose()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    server = started(RedisServer)
    yield server
    server.stop()


async def until_heard(channel: EventChannel, heard: Heard, count: int) -> None:
    """Publish until so many events were heard, as a message may be lost meanwhile."""
    with anyio.fail_after(DEADLINE_S):
        while len(heard.events) < count:
            await channel.publish(disconnected("a", Reason.TIMEOUT))
            await asyncio.sleep(0.05)


async def test_after_a_restart_of_redis_what_is_published_is_heard_again(own_redis, name):
    channel, heard = RedisChannel(own_redis.info.url, name), Heard()
    async with channel.listening(heard):
        await until_heard(channel, heard, 1)
        own_redis.kill()
        assert not await channel.publish(disconnected("lost", Reason.TIMEOUT))
        await asyncio.to_thread(own_redis.start)
        await until_heard(channel, heard, len(heard.events) + 1)
    await channel.aclose()


async def test_listening_begins_without_redis_and_hears_once_it_is_there(own_redis, name):
    own_redis.kill()
    channel, heard = RedisChannel(own_redis.info.url, name), Heard()
    async with channel.listening(heard):
        await asyncio.to_thread(own_redis.start)
        await until_heard(channel, heard, 1)
    await channel.aclose()


async def test_listening_ends_at_once_while_redis_is_gone(own_redis, name):
    own_redis.kill()
    channel = RedisChannel(own_redis.info.url, name)
    async with channel.listening(Heard()):
        pass
    await channel.aclose()


async def test_listening_that_is_cancelled_again_and_again_while_redis_is_silent_ends(name):
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    channel = RedisChannel(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", name)

    async def listen() -> None:
        async with channel.listening(Heard()):
            await asyncio.Event().wait()

    listening = asyncio.create_task(listen())
    await eventually(lambda: writers)
    await end_tasks([listening])
    await channel.aclose()
    assert [task for task in asyncio.all_tasks() if name in task.get_name()] == []
    server.close()
    for writer in writers:
        writer.close()
    await server.wait_closed()


async def test_an_event_that_redis_is_slow_to_acknowledge_is_said_once(own_redis, name):
    channel, heard = RedisChannel(own_redis.info.url, name), Heard()
    async with channel.listening(heard):
        await channel.publish(disconnected("before", Reason.TIMEOUT))
        await heard.until(1)
        own_redis.freeze()
        publishing = asyncio.create_task(channel.publish(disconnected("slow", Reason.TIMEOUT)))
        await asyncio.wait({publishing}, timeout=3)  # who says it again is still at that then
        own_redis.thaw()
        assert not await publishing
        assert await channel.publish(disconnected("after", Reason.TIMEOUT))
        with anyio.fail_after(DEADLINE_S):
            while heard.events[-1].conversation_id != "after":
                await heard.until(len(heard.events) + 1)
    assert [event.conversation_id for event in heard.events] == ["before", "slow", "after"]
    await channel.aclose()


class HalfOpen:
    """Passes bytes on until it is told to keep them; connections stay open all the while."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._broken: set[int] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.accepted = 0
        self.passed = 0

    def break_what_is_open(self) -> None:
        self._broken.update(range(1, self.accepted + 1))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        finally:
            server.close()
            for writer in self._writers:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        number = self.accepted
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        self._writers += [writer, up_writer]
        await asyncio.gather(
            self._pass(number, reader, up_writer), self._pass(number, up_reader, writer)
        )

    async def _pass(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(4096):
            if number not in self._broken:
                self.passed += 1
                writer.write(data)
        writer.close()


async def test_a_connection_that_is_open_at_our_end_only_is_made_anew(own_redis, name, monkeypatch):
    now_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: now_s)
    monkeypatch.setattr("connection_events.in_redis.time", clock)
    proxy, heard = HalfOpen(own_redis.info.port), []
    told = asyncio.Event()

    async def listener(text: str | bytes) -> None:
        heard.append(text)
        told.set()

    before = RESUBSCRIBED._value.get()
    async with proxy.running() as url:
        broadcast = RedisBroadcast(url, ping_every_s=0.1)
        direct = RedisBroadcast(own_redis.info.url)
        async with broadcast.listening(name, listener):
            for _ in range(10):
                now_s += 0.04
                ping_and_pong = proxy.passed + 2
                with anyio.fail_after(DEADLINE_S):
                    while proxy.passed < ping_and_pong:  # noqa: ASYNC110 - a remote state
                        await asyncio.sleep(0.01)
            assert RESUBSCRIBED._value.get() == before
            proxy.break_what_is_open()
            with anyio.fail_after(DEADLINE_S):
                while not heard:
                    now_s += 1 if RESUBSCRIBED._value.get() == before else 0
                    await direct.publish(name, "hello")
                    await asyncio.sleep(0.05)
        assert RESUBSCRIBED._value.get() > before
        await broadcast.aclose()
        await direct.aclose()


@pytest.mark.parametrize("back_end", ["process", "redis"])
async def test_an_order_to_stop_names_the_conversation(back_end, request, name):
    over = (
        ProcessBroadcast()
        if back_end == "process"
        else RedisBroadcast(request.getfixturevalue("redis"))
    )
    control = SpeechControl(over, name)
    stopped: list[str] = []
    told = asyncio.Event()

    async def stop(conversation_id: str) -> None:
        stopped.append(conversation_id)
        told.set()

    async with control.listening(stop):
        await over.publish(name, '{"type": "louder", "conversation_id": "a"}')
        await over.publish(name, '{"conversation_id": "a"}')
        assert await control.stop("session_1_b")
        await asyncio.wait_for(told.wait(), DEADLINE_S)
    assert stopped == ["session_1_b"]
    await control.aclose()
