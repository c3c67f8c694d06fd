"""LiveKit takes its key, ends soon, comes back, and keeps to loopback."""

from __future__ import annotations

import secrets
import sys
import time

import psutil
import pytest
from livekit import api

from devstack.servers.livekit import LiveKitOptions, LiveKitServer

pytest_plugins = ["tests.integration.devstack_fixtures"]
pytestmark = pytest.mark.timeout(900)  # the first run on a machine builds LiveKit


@pytest.fixture
def livekit(start_server) -> LiveKitServer:
    server = start_server(LiveKitServer(LiveKitOptions(target_load=0.9)))
    assert isinstance(server, LiveKitServer)
    return server


async def test_livekit_takes_its_key_and_makes_rooms_on_demand(livekit):
    info = livekit.info
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as client:
        name = secrets.token_hex(4)
        await client.room.create_room(api.CreateRoomRequest(name=name))
        rooms = await client.room.list_rooms(api.ListRoomsRequest())
        assert [room.name for room in rooms.rooms] == [name]
    assert len(info.api_secret) >= 32
    assert info.url == info.http_url.replace("http", "ws")


async def test_livekit_ends_soon_even_with_a_room_open_and_comes_back_on_its_port(livekit):
    info = livekit.info
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as client:
        await client.room.create_room(api.CreateRoomRequest(name="open", empty_timeout=300))
    began = time.monotonic()
    livekit.restart()
    assert time.monotonic() - began < 5
    assert '"force": true' in livekit.log_file.read_text()  # it ended by itself
    assert livekit.info == info
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as client:
        assert not (await client.room.list_rooms(api.ListRoomsRequest())).rooms


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_livekit_serves_its_api_on_loopback_only(livekit):
    listening = {
        connection.laddr
        for connection in psutil.Process(livekit.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    port = int(livekit.info.url.rpartition(":")[2])
    assert [address.ip for address in listening if address.port == port] == ["127.0.0.1"]
