"""Who gets into /ws/voice over a real socket, and what the others are answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from devstack.ports import free_port
from devstack.servers.livekit import LiveKitInfo
from devstack.waiting import eventually
from orchestrator.app import create_app
from orchestrator.voice import tickets
from orchestrator.voice.serving import server_options
from sessions.naming import now_ms
from tests.orchestrator.rest.world import (
    BACKEND,
    DEVELOPMENT,
    OPERATOR,
    OTHER_BACKEND,
    PRODUCTION,
    World,
    as_namespace,
    bearer,
    key_hash_of,
    orchestrating,
    user_token,
)
from tests.orchestrator.voice_world import until

PAGE = "https://app.example.com"
IN = 101


@asynccontextmanager
async def serving(
    livekit: LiveKitInfo, redis_url: str, **environ: str
) -> AsyncIterator[tuple[World, str]]:
    """An orchestrator that listens, and where its WebSockets are."""
    async with orchestrating(livekit, redis_url=redis_url, **environ) as world:
        settings, port = world.parts.settings, free_port()
        app = create_app(settings, world.parts)
        app.state.parts = world.parts
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                port=port,
                log_config=None,
                lifespan="off",
                proxy_headers=False,
                **server_options(settings),
            )
        )
        listening = asyncio.create_task(server._serve())
        await eventually(lambda: server.started)
        world.headers = BACKEND if environ.get("ORCHESTRATOR_API_KEYS") else {}
        try:
            yield world, f"ws://127.0.0.1:{port}/ws/voice"
        finally:
            server.should_exit = True
            await listening


@pytest.fixture
async def served(
    webrtc: None, quiet_livekit: LiveKitInfo, redis: str
) -> AsyncIterator[tuple[World, str]]:
    """In production, with all kinds of callers and one page that is let in."""
    environ = {**PRODUCTION, "CORS_ORIGINS": PAGE}
    async with serving(quiet_livekit, redis, **environ) as made:
        yield made


async def knock(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The status of a handshake, and why it was refused; who gets in is ready."""
    try:
        async with connect(url, additional_headers=headers, compression=None) as websocket:
            with anyio.fail_after(30):
                assert json.loads(await websocket.recv())["type"] == "ready"
            return IN, ""
    except InvalidStatus as refused:
        detail = json.loads(refused.response.body or b"{}").get("detail", "")
        return refused.response.status_code, detail


async def ticket_url(world: World, base: str, session_id: str) -> str:
    """Where a session's client connects, with a new ticket."""
    origin = base.removesuffix(tickets.PATH)
    return await world.parts.voice.tickets.websocket_url(origin, session_id)


async def test_pages_get_in_from_the_list_and_from_here_only(served):
    world, base = served
    url = await ticket_url(world, base, (await world.start())["sessionId"])
    for origin in ("https://evil.example", "null", f"{PAGE}.evil.example", PAGE.upper(), ""):
        status, detail = await knock(url, {"Origin": origin})
        assert (status, "CORS_ORIGINS" in detail) == (403, True), origin
    own = base.removesuffix(tickets.PATH).replace("ws://", "http://")
    assert await knock(url, {"Origin": PAGE}) == (IN, "")  # no refusal had used the ticket up
    for origin in (own, PAGE):
        fresh = await ticket_url(world, base, (await world.start())["sessionId"])
        assert await knock(fresh, {"Origin": origin}) == (IN, "")


async def test_development_lets_in_pages_of_this_machine_only(webrtc, quiet_livekit, redis):
    async with serving(quiet_livekit, redis, **DEVELOPMENT) as (world, base):
        url = await ticket_url(world, base, (await world.start())["sessionId"])
        status, detail = await knock(url, {"Origin": "https://evil.example"})
        assert (status, "this machine" in detail) == (403, True)
        assert await knock(url, {"Origin": "http://localhost:3000"}) == (IN, "")


async def test_the_credential_of_whoever_made_the_session_opens_it_without_a_ticket(served):
    world, base = served
    session_id = (await world.start())["sessionId"]
    url = f"{base}?session_id={session_id}"
    for headers in ({}, bearer("no-such-key-0123456789"), bearer(user_token(exp=1))):
        assert (await knock(url, headers))[0] == 401, headers
    for headers in (OTHER_BACKEND, OPERATOR, bearer(user_token())):
        assert (await knock(url, headers))[0] == 404, headers
    assert await knock(url, BACKEND) == (IN, "")


async def test_a_namespace_opens_its_own_sessions_only(served):
    world, base = served
    await world.register("acme", "other")
    url = f"{base}?session_id={(await world.create('acme')).json()['id']}"
    other = as_namespace("other", key_hash_of("other"))
    assert (await knock(url, other))[0] == 404
    assert (await knock(url, as_namespace("acme", "wrong-hash-0123456789")))[0] == 401
    assert await knock(url, as_namespace("acme", key_hash_of("acme"))) == (IN, "")


async def test_a_ticket_opens_its_own_session_once_whatever_credential_is_with_it(served):
    world, base = served
    mine, other = [(await world.start(name))["sessionId"] for name in ("Alice", "Bob")]
    url = await ticket_url(world, base, mine)
    stolen = url.replace(mine, other)
    for headers in ({}, BACKEND):
        assert (await knock(stolen, headers))[0] == 401, headers
    assert await knock(url) == (IN, "")
    for headers in ({}, BACKEND):
        assert (await knock(url, headers))[0] == 401, headers


async def test_a_ticket_is_good_for_its_time_only(served, monkeypatch: pytest.MonkeyPatch):
    world, base = served
    session_id = (await world.start())["sessionId"]
    monkeypatch.setattr(tickets, "TICKET_LIFE_S", 0.05)
    url = await ticket_url(world, base, session_id)
    await asyncio.sleep(0.1)  # the life of the ticket is what is tested
    status, detail = await knock(url)
    assert (status, "too old" in detail) == (401, True)
    monkeypatch.undo()
    assert await knock(await ticket_url(world, base, session_id)) == (IN, "")


async def test_a_client_that_comes_too_late_ends_the_session_and_one_that_comes_back_does_not(
    webrtc, quiet_livekit, redis
):
    environ = {**PRODUCTION, "CONNECT_WITHIN_S": "0.5"}
    async with serving(quiet_livekit, redis, **environ) as (world, base):
        known, late = [(await world.start(name))["sessionId"] for name in ("Alice", "Bob")]
        records = world.parts.state.records
        await records.update(known, connected_at=now_ms())
        await asyncio.sleep(0.6)  # the time within which clients must connect
        status, detail = await knock(await ticket_url(world, base, late))
        assert (status, "too long" in detail) == (403, True)
        await until(lambda: records.has_ended(late))
        assert (await knock(f"{base}?session_id={late}", BACKEND))[0] == 404
        assert await knock(await ticket_url(world, base, known)) == (IN, "")
