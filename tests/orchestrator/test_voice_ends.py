"""The ways in which a voice connection ends: who is told what, how soon, and what goes on."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from connection_events import EventType, Reason
from devstack.machine import PROJECT_ROOT
from tests.orchestrator.bad_frames import BAD_AUDIO, BAD_TEXT, BadFrame
from tests.orchestrator.freezing_proxy import FreezingProxy
from tests.orchestrator.voice_world import GREETING, PING_S, VoiceWorld, session_of, talking, until


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[ClientConnection]:
    """A client of our own, which has heard that it may speak."""
    async with connect(url, compression=None, ping_interval=None) as websocket:
        with anyio.fail_after(10):
            while json.loads(await websocket.recv())["type"] != "ready":
                pass
        yield websocket


async def last_notices(websocket: ClientConnection) -> list[dict[str, str]]:
    """What the server says until it closes, which is soon."""
    with anyio.fail_after(10):
        return await all_notices(websocket)


async def all_notices(websocket: ClientConnection) -> list[dict[str, str]]:
    """What the server says until it closes, whenever that is."""
    notices: list[dict[str, str]] = []
    while True:
        try:
            frame = await websocket.recv()
        except ConnectionClosed:
            return notices
        if isinstance(frame, str):
            notices.append(json.loads(frame))


@asynccontextmanager
async def client_process(world: VoiceWorld, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The shipped client as a process of its own, which has heard the greeting."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "orchestrator.voice_client", "--url", "-", "--stay"],
        cwd=PROJECT_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{url}\n".encode())
        process.stdin.close()
        await asyncio.wait_for(process.stdout.readline(), 30)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_client_is_told_of_within_a_second_and_may_come_back(world):
    url = await world.create()
    async with world.events(url) as events:
        async with client_process(world, url) as process:
            process.kill()
            killed_at = time.monotonic()
            event, heard_at = await asyncio.wait_for(events.get(), 5)
        assert (event.type, event.reason) == (
            EventType.DISCONNECTED.value,
            Reason.CLIENT_DISCONNECT,
        )
        assert heard_at - killed_at < 1
        await until(lambda: world.is_deserted(url))
        assert not await world.has_ended(url)
        while not events.empty():
            events.get_nowait()
        async with talking(await world.fresh_url(url)) as (turns, _, said):
            await turns.client.type("hello")
            with anyio.fail_after(20):
                await turns.until(lambda: ("agent", "Hello to you.") in said)
            assert not any(GREETING in text for _, text in said)  # the conversation went on
            kinds = {events.get_nowait()[0].type for _ in range(events.qsize())}
            assert EventType.RECONNECTED.value in kinds
            await turns.end()


async def test_a_half_open_connection_is_a_time_out_within_two_pings(world):
    url = await world.create()
    async with FreezingProxy(world.orchestrator.port).running() as proxy:
        through = url.replace(f":{world.orchestrator.port}/", f":{proxy.port}/")
        async with world.events(url) as events:
            websocket = await connect(through, compression=None, ping_interval=None)
            while json.loads(await websocket.recv())["type"] != "ready":
                pass
            proxy.freeze()
            frozen_at = time.monotonic()
            event, heard_at = await asyncio.wait_for(events.get(), 20)
            websocket.transport.abort()
            await websocket.wait_closed()
    assert event.reason is Reason.TIMEOUT
    assert heard_at - frozen_at < 2 * PING_S + 2
    await until(lambda: world.is_deserted(url))
    assert not await world.has_ended(url)
    await world.delete(url)


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_client_that_closes_ends_the_session(world, code):
    url = await world.create()
    async with world.events(url) as events:
        async with connected(url) as websocket:
            await websocket.close(code)
        event, _ = await asyncio.wait_for(events.get(), 5)
    assert event.reason is Reason.CLIENT_DISCONNECT
    await until(lambda: world.has_ended(url))


async def test_a_client_that_leaves_before_the_room_is_joined_is_told_of_too(world):
    url = await world.create()
    async with world.events(url) as events:
        websocket = await connect(url, compression=None)
        websocket.transport.abort()
        await websocket.wait_closed()
        event, _ = await asyncio.wait_for(events.get(), 10)
    assert event.reason is Reason.CLIENT_DISCONNECT
    await until(lambda: world.is_deserted(url))
    await world.delete(url)


async def test_each_bad_frame_gets_an_error_and_its_close_code_and_harms_nobody(world):
    url = await world.create()
    async with connected(await world.create()) as bystander:
        # Somebody who reads nothing for long is given up, rightly.
        heard = asyncio.create_task(all_notices(bystander))
        for bad in _one_of_each():
            async with connected(await world.fresh_url(url)) as websocket:
                await websocket.send(bad.frame)
                notices = await last_notices(websocket)
            errors = [each["code"] for each in notices if each["type"] == "error"]
            assert errors == [bad.code]
            assert notices[-1] == {"type": "closed", "reason": "bad_frame"}
            assert websocket.close_code == bad.close_code
        assert not heard.done()
        await bystander.send(json.dumps({"type": "end"}))
        with anyio.fail_after(10):
            assert (await heard)[-1]["reason"] == "ended"
    assert not await world.has_ended(url)
    await world.delete(url)


def _one_of_each() -> list[BadFrame]:
    """One bad frame of each close code and kind: the others are tried on the parser."""
    return [BAD_TEXT[1], BAD_TEXT[5], BAD_TEXT[-1], BAD_AUDIO[0], BAD_AUDIO[1], BAD_AUDIO[3]]


async def test_what_the_protocol_itself_refuses_closes_with_its_code(world):
    url = await world.create()
    async with connected(url) as websocket:
        await websocket.send(bytes(100_000))
        await last_notices(websocket)
        assert websocket.close_code == 1009
    async with connected(await world.fresh_url(url)) as websocket:
        await websocket.send([b"\xff\xfe"], text=True)
        notices = await last_notices(websocket)
        assert [each["code"] for each in notices if each["type"] == "error"] == ["invalid_json"]
        assert websocket.close_code == 1007
    await world.delete(url)


async def test_a_client_that_reads_nothing_is_given_up_and_others_hear_on(world):
    slow_url, url = await world.create(), await world.create()
    async with world.events(slow_url) as events, talking(url) as (turns, _, _):
        reader = socket.create_connection(("127.0.0.1", world.orchestrator.port))
        reader.sendall(_handshake(slow_url))
        await turns.hear(20)
        event, _ = await asyncio.wait_for(events.get(), 20)
        assert event.reason is Reason.TIMEOUT
        assert await turns.type("hello", 20) == "Hello to you."
        reader.close()
        await turns.end()
    await world.delete(slow_url)


def _handshake(url: str) -> bytes:
    path = url[url.index("/ws/voice") :]
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


async def test_connections_that_come_and_go_leave_nothing_behind(world, churn):
    async def come_and_go(numbers: Iterator[int]) -> None:
        for number in numbers:
            url = await world.create()
            async with connected(url) as websocket:
                await websocket.send(bytes(640))
                if number % 2:
                    await websocket.send(json.dumps({"type": "end"}))
                    await last_notices(websocket)
            await until(partial(nothing_left, world, url))

    async def three_at_a_time(numbers: Iterator[int]) -> None:
        await asyncio.gather(*(come_and_go(numbers) for _ in range(3)))

    await three_at_a_time(iter(range(3)))  # the first ones open what is kept: pools, the runtime
    before = world.resources()
    await three_at_a_time(iter(range(churn)))

    async def is_as_before() -> bool:
        return bool(world.resources().about_as_much_as(before))

    await until(is_as_before)


async def nothing_left(world: VoiceWorld, url: str) -> bool:
    return not await world.left_of(session_of(url))
