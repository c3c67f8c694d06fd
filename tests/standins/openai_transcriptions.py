"""``POST /v1/audio/transcriptions``: the words of one recording."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from dataclasses import dataclass
from typing import Any, Literal, get_args

from aiohttp import web
from openai.types import AudioModel
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tests.standins.answer_stream import AnswerStream
from tests.standins.errors import ContractFault
from tests.standins.exchange import Exchange, ExchangeLog
from tests.standins.multipart import FormFile, read_form
from tests.standins.timing import Timing
from tests.standins.transcripts import Transcribe, at_16_khz
from tests.standins.wire_model import problems_of

TRANSCRIPTION_MODELS = frozenset(get_args(AudioModel))


class TranscriptionFields(BaseModel):
    """The form's fields beside the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    model: str
    language: str | None = Field(None, pattern="^[a-z]{2,3}$")
    languages: str | None = Field(None, alias="languages[]", pattern="^[a-z]{2,3}$")
    prompt: str | None = None
    response_format: Literal["json", "text", "verbose_json"] = "json"
    temperature: float | None = Field(None, ge=0, le=1)


@dataclass(frozen=True)
class TranscriptionRequest:
    """One recording to transcribe.

    Attributes:
        fields: the form's fields beside the file.
        pcm: the recording, 16 bit mono at 16 kHz.
        seconds: its length.
    """

    fields: TranscriptionFields
    pcm: bytes
    seconds: float


class TranscriptionRoute:
    """Answers transcription requests.

    Args:
        log: where the exchanges are kept.
        transcribe: finds the words.
        timing: how fast.
    """

    def __init__(self, log: ExchangeLog, transcribe: Transcribe, timing: Timing) -> None:
        self._log = log
        self._transcribe = transcribe
        self._timing = timing

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Handle one request."""
        recording = await _parse(request)
        with self._log.recording(Exchange("transcriptions", recording)) as exchange:
            disturbance = self._log.take_disturbance("transcriptions")
            await disturbance.before_answer()
            await asyncio.sleep(self._timing.transcription_s)
            text = self._transcribe(recording.pcm)
            as_text = recording.fields.response_format == "text"
            content_type = "text/plain; charset=utf-8" if as_text else "application/json"
            stream = AnswerStream(request, exchange, disturbance, content_type)
            body = text if as_text else json.dumps(_answer(recording, text))
            return await stream.finish(body.encode())


async def _parse(request: web.Request) -> TranscriptionRequest:
    form = await read_form(request)
    file = form.pop("file", None)
    if not isinstance(file, FormFile):
        raise ContractFault("file: is missing or is no file")
    try:
        fields = TranscriptionFields.model_validate(form)
    except ValidationError as error:
        raise ContractFault(problems_of(error)) from None
    _check_model(fields)
    pcm, seconds = _read(file)
    return TranscriptionRequest(fields, pcm, seconds)


def _check_model(fields: TranscriptionFields) -> None:
    if fields.model not in TRANSCRIPTION_MODELS:
        raise ContractFault(f"model: there is no transcription model '{fields.model}'")
    if fields.languages and fields.model != "gpt-transcribe":
        raise ContractFault(f"languages: '{fields.model}' takes a single language")
    if fields.response_format == "verbose_json" and fields.model != "whisper-1":
        raise ContractFault(f"response_format: '{fields.model}' does not support verbose_json")


def _read(file: FormFile) -> tuple[bytes, float]:
    if not file.filename.endswith(".wav"):
        raise ContractFault("file: the stand-in reads WAV only, and the name must end in .wav")
    try:
        with wave.open(io.BytesIO(file.content), "rb") as reader:
            form = (reader.getnchannels(), reader.getsampwidth())
            rate, frames = reader.getframerate(), reader.getnframes()
            pcm = reader.readframes(frames)
    except (wave.Error, EOFError) as error:
        raise ContractFault(f"file: is no WAV: {error}") from None
    if form != (1, 2):
        raise ContractFault("file: must be 16 bit mono")
    if not frames:
        raise ContractFault("file: has no audio")
    return at_16_khz(pcm, rate), frames / rate


def _answer(recording: TranscriptionRequest, text: str) -> dict[str, Any]:
    if recording.fields.response_format == "verbose_json":
        language = recording.fields.language or "en"
        duration = recording.seconds
        return {"task": "transcribe", "language": language, "duration": duration, "text": text}
    usage = {"type": "duration", "seconds": recording.seconds}
    return {"text": text, "usage": usage}
