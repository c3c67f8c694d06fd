"""One connection to ``/v1/listen``: checks the messages, answers what was heard."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSMessage, WSMsgType, web

from tests.standins.deepgram_wire import (
    ListenQuery,
    Transcript,
    metadata_message,
    results_message,
    speech_started_message,
    utterance_end_message,
)
from tests.standins.errors import ScriptError
from tests.standins.transcripts import Transcribe, at_16_khz
from tests.standins.utterances import SpeechStarted, Utterance, UtteranceDetector

FRAME_S = 0.05
"""The plugin sends frames of 50 ms; only the one before a Finalize or CloseStream is shorter."""

_IDLE_S = 10.0
"""Deepgram closes a stream that gets neither audio nor KeepAlive for so long (NET-0001)."""

ClosedBy = Literal["CloseStream", "close frame", "abrupt", "idle", "dropped", "stopped"]


@dataclass
class Connection:
    """What is kept of one connection.

    Times are `time.monotonic()` in seconds.

    Attributes:
        query: how it was opened.
        opened_at: when.
        closed_at: when it ended; None while it is open.
        closed_by: "CloseStream" is the orderly end, "close frame" a WebSocket close without
            it, "abrupt" a lost connection, "idle" the provider's own time-out, "dropped" by
            the test's order, "stopped" with the stand-in.
        audio_bytes: received so far.
        keep_alives: KeepAlive messages received.
        finals: the final transcripts sent, in order.
        request_id: the stream's id.
    """

    query: ListenQuery
    opened_at: float = field(default_factory=time.monotonic)
    closed_at: float | None = None
    closed_by: ClosedBy | None = None
    audio_bytes: int = 0
    keep_alives: int = 0
    finals: list[str] = field(default_factory=list)
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def audio_s(self) -> float:
        """Seconds of audio received so far."""
        return self.audio_bytes / (2 * self.query.channels * self.query.sample_rate)

    def close(self, closed_by: ClosedBy) -> None:
        """Note the end; only the first one counts."""
        if self.closed_by is None:
            self.closed_by = closed_by
            self.closed_at = time.monotonic()


class ListenSession:
    """Serves one open WebSocket until it ends.

    Args:
        socket: the WebSocket, prepared.
        connection: the record to keep.
        detector: finds the utterances.
        transcribe: finds their words.
        result_delay_s: seconds between hearing and answering.
        note_fault: told what the client does wrong.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        connection: Connection,
        *,
        detector: UtteranceDetector,
        transcribe: Transcribe,
        result_delay_s: float,
        note_fault: Callable[[str], None],
    ) -> None:
        self._socket = socket
        self._connection = connection
        self._detector = detector
        self._transcribe = transcribe
        self._result_delay_s = result_delay_s
        self._note_fault = note_fault
        self._outgoing: asyncio.Queue[tuple[float, dict[str, Any]] | None] = asyncio.Queue()
        self._short_frame_seen = False

    async def run(self) -> None:
        """Receive until the connection ends, and answer meanwhile."""
        sender = asyncio.create_task(self._send())
        try:
            await self._receive()
            self._outgoing.put_nowait(None)
            with suppress(ConnectionError):
                await sender
            await self._socket.close()
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _receive(self) -> None:
        while self._connection.closed_by is None:
            try:
                message = await self._socket.receive(timeout=_IDLE_S)
            except asyncio.TimeoutError:
                self._connection.close("idle")
                await self._socket.close(code=1011, message=b"NET-0001")
                return
            self._take(message)

    def _take(self, message: WSMessage) -> None:
        if message.type == WSMsgType.BINARY:
            self._take_audio(message.data)
        elif message.type == WSMsgType.TEXT:
            self._take_text(message.data)
        elif message.type == WSMsgType.CLOSE:
            self._connection.close("close frame")
        else:
            self._connection.close("abrupt")

    def _take_audio(self, pcm: bytes) -> None:
        expected = int(2 * FRAME_S * self._connection.query.sample_rate)
        if self._short_frame_seen or not 0 < len(pcm) <= expected or len(pcm) % 2:
            self._note_fault(f"audio: a frame of {len(pcm)} bytes where {expected} are expected")
        self._short_frame_seen = len(pcm) < expected
        self._connection.audio_bytes += len(pcm)
        for found in self._detector.feed(pcm):
            if isinstance(found, Utterance):
                self._answer(found)
            else:
                self._answer_start(found)

    def _take_text(self, text: str) -> None:
        self._short_frame_seen = False
        kind = _message_type(text)
        if kind == "KeepAlive":
            self._connection.keep_alives += 1
        elif kind == "Finalize":
            self._finalize()
        elif kind == "CloseStream":
            self._finalize()
            connection = self._connection
            self._post(metadata_message(connection.request_id, connection.audio_s))
            connection.close("CloseStream")
        else:
            self._note_fault(f"a text message of unknown type {kind!r}")

    def _finalize(self) -> None:
        for utterance in self._detector.flush():
            self._answer(utterance, from_finalize=True)

    def _answer_start(self, started: SpeechStarted) -> None:
        if self._connection.query.vad_events:
            self._post(speech_started_message(started.at_s))

    def _answer(self, utterance: Utterance, *, from_finalize: bool = False) -> None:
        query, request_id = self._connection.query, self._connection.request_id
        text = self._words_of(utterance)
        transcript = Transcript(text, utterance.start_s, utterance.end_s)
        if query.interim_results and text:
            self._post(results_message(transcript, query, request_id, is_final=False))
        final = results_message(
            transcript, query, request_id, is_final=True, from_finalize=from_finalize
        )
        self._post(final)
        if query.utterance_end_ms is not None:
            self._post(utterance_end_message(utterance.end_s))
        self._connection.finals.append(text)

    def _words_of(self, utterance: Utterance) -> str:
        try:
            return self._transcribe(at_16_khz(utterance.pcm, self._connection.query.sample_rate))
        except ScriptError as error:
            self._note_fault(str(error))
            return ""

    def _post(self, message: dict[str, Any]) -> None:
        self._outgoing.put_nowait((time.monotonic() + self._result_delay_s, message))

    async def _send(self) -> None:
        while (item := await self._outgoing.get()) is not None:
            due, message = item
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._socket.send_json(message)


def _message_type(text: str) -> object:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message.get("type") if isinstance(message, dict) else None
