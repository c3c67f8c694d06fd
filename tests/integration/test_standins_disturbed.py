"""What the real plugins make of a provider that refuses, stalls, trickles and breaks off."""

from __future__ import annotations

import math
import time

import aiohttp
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, llm
from livekit.agents.stt import SpeechEventType

from tests.standins import (
    ConnectionDisturbance,
    DeepgramStandIn,
    Disturbance,
    OpenAIStandIn,
    Say,
    Timing,
)
from tests.standins.plugins import deepgram_stt, openai_llm, openai_tts
from tests.standins.recordings import MY_NAME_IS_ANNA, whole_frame

ONE_TRY = APIConnectOptions(max_retry=0, timeout=5.0)
TWO_TRIES = APIConnectOptions(max_retry=1, retry_interval=0.05, timeout=5.0)


@pytest.fixture
async def http_session():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def openai():
    with OpenAIStandIn() as openai:
        yield openai
    openai.assert_no_faults()


@pytest.fixture
def deepgram():
    with DeepgramStandIn(["Hello."]) as deepgram:
        yield deepgram
    deepgram.assert_no_faults()


# --- Deepgram


async def test_a_refused_key_reaches_the_plugin(deepgram, http_session):
    deepgram.disturb(ConnectionDisturbance(status=401))
    async with deepgram_stt(deepgram, http_session).stream(conn_options=ONE_TRY) as stream:
        with pytest.raises(APIStatusError) as refused:
            await anext(stream)
    assert refused.value.status_code == 401
    assert deepgram.connections == []


@pytest.mark.alone
async def test_the_plugin_comes_back_after_a_dropped_connection(deepgram, http_session):
    deepgram.disturb(ConnectionDisturbance(drop_after_s=0.2))
    async with deepgram_stt(deepgram, http_session).stream(conn_options=TWO_TRIES):
        await deepgram.until(lambda: len(deepgram.connections) == 2)
    dropped = deepgram.connections[0]
    closed_at = await deepgram.until(lambda: dropped.closed_at)
    assert dropped.closed_by == "dropped"
    assert closed_at - dropped.opened_at == pytest.approx(0.2, abs=0.15)


async def test_a_delayed_result_comes_late(deepgram, http_session):
    deepgram.result_delay_s = 0.5
    async with deepgram_stt(deepgram, http_session).stream() as stream:
        before = time.monotonic()
        stream.push_frame(whole_frame(MY_NAME_IS_ANNA))
        while (await anext(stream)).type != SpeechEventType.FINAL_TRANSCRIPT:
            pass
        assert time.monotonic() - before > 0.5


# --- OpenAI


@pytest.mark.alone
async def test_a_client_that_leaves_in_mid_answer_is_noticed_at_once(openai):
    openai.brain = lambda _: Say("one two three four five", token_s=0.5)
    async with openai_llm(openai) as model:
        stream = model.chat(chat_ctx=_said("Count"))
        await anext(stream)
        before = time.monotonic()
        await stream.aclose()
        left_at = await openai.until(lambda: openai.chats[0].left_at)
    assert left_at - before < 0.25
    assert 0 < openai.chats[0].chunks_sent < 6


@pytest.mark.alone
async def test_speech_in_real_time_stops_when_the_client_leaves():
    with OpenAIStandIn(timing=Timing(audio_pace=1.0, seconds_per_character=0.1)) as openai:
        speaker = openai_tts(openai)
        stream = speaker.synthesize("A sentence that takes several seconds to say.")
        await anext(stream)
        before = time.monotonic()
        await stream.aclose()
        left_at = await openai.until(lambda: openai.speeches[0].left_at)
        await speaker.aclose()
    assert left_at - before < 0.25
    openai.assert_no_faults()


async def test_the_plugin_tries_again_after_a_refusal(openai):
    openai.disturb("chat", Disturbance(status=500))
    async with openai_llm(openai) as model:
        answer = await model.chat(chat_ctx=_said("Hello"), conn_options=TWO_TRIES).collect()
    assert answer.text == "You said: Hello"
    assert [chat.outcome for chat in openai.chats] == ["refused", "completed"]


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_an_ordered_status_reaches_the_plugin(status, openai):
    openai.disturb("chat", Disturbance(status=status))
    with pytest.raises(APIStatusError) as refused:
        await _ask_once(openai, ONE_TRY)
    assert refused.value.status_code == status


async def test_a_cut_in_mid_answer_reaches_the_plugin(openai):
    openai.disturb("chat", Disturbance(cut_after_chunks=2))
    with pytest.raises(APIConnectionError):
        await _ask_once(openai, ONE_TRY)
    assert (openai.chats[0].outcome, openai.chats[0].chunks_sent) == ("cut", 2)


async def test_a_speech_cut_in_the_middle_reaches_the_plugin(openai):
    openai.disturb("speech", Disturbance(cut_after_chunks=1))
    speaker = openai_tts(openai)
    with pytest.raises(APIConnectionError):
        async for _ in speaker.synthesize("It breaks off here.", conn_options=ONE_TRY):
            pass
    await speaker.aclose()
    assert openai.speeches[0].outcome == "cut"


@pytest.mark.alone
async def test_a_stalled_answer_makes_the_plugin_give_up(openai):
    openai.disturb("chat", Disturbance(stall_s=math.inf))
    with pytest.raises(APIConnectionError):
        await _ask_once(openai, APIConnectOptions(max_retry=0, timeout=0.3))
    left_at = await openai.until(lambda: openai.chats[0].left_at)
    assert left_at - openai.chats[0].arrived_at == pytest.approx(0.3, abs=0.2)
    assert openai.chats[0].first_byte_at is None


async def test_a_trickling_answer_arrives_slowly(openai):
    openai.disturb("chat", Disturbance(chunk_delay_s=0.1))
    before = time.monotonic()
    assert await _ask_once(openai, ONE_TRY) == "You said: Hello"
    assert time.monotonic() - before > 0.6


async def test_timing_holds_back_the_first_and_the_further_words(openai):
    openai.timing.first_token_s = 0.2
    openai.timing.token_s = 0.1
    await _ask_once(openai, ONE_TRY)
    chat = openai.chats[0]
    assert chat.first_byte_at - chat.arrived_at >= 0.2
    assert chat.ended_at - chat.first_byte_at >= 0.3


async def _ask_once(openai: OpenAIStandIn, conn_options: APIConnectOptions) -> str:
    async with openai_llm(openai) as model:
        answer = await model.chat(chat_ctx=_said("Hello"), conn_options=conn_options).collect()
        return answer.text


def _said(text: str) -> llm.ChatContext:
    context = llm.ChatContext()
    context.add_message(role="user", content=text)
    return context
