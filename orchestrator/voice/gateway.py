"""All voice connections of this process: each told of when it begins, goes and comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from starlette.websockets import WebSocket

from connection_events import EventChannel, Reason, SpeechControl, disconnected, reconnected
from orchestrator.ending.report import Endings
from orchestrator.errors import OrchestratorError
from orchestrator.rooms import Rooms
from orchestrator.voice import departure
from orchestrator.voice.connection import MESSAGES, VoiceConnection
from orchestrator.voice.counting import SessionCounts
from orchestrator.voice.departure import Departure
from orchestrator.voice.log_redaction import hide_tickets
from orchestrator.voice.metrics import CONNECTIONS, DEPARTURES, LEFT_LATE
from sessions import SessionRecord, SessionsError, SessionState
from sessions.naming import now_ms
from worker.owned_tasks import end_tasks

logger = logging.getLogger("orchestrator.voice")

_CLOSE_WITHIN_S = 8.0
_LEAVE_WITHIN_S = 3.0
_JOB_FIRST_WITHIN_S = 0.3
"""How long a connection that has ended is held for its room to be left; after that the room is
left behind it. Room.connect is not cancelled for it: a connection that LiveKit has made by then
and that nobody takes ends the whole process."""
_LEAVE_LATE_WITHIN_S = 5.0
"""How long a shutdown waits for such rooms; the process's own end leaves the rest."""
_MOST_REMEMBERED = 10_000


