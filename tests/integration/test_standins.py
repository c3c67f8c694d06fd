"""Deepgram: the real plugin and the stand-in understand each other."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import stt

from tests.standins import (
    DeepgramStandIn,
    KnownRecordings,
)
from tests.standins.plugins import deepgram_stt
from tests.standins.recordings import FAVORITE_COLOR_BLUE, MY_NAME_IS_ANNA, RECORDINGS, whole_frame


@pytest.fixture(scope="module", autouse=True)
def _media_library():
    # It opens a pair of sockets on first use and keeps them as long as the process lives.
    rtc.AudioResampler(16000, 24000)


@pytest.fixture
async def http_session():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
async def test_each_recording_is_heard_as_one_utterance(recording, http_session):
    with DeepgramStandIn([RECORDINGS[recording]]) as deepgram:
        events = await _listen(deepgram_stt(deepgram, http_session), [recording])

    assert [event.type for event in events] == [
        stt.SpeechEventType.START_OF_SPEECH,
        stt.SpeechEventType.INTERIM_TRANSCRIPT,
        stt.SpeechEventType.FINAL_TRANSCRIPT,
        stt.SpeechEventType.END_OF_SPEECH,
    ]
    assert _finals(events) == [RECORDINGS[recording]]
    assert events[2].alternatives[0].start_time == pytest.approx(0.3, abs=0.05)
    assert events[2].request_id == deepgram.connections[0].request_id
    deepgram.assert_no_faults()


async def test_a_connection_is_recorded_from_opening_to_orderly_close(http_session):
    with DeepgramStandIn(["Hello, my name is Anna."]) as deepgram:
        before = time.monotonic()
        async with deepgram_stt(deepgram, http_session).stream() as stream:
            stream.push_frame(whole_frame(MY_NAME_IS_ANNA))
            await deepgram.until(lambda: [c for c in deepgram.connections if c.keep_alives])
            stream.end_input()
            closed_at = await deepgram.until(lambda: deepgram.connections[0].closed_at)

    connection = deepgram.connections[0]
    assert connection.closed_by == "CloseStream"
    assert before < connection.opened_at < closed_at < time.monotonic()
    assert connection.audio_s == pytest.approx(3.11, abs=0.06)
    assert connection.query.model == "nova-3"
    assert connection.finals == ["Hello, my name is Anna."]
    deepgram.assert_no_faults()


async def test_recordings_are_recognised_in_whatever_order_they_are_spoken(http_session):
    order = [*reversed([*RECORDINGS]), MY_NAME_IS_ANNA]
    with DeepgramStandIn(KnownRecordings(RECORDINGS)) as deepgram:
        events = await _listen(deepgram_stt(deepgram, http_session), order)
    assert _finals(events) == [RECORDINGS[path] for path in order]
    deepgram.assert_no_faults()


async def test_another_sample_rate_is_understood(http_session):
    with DeepgramStandIn(KnownRecordings(RECORDINGS)) as deepgram:
        plugin = deepgram_stt(deepgram, http_session, sample_rate=24000)
        events = await _listen(plugin, [MY_NAME_IS_ANNA])
    assert _finals(events) == ["Hello, my name is Anna."]
    deepgram.assert_no_faults()


async def test_all_of_the_plugins_options_are_understood(http_session):
    with DeepgramStandIn(["Hello."]) as deepgram:
        plugin = deepgram_stt(
            deepgram,
            http_session,
            language="multi",
            keyterm=["Anna", "LiveKit"],
            tags=["tests"],
            utterance_end_ms=1000,
            endpointing_ms=0,
            enable_diarization=True,
        )
        await _listen(plugin, [MY_NAME_IS_ANNA])
    assert deepgram.connections[0].query.keyterm == ("Anna", "LiveKit")
    deepgram.assert_no_faults()


async def test_lines_are_shared_by_the_connections_and_can_be_added(http_session):
    with DeepgramStandIn(["First."]) as deepgram:
        plugin = deepgram_stt(deepgram, http_session)
        first = await _listen(plugin, [MY_NAME_IS_ANNA])
        deepgram.expect("Second.", "Third.")
        second = await _listen(plugin, [MY_NAME_IS_ANNA, MY_NAME_IS_ANNA])
    assert _finals(first) + _finals(second) == ["First.", "Second.", "Third."]
    deepgram.assert_no_faults()


async def test_lines_start_anew_on_each_connection_when_asked(http_session):
    with DeepgramStandIn(["First.", "Second."], per_connection=True) as deepgram:
        plugin = deepgram_stt(deepgram, http_session)
        first = await _listen(plugin, [MY_NAME_IS_ANNA])
        second = await _listen(plugin, [MY_NAME_IS_ANNA, MY_NAME_IS_ANNA])
    assert _finals(first) + _finals(second) == ["First.", "First.", "Second."]
    deepgram.assert_no_faults()


async def test_speech_like_no_recording_is_a_fault(http_session):
    known = {MY_NAME_IS_ANNA: "Hello, my name is Anna."}
    with DeepgramStandIn(KnownRecordings(known)) as deepgram:
        await _listen(deepgram_stt(deepgram, http_session), [FAVORITE_COLOR_BLUE])
    with pytest.raises(AssertionError, match="like none of the recordings"):
        deepgram.assert_no_faults()


async def test_speech_without_a_line_is_a_fault(http_session):
    with DeepgramStandIn(["Only one line."]) as deepgram:
        await _listen(deepgram_stt(deepgram, http_session), [MY_NAME_IS_ANNA, MY_NAME_IS_ANNA])
    with pytest.raises(AssertionError, match="no lines left"):
        deepgram.assert_no_faults()


async def _listen(plugin, recordings) -> list[stt.SpeechEvent]:
    async with plugin.stream() as stream:
        for path in recordings:
            stream.push_frame(whole_frame(path))
        stream.end_input()
        return await asyncio.wait_for(_until_silent(stream, len(recordings)), 10)


async def _until_silent(stream: stt.RecognizeStream, utterances: int) -> list[stt.SpeechEvent]:
    # The plugin's stream itself ends only at the next beat of its keep-alive, up to 5 s later.
    events: list[stt.SpeechEvent] = []
    while [e.type for e in events].count(stt.SpeechEventType.END_OF_SPEECH) < utterances:
        event = await anext(stream)
        if event.type != stt.SpeechEventType.RECOGNITION_USAGE:
            events.append(event)
    return events


def _finals(events: list[stt.SpeechEvent]) -> list[str]:
    finals = [e for e in events if e.type == stt.SpeechEventType.FINAL_TRANSCRIPT]
    return [event.alternatives[0].text for event in finals]
