"""``POST /v1/audio/speech``: speaks a text as a tone."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Iterator
from typing import Literal, get_args

from aiohttp import web
from openai.types.audio import SpeechModel
from pydantic import Field

from tests.standins.answer_stream import AnswerStream
from tests.standins.errors import ContractFault
from tests.standins.exchange import Exchange, ExchangeLog
from tests.standins.timing import Timing
from tests.standins.tones import FORMATS, VOICE_FREQUENCIES, encoded_tone
from tests.standins.wire_model import WireModel, parse_json

SPEECH_MODELS = frozenset(get_args(SpeechModel))
_WITHOUT_SSE = frozenset({"tts-1", "tts-1-hd"})
_CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm"}
_CHUNK_S = 0.2
_SHORTEST_S = 0.2


class SpeechRequest(WireModel):
    """One text to speak."""

    model: str
    input: str = Field(min_length=1, max_length=4096)
    voice: str
    instructions: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["sse", "audio"] = "audio"


class SpeechRoute:
    """Answers speech requests.

    Args:
        log: where the exchanges are kept.
        timing: how fast, and how long a text is spoken.
    """

    def __init__(self, log: ExchangeLog, timing: Timing) -> None:
        self._log = log
        self._timing = timing

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Handle one request."""
        speech = _parse(await request.read())
        with self._log.recording(Exchange("speech", speech)) as exchange:
            disturbance = self._log.take_disturbance("speech")
            await disturbance.before_answer()
            as_events = speech.stream_format == "sse"
            content_type = _CONTENT_TYPES[speech.response_format]
            stream = AnswerStream(
                request, exchange, disturbance, "text/event-stream" if as_events else content_type
            )
            await self._speak(stream, speech, as_events=as_events)
            return await stream.finish()

    def seconds(self, speech: SpeechRequest) -> float:
        """Return how long the text is spoken."""
        spoken = len(speech.input) * self._timing.seconds_per_character / speech.speed
        return max(_SHORTEST_S, spoken)

    async def _speak(self, stream: AnswerStream, speech: SpeechRequest, *, as_events: bool) -> None:
        seconds = self.seconds(speech)
        frequency = VOICE_FREQUENCIES[speech.voice]
        audio = encoded_tone(frequency, seconds, speech.response_format)
        await asyncio.sleep(self._timing.first_audio_s)
        for chunk in _chunks(audio, seconds):
            if as_events:
                encoded = base64.b64encode(chunk).decode()
                await stream.send_event({"type": "speech.audio.delta", "audio": encoded})
            else:
                await stream.send(chunk)
            await asyncio.sleep(self._timing.audio_pace * _CHUNK_S)
        if as_events:
            await stream.send_event({"type": "speech.audio.done", "usage": _usage(speech, seconds)})


def _parse(body: bytes) -> SpeechRequest:
    speech = parse_json(SpeechRequest, body)
    problems = []
    if speech.model not in SPEECH_MODELS:
        problems.append(f"model: there is no speech model '{speech.model}'")
    if speech.voice not in VOICE_FREQUENCIES:
        problems.append(f"voice: there is no voice '{speech.voice}'")
    if speech.stream_format == "sse" and speech.model in _WITHOUT_SSE:
        problems.append(f"stream_format: '{speech.model}' does not support sse")
    if speech.response_format not in FORMATS:
        problems.append(f"response_format: the stand-in does not make '{speech.response_format}'")
    if problems:
        raise ContractFault(problems)
    return speech


def _chunks(audio: bytes, seconds: float) -> Iterator[bytes]:
    size = math.ceil(len(audio) / math.ceil(seconds / _CHUNK_S))
    for start in range(0, len(audio), size):
        yield audio[start : start + size]


def _usage(speech: SpeechRequest, seconds: float) -> dict[str, int]:
    heard, spoken = math.ceil(len(speech.input) / 4), math.ceil(seconds * 20)
    return {"input_tokens": heard, "output_tokens": spoken, "total_tokens": heard + spoken}