class VoiceGateway:
    """Serves voice connections.

    Args:
        livekit_url: where the rooms are.
        make_token: returns what lets a session's participant into its room.
        state: the state of sessions.
        events: where it is said that connections ended and came back.
        speech: where agents are ordered to stop speaking.
        endings: ends sessions whose client said so.
        rooms: asked whether a session's participant is there.
        counts_ttl_s: seconds for which a session's counts are kept.
    """

    def __init__(
        self,
        *,
        livekit_url: str,
        make_token: Callable[[SessionRecord], str],
        state: SessionState,
        events: EventChannel,
        speech: SpeechControl,
        endings: Endings,
        rooms: Rooms,
        counts_ttl_s: int,
    ) -> None:
        self._livekit_url = livekit_url
        self._make_token = make_token
        self._state = state
        self._events = events
        self._speech = speech
        self._endings = endings
        self._rooms = rooms
        self._counts = SessionCounts(state, ttl_s=counts_ttl_s)
        self._open: dict[VoiceConnection, asyncio.Event] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._lost: dict[str, Reason] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve within; at the end every connection is closed."""
        hide_tickets()
        flushing = asyncio.create_task(self._counts.keep_flushing(), name="voice: counts")
        try:
            yield
        finally:
            gone = list(self._open.items())
            for connection, _ in gone:
                connection.depart(departure.SHUTTING_DOWN)
            with anyio.move_on_after(_CLOSE_WITHIN_S, shield=True):
                for _, over in gone:
                    await over.wait()
                if self._leaving:
                    await asyncio.wait(self._leaving, timeout=_LEAVE_LATE_WITHIN_S)
            await end_tasks([flushing])

    async def serve(self, websocket: WebSocket, record: SessionRecord, sample_rate: int) -> None:
        """Serve one connection that was admitted, until it has ended and all is given back.

        Args:
            websocket: not accepted yet.
            record: the session.
            sample_rate: the client's, in Hz.
        """
        session_id = record.id
        token = self._make_token(record)
        await websocket.accept()
        connection = VoiceConnection(
            websocket,
            session_id=session_id,
            sample_rate=sample_rate,
            livekit_url=self._livekit_url,
            token=token,
            stop_speech=lambda: self._speech.stop(session_id),
            count=lambda name: self._count(session_id, name),
        )
        over = self._open[connection] = asyncio.Event()
        CONNECTIONS.inc()
        how = departure.FAILED
        try:
            came_back = await self._comes_back(record)
            how = await connection.carry(on_joined=lambda: self._joined(record, came_back))
        except asyncio.CancelledError:
            how = departure.SHUTTING_DOWN
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await self._depart(connection, session_id, how)
            CONNECTIONS.dec()
            del self._open[connection]
            over.set()

    def _count(self, session_id: str, name: str) -> None:
        # Where jobs can report, they count the messages of every kind of client.
        if name != MESSAGES or not self._state.shared:
            self._counts.add(session_id, name)

    async def _comes_back(self, record: SessionRecord) -> Reason | None:
        """Return why an earlier connection ended, where this one follows one that was lost."""
        if record.id in self._lost:
            return self._lost.pop(record.id)
        if not record.connected_at:
            return None
        try:
            there = await self._rooms.present(record.room)
        except OrchestratorError:
            return None
        is_there = any(each.identity == record.identity for each in there)
        return None if is_there else Reason.CLIENT_DISCONNECT

    async def _joined(self, record: SessionRecord, came_back: Reason | None) -> None:
        logger.info("[Session] a voice connection began", extra={"session_id": record.id})
        if came_back is not None:
            await self._events.publish(reconnected(record.id, came_back))
        if not record.connected_at:
            try:
                await self._state.records.update(record.id, connected_at=now_ms())
            except SessionsError as error:
                logger.warning(
                    "[Session] it could not be noted that the person has connected",
                    extra={"session_id": record.id, "error": type(error).__name__},
                )

    async def _depart(self, connection: VoiceConnection, session_id: str, how: Departure) -> None:
        """Tell everybody, the job first; each step goes on when another fails or hangs."""
        DEPARTURES.labels(how.why).inc()
        logger.info(
            "[Session] a voice connection ended", extra={"session_id": session_id, "why": how.why}
        )
        telling = asyncio.create_task(self._tell(session_id, how), name="voice: tell")
        try:
            await asyncio.wait({telling}, timeout=_JOB_FIRST_WITHIN_S)
        except asyncio.CancelledError:
            telling.cancel()
            raise
        results = await asyncio.gather(
            telling,
            self._leave(connection, session_id, how),
            connection.say_goodbye(how),
            self._end(session_id, how),
            return_exceptions=True,
        )
        for error in results:
            if isinstance(error, BaseException):
                logger.error("[Session] a voice connection was not left in order", exc_info=error)

    async def _tell(self, session_id: str, how: Departure) -> None:
        if how.reason is not None:
            self._remember(session_id, how)
            await self._events.publish(disconnected(session_id, how.reason))

    async def _leave(self, connection: VoiceConnection, session_id: str, how: Departure) -> None:
        leaving = asyncio.create_task(
            connection.participant.leave(for_good=how.ends_session), name="voice: leave"
        )
        self._leaving.add(leaving)
        leaving.add_done_callback(self._has_left)
        left, _ = await asyncio.wait({leaving}, timeout=_LEAVE_WITHIN_S)
        if not left:
            LEFT_LATE.inc()
            logger.warning(
                "[Session] LiveKit is slow; the room is left once it has answered",
                extra={"session_id": session_id},
            )

    def _has_left(self, leaving: asyncio.Task[None]) -> None:
        self._leaving.discard(leaving)
        if not leaving.cancelled() and (error := leaving.exception()) is not None:
            logger.error("[Session] a voice connection's room was not left", exc_info=error)

    async def _end(self, session_id: str, how: Departure) -> None:
        await self._counts.flush(session_id)
        if not how.ends_session:
            return
        try:
            await self._endings.begin(session_id, Reason.CLIENT_DISCONNECT, asked_by="voice")
        except (OrchestratorError, SessionsError) as error:
            logger.warning(
                "[Session] a session that its client ended is left to others to end",
                extra={"session_id": session_id, "error": type(error).__name__},
            )

    def _remember(self, session_id: str, how: Departure) -> None:
        if how.reason is None or how.ends_session or how is departure.SESSION_ENDED:
            return
        self._lost[session_id] = how.reason
        while len(self._lost) > _MOST_REMEMBERED:
            del self._lost[next(iter(self._lost))]
