"""Conversations over /ws/voice: real LiveKit, Redis, worker and plugins, the shipped client."""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from pathlib import Path

import anyio
import pytest

from connection_events import EventType, Reason
from devstack.machine import PROJECT_ROOT
from orchestrator.voice_client import ConversationOverError
from orchestrator.voice_client.wav import read_wav
from tests.orchestrator.voice_world import GREETING, VoiceWorld, session_of, talking, until
from tests.standins import voice_heard
from tests.standins.recordings import WHAT_IS_MY_FAVORITE_COLOR


async def client_command(world: VoiceWorld, url: str, *arguments: str) -> tuple[int, str]:
    """Run ``python -m orchestrator.voice_client``; its exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "orchestrator.voice_client", "--url", "-", *arguments],
        cwd=PROJECT_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(f"{url}\n".encode()), 60)
    assert process.returncode is not None
    return process.returncode, printed.decode()


@pytest.mark.alone
async def test_the_shipped_client_speaks_a_file_and_writes_the_answer_to_another(
    world, tmp_path: Path
):
    url, out = await world.create(), tmp_path / "answer.wav"
    arguments = ("--wav", str(WHAT_IS_MY_FAVORITE_COLOR), "--out", str(out), "--json")
    async with world.events(url) as events:
        status, printed = await client_command(world, url, *arguments)
        event, _ = await asyncio.wait_for(events.get(), 5)
    assert status == 0, printed
    lines = [json.loads(line) for line in printed.splitlines()]
    said = [(line["who"], line["text"]) for line in lines]
    assert GREETING in said[0][1]
    assert ("user", "What is my favorite color?") in said
    assert ("agent", "Your favorite color is blue.") in said
    assert said[-1] == ("closed", "ended")
    with wave.open(str(out), "rb") as answer:
        pcm, rate = answer.readframes(answer.getnframes()), answer.getframerate()
    assert rate == 16_000
    assert voice_heard(pcm, rate) == "alloy"
    assert (event.type, event.reason) == (EventType.DISCONNECTED.value, Reason.CLIENT_DISCONNECT)
    assert await world.has_ended(url)


@pytest.mark.alone
@pytest.mark.parametrize(
    "rate", [22_050, *(pytest.param(each, marks=pytest.mark.soak) for each in (8_000, 48_000))]
)
async def test_every_sample_rate_is_heard_and_spoken_and_typed_turns_mix(world, rate):
    url = await world.create()
    async with talking(url, rate) as (turns, voice, _):
        await turns.hear(20)
        assert voice_heard(bytes(voice.pcm), rate) == "alloy"
        answer = await turns.say(read_wav(WHAT_IS_MY_FAVORITE_COLOR, rate), 20)
        assert answer.text == "Your favorite color is blue."
        assert await turns.type("hello", 20) == "Hello to you."
        assert await turns.end() == "ended"


async def test_an_interrupt_stops_the_agent_and_the_conversation_goes_on(world):
    url = await world.create()
    async with talking(url) as (turns, voice, said):
        await turns.hear(20)
        await turns.client.type("tell me a long story")
        await turns.until(lambda: turns.state == "speaking")
        await turns.client.interrupt()
        await turns.until(lambda: turns.interruptions >= 1)
        heard = len(voice.pcm)
        await turns.until(lambda: turns.state == "listening")
        assert len(voice.pcm) - heard < 0.3 * 32_000  # what was on its way
        await turns.client.type("hello")
        await turns.until(lambda: ("agent", "Hello to you.") in said)
        await turns.end()


async def test_whoever_types_or_speaks_over_the_agent_is_told_to_discard_what_it_said(world):
    url = await world.create()
    with anyio.fail_after(60):
        await _type_and_speak_over(url)


async def _type_and_speak_over(url: str) -> None:
    async with talking(url) as (turns, _, said):
        await turns.hear(20)
        await turns.client.type("tell me a long story")
        await turns.until(lambda: turns.state == "speaking")
        assert turns.interruptions == 0
        await turns.client.type("hello")
        await turns.until(lambda: turns.interruptions == 1)
        await turns.until(lambda: ("agent", "Hello to you.") in said)
        await turns.until(lambda: turns.state == "listening")
        await turns.client.type("tell me a long story")
        await turns.until(lambda: turns.state == "speaking")
        assert turns.interruptions == 1  # what ends by itself was not cut off
        await turns.say(read_wav(WHAT_IS_MY_FAVORITE_COLOR, 16_000), 20)
        await turns.until(lambda: turns.interruptions == 2)
        await turns.until(lambda: ("agent", "Your favorite color is blue.") in said)
        await turns.end()


async def test_what_a_session_did_is_in_its_stats(world):
    url = await world.create()
    async with talking(url) as (turns, _, _):
        await turns.hear(20)
        await turns.type("hello", 20)

        async def is_counted() -> bool:
            stats = await world.stats(url)
            assert stats["audio_chunks_received"] >= stats["audio_chunks_processed"]
            return bool(stats["audio_chunks_processed"] and stats["message_count"])

        await until(is_counted)
        await turns.end()


async def test_a_session_that_is_deleted_closes_its_connection(world):
    url = await world.create()
    async with talking(url) as (turns, _, _):
        await turns.hear(20)
        await world.delete(url)
        with pytest.raises(ConversationOverError, match="session_ended"):
            await turns.until(lambda: False)


async def test_a_ticket_opens_one_connection_and_stands_in_no_log(world):
    url = await world.create()
    async with talking(url) as (turns, _, _):
        with pytest.raises(ConversationOverError, match="401"):
            async with talking(url):
                pass
        await turns.end()
    other, third = await world.create(), await world.create()
    stolen = other.replace(session_of(other), session_of(third))
    with pytest.raises(ConversationOverError, match="401"):
        async with talking(stolen):
            pass
    for each in (other, third):
        await world.delete(each)
    log = world.orchestrator.log()
    for each in (url, other):
        assert each.partition("ticket=")[2] not in log
    assert "ticket=[hidden]" in log


async def test_a_newer_connection_with_a_fresh_ticket_replaces_the_older_without_an_event(world):
    url = await world.create()
    async with world.events(url) as events, talking(url) as (older, _, _):
        await older.hear(20)
        async with talking(await world.fresh_url(url)) as (newer, _, _):
            with pytest.raises(ConversationOverError, match="replaced"):
                await older.until(lambda: False)
            assert await newer.type("hello", 20) == "Hello to you."
            assert events.empty()
            await newer.end()
