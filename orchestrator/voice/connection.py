"""One client's WebSocket, from its acceptance to its end, whichever way that comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from livekit import rtc
from starlette.websockets import WebSocket, WebSocketDisconnect

from orchestrator.voice import departure, frames
from orchestrator.voice.allowance import ClientRates
from orchestrator.voice.departure import Departure
from orchestrator.voice.metrics import BAD_FRAMES
from orchestrator.voice.participant import VoiceParticipant
from orchestrator.voice.queues import Inbox, Outbox, TooSlowError
from worker.owned_tasks import end_tasks

logger = logging.getLogger("orchestrator.voice")

_SAY_GOODBYE_WITHIN_S = 2.0
_MOST_TYPED = 32

_SESSION_IS_OVER = frozenset(
    {rtc.DisconnectReason.ROOM_DELETED, rtc.DisconnectReason.PARTICIPANT_REMOVED}
)

MESSAGES = "messages"
RECEIVED = "audio_chunks_received"
PROCESSED = "audio_chunks_processed"


class VoiceConnection:
    """Carries frames between a WebSocket and a room until one of them ends.

    Args:
        websocket: accepted.
        session_id: the session's id.
        sample_rate: the client's, in Hz.
        livekit_url: where the room is.
        token: lets the session's participant in.
        stop_speech: orders the session's agent to stop speaking.
        count: counts one of what the session did, by its name.
    """

    def __init__(
        self,
        websocket: WebSocket,
        *,
        session_id: str,
        sample_rate: int,
        livekit_url: str,
        token: str,
        stop_speech: Callable[[], Coroutine[Any, Any, object]],
        count: Callable[[str], None],
    ) -> None:
        self._websocket = websocket
        self._session_id = session_id
        self._sample_rate = sample_rate
        self._stop_speech = stop_speech
        self._count = count
        self._rates = ClientRates(sample_rate)
        self._inbox = Inbox(sample_rate)
        self._outbox = Outbox(sample_rate)
        self._typed: asyncio.Queue[str] = asyncio.Queue(_MOST_TYPED)
        self._departed: asyncio.Future[Departure] = asyncio.get_running_loop().create_future()
        self._joined = asyncio.Event()
        self._stopping: list[asyncio.Task[None]] = []
        self.participant = VoiceParticipant(
            livekit_url, token, sample_rate=sample_rate, listener=self
        )

    async def carry(self, *, on_joined: Callable[[], Awaitable[None]]) -> Departure:
        """Join the room and carry frames; return how it ended.

        Nothing is closed then: `say_goodbye` and the participant's `leave` do that, after
        whoever must know has been told.

        Args:
            on_joined: called once the room is joined.
        """
        self._writing = self._task(self._write(), "write")
        tasks = [
            self._task(self._read(), "read"),
            self._task(self._join(on_joined), "join"),
            self._task(self._feed(), "feed"),
            self._task(self._type(), "type"),
        ]
        try:
            return await self._departed
        except asyncio.CancelledError:
            self.depart(departure.SHUTTING_DOWN)
            raise
        finally:
            await end_tasks([*tasks, *self._stopping])

    async def say_goodbye(self, how: Departure) -> None:
        """Send the last frames and close, where the client is still there; never for long."""
        if how.close_code is None:
            self._writing.cancel()
        else:
            last = [frames.error(*how.error)] if how.error else []
            self._outbox.finish(*last, frames.closed(how.why))
            await asyncio.wait({self._writing}, timeout=_SAY_GOODBYE_WITHIN_S)
            self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)
        if how.close_code is not None:
            try:
                closing = self._websocket.close(how.close_code, how.why)
                await asyncio.wait_for(closing, _SAY_GOODBYE_WITHIN_S)
            except (WebSocketDisconnect, RuntimeError, asyncio.TimeoutError):
                return  # it has gone, or does not read: the protocol drops it

    def depart(self, how: Departure) -> None:
        """End the connection in this way, unless it has ended in another."""
        if not self._departed.done():
            self._departed.set_result(how)

    def on_agent_state(self, state: str) -> None:
        """See `participant.Listener`."""
        self._notify(frames.agent_state(state))

    def on_transcript(self, who: str, segment: str, text: str, *, final: bool) -> None:
        """See `participant.Listener`."""
        if final:
            self._count(MESSAGES)
        self._notify(frames.transcript(who, segment, text, final=final))

    def on_voice(self, pcm: bytes) -> None:
        """See `participant.Listener`."""
        if self._joined.is_set():
            self._outbox.speak(pcm)

    def on_interrupted(self) -> None:
        """See `participant.Listener`."""
        self._outbox.hush()
        self._notify(frames.interrupted())

    def on_left(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """See `participant.Listener`."""
        if reason == rtc.DisconnectReason.DUPLICATE_IDENTITY:
            self.depart(departure.REPLACED)
        elif reason in _SESSION_IS_OVER:
            self.depart(departure.SESSION_ENDED)
        else:
            self.depart(departure.LIVEKIT_LOST)

    def _task(self, work: Coroutine[Any, Any, object], what: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._guarded(work), name=f"voice: {what}")

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except frames.BadFrameError as error:
            BAD_FRAMES.labels(error.code).inc()
            self.depart(departure.bad_frame(error))
        except TooSlowError:
            self.depart(departure.TOO_SLOW)
        except WebSocketDisconnect:
            self.depart(departure.CLIENT_LOST)
        except rtc.ConnectError as error:
            logger.warning(
                "[Session] a voice connection could not join its room",
                extra={"session_id": self._session_id, "error": type(error).__name__},
            )
            self.depart(departure.LIVEKIT_LOST)
        except Exception:
            logger.exception(
                "[Session] a voice connection failed", extra={"session_id": self._session_id}
            )
            self.depart(departure.FAILED)

    async def _join(self, on_joined: Callable[[], Awaitable[None]]) -> None:
        await self.participant.join()
        self._notify(frames.ready(self._session_id, self._sample_rate))
        self._joined.set()
        await on_joined()

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                code, reason = message.get("code", departure.ABNORMAL), message.get("reason")
                self.depart(departure.of_disconnect(code, reason))
                return
            frame = self._frame_of(message)
            self._rates.check(frame)
            await self._take(frame)

    def _frame_of(self, message: Any) -> frames.ClientFrame:
        if (pcm := message.get("bytes")) is not None:
            self._count(RECEIVED)
            return frames.read_audio(pcm, self._sample_rate)
        return frames.read_text(message["text"])

    async def _take(self, frame: frames.ClientFrame) -> None:
        if isinstance(frame, frames.Audio):
            self._inbox.put(frame.pcm)
            return
        if isinstance(frame, frames.End):
            self.depart(departure.ENDED)
            return
        if isinstance(frame, frames.Typed):
            self._count(MESSAGES)
            if self._typed.full():
                raise frames.BadFrameError(
                    "too_fast", frames.FORBIDDEN, "wait until what you typed has been taken"
                )
            self._typed.put_nowait(frame.text)
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        self.participant.hush()
        self.on_interrupted()
        # Beside the reading, which a Redis that hangs must not hold up. One order is enough
        # while the one before has not been given.
        if all(each.done() for each in self._stopping):
            self._stopping = [self._task(self._stop_speech(), "stop speech")]

    async def _feed(self) -> None:
        await self._joined.wait()
        while True:
            await self.participant.hear(await self._inbox.take())
            self._count(PROCESSED)

    async def _type(self) -> None:
        await self._joined.wait()
        while True:
            await self.participant.type(await self._typed.get())

    async def _write(self) -> None:
        while (item := await self._outbox.take()) is not None:
            if isinstance(item, str):
                await self._websocket.send_text(item)
            else:
                await self._websocket.send_bytes(item)

    def _notify(self, notice: str) -> None:
        try:
            self._outbox.notify(notice)
        except TooSlowError:
            self.depart(departure.TOO_SLOW)
