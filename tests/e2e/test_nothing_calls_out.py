"""With everything on its default, a conversation reaches the providers and nobody else."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import deployment
from tests.e2e.test_spoken_conversation import thinking
from tests.standins import DeepgramStandIn, KnownRecordings, OpenAIStandIn, Timing
from tests.standins.recordings import (
    FAVORITE_COLOR_BLUE,
    MY_NAME_IS_ANNA,
    RECORDINGS,
    WHAT_IS_MY_FAVORITE_COLOR,
)

pytestmark = pytest.mark.alone

AUDITED_AGENT = Path(__file__).with_name("audited_agent.py")
_LOOK_EVERY_S = 0.05


@pytest.fixture
def openai() -> Iterator[OpenAIStandIn]:
    with OpenAIStandIn(thinking(), timing=Timing(seconds_per_character=0.02)) as running:
        yield running
        running.assert_no_faults()


@pytest.fixture
def deepgram() -> Iterator[DeepgramStandIn]:
    with DeepgramStandIn(KnownRecordings(RECORDINGS)) as running:
        yield running
        running.assert_no_faults()


def remotes(worker: psutil.Process) -> set[str]:
    """The addresses to which the worker and its descendants have sockets."""
    found = set()
    for process in [worker, *worker.children(recursive=True)]:
        try:
            connections = process.net_connections("inet")
        except psutil.Error:
            continue  # it has ended meanwhile
        found |= {connection.raddr.ip for connection in connections if connection.raddr}
    return found


@asynccontextmanager
async def watching(worker: psutil.Process, seen: set[str]):
    """Collect the addresses while the block runs."""

    async def look() -> None:
        while True:
            seen.update(await asyncio.to_thread(remotes, worker))
            await asyncio.sleep(_LOOK_EVERY_S)

    watch = asyncio.create_task(look())
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False  # a name: only somebody else's would be looked up


async def test_a_spoken_conversation_on_default_settings_reaches_loopback_only(
    worker_settings, openai, deepgram, identity, new_room, tmp_path
):
    home, audit, seen = tmp_path / "home", tmp_path / "audit", set[str]()
    home.mkdir()
    settings = {
        **worker_settings,
        **openai.environment,
        **deepgram.environment,
        "ALLOW_SCRIPTED_MODEL": "",
        "AUDIT_FILE": str(audit),
        "HOME": str(home),
    }
    with deployment(settings, entrypoint=AUDITED_AGENT) as running:
        async with watching(psutil.Process(running.worker.pid), seen):
            async with running.join(identity, new_room()) as person:
                assert "What may I call you?" in (await person.hear(60)).text
                for recording, answer in {
                    MY_NAME_IS_ANNA: "Nice to meet you, Anna.",
                    FAVORITE_COLOR_BLUE: "I will remember that.",
                    WHAT_IS_MY_FAVORITE_COLOR: "My notes say: True.",
                }.items():
                    await person.play_file(recording)
                    assert (await person.hear()).text == answer
            running.worker.stop()
    reached = set(audit.read_text().splitlines())
    assert "127.0.0.1" in seen & reached  # the watch sees something
    assert {address for address in seen | reached if not is_loopback(address)} == set()
    assert list(home.iterdir()) == []
