"""Stand-ins start, stop and come back without leaving anything behind."""

from __future__ import annotations

import asyncio
import math
import threading
import time

import aiohttp
import pytest

from tests.standins import Disturbance, OpenAIStandIn
from tests.standins.errors import NoFreePortError, StandInError
from tests.standins.server import API_KEY

HEADERS = {"Authorization": f"Bearer {API_KEY}"}


async def test_nothing_is_left_when_the_block_ends():
    threads = set(threading.enumerate())
    with OpenAIStandIn() as openai:
        origin, loop = openai.origin, openai._loop
        assert set(threading.enumerate()) - threads
    assert set(threading.enumerate()) == threads
    assert loop is not None
    assert loop.is_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))
    with pytest.raises(StandInError, match="not running"):
        _ = openai.origin


def test_it_listens_on_loopback_below_the_ephemeral_ports():
    with OpenAIStandIn() as openai:
        host, _, port = openai.origin.removeprefix("http://").partition(":")
    assert host == "127.0.0.1"
    assert 20000 <= int(port) < 32768


async def test_it_comes_back_on_the_same_port_with_its_records():
    openai = OpenAIStandIn()
    origins = []
    async with aiohttp.ClientSession(headers=HEADERS) as client:
        for _ in range(2):
            with openai:
                origins.append(openai.origin)
                async with client.get(f"{openai.base_url}/models") as answer:
                    assert answer.status == 200
    assert origins[0] == origins[1]
    assert len(openai.exchanges) == 2


def test_a_port_that_is_taken_is_an_error():
    with OpenAIStandIn() as openai:
        port = int(openai.origin.rpartition(":")[2])
        with pytest.raises(NoFreePortError), OpenAIStandIn(port=port):
            pass


async def test_it_stops_at_once_while_a_request_is_stalled():
    async with aiohttp.ClientSession(headers=HEADERS) as client:
        with OpenAIStandIn() as openai:
            openai.disturb("models", Disturbance(stall_s=math.inf))
            asking = asyncio.create_task(client.get(f"{openai.base_url}/models"))
            await openai.until(lambda: openai.exchanges)
            before = time.monotonic()
        assert time.monotonic() - before < 2.0
        with pytest.raises(aiohttp.ClientError):
            await asking
    assert openai.exchanges[0].outcome == "stopped"
    openai.assert_no_faults()


async def test_a_brain_that_raises_is_reported():
    def broken(_request):
        raise ZeroDivisionError

    body = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
    }
    async with aiohttp.ClientSession(headers=HEADERS) as client:
        with OpenAIStandIn(broken) as openai:
            async with client.post(f"{openai.base_url}/chat/completions", json=body) as answer:
                assert answer.status == 500
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        openai.assert_no_faults()


async def test_waiting_for_what_never_comes_ends_with_the_faults():
    openai = OpenAIStandIn()
    openai.faults.append("a fault")
    with pytest.raises(TimeoutError, match="a fault"):
        await openai.until(lambda: False, timeout_s=0.05)


def test_the_environment_points_a_process_at_it():
    with OpenAIStandIn() as openai:
        assert openai.environment == {
            "OPENAI_API_KEY": API_KEY,
            "OPENAI_BASE_URL": f"{openai.origin}/v1",
        }
