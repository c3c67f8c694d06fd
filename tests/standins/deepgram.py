"""A stand-in for Deepgram's streaming speech recognition."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from tests.standins.deepgram_session import Connection, ListenSession
from tests.standins.deepgram_wire import parse_query
from tests.standins.errors import InjectedFailure, StandInError
from tests.standins.loopback import break_connection
from tests.standins.server import API_KEY, StandIn
from tests.standins.transcripts import Script, Transcribe
from tests.standins.utterances import UtteranceDetector


@dataclass(frozen=True)
class ConnectionDisturbance:
    """What goes wrong with one connection.

    Attributes:
        status: refuse it with this HTTP status.
        drop_after_s: break it, without a close frame, after so many seconds.
    """

    status: int | None = None
    drop_after_s: float | None = None


class DeepgramStandIn(StandIn):
    """Deepgram's ``/v1/listen`` on the loopback address.

    It hears by energy, so it needs audio with clear pauses, and answers each utterance with
    an interim and a final result.

    >>> with DeepgramStandIn(["Hello, my name is Anna."]) as deepgram:
    ...     stt = plugin.STT(base_url=deepgram.base_url, api_key=deepgram.api_key)

    Args:
        transcribe: the words, as lines (one for each utterance) or as a function of the
            audio such as `KnownRecordings`.
        per_connection: start the lines anew on each connection, instead of sharing them.
        silence_s: how long a pause ends an utterance, in seconds of audio.
        threshold: root mean square, of 32768, from which audio is speech.
        result_delay_s: seconds between hearing and answering; may be changed while it runs.
        port: see `StandIn`.

    Attributes:
        connections: every accepted connection, in order.
        result_delay_s: as given; counts for connections opened later.
    """

    api_key = API_KEY
    authorization = f"Token {API_KEY}"

    def __init__(
        self,
        transcribe: Iterable[str] | Transcribe = (),
        *,
        per_connection: bool = False,
        silence_s: float = 0.35,
        threshold: float = 300.0,
        result_delay_s: float = 0.0,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.connections: list[Connection] = []
        self.result_delay_s = result_delay_s
        self._lines = None if callable(transcribe) else list(transcribe)
        self._shared = transcribe if callable(transcribe) else Script(self._lines or ())
        self._per_connection = per_connection
        self._silence_s = silence_s
        self._threshold = threshold
        self._ordered: deque[ConnectionDisturbance] = deque()
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """What the plugin takes as ``base_url``."""
        return f"{self.origin}/v1/listen"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a process here."""
        return {"DEEPGRAM_API_KEY": self.api_key, "DEEPGRAM_BASE_URL": self.base_url}

    def expect(self, *lines: str) -> None:
        """Append lines to the shared script.

        Raises:
            StandInError: the words do not come from a shared script.
        """
        if not isinstance(self._shared, Script) or self._per_connection:
            raise StandInError("this stand-in has no shared script; make it with lines")
        self._shared.add(*lines)

    def disturb(self, disturbance: ConnectionDisturbance, *, times: int = 1) -> None:
        """Let something go wrong with the next connections.

        Args:
            disturbance: what goes wrong.
            times: with how many of them.
        """
        with self._lock:
            self._ordered.extend([disturbance] * times)

    def _routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/listen", self._listen)]

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(parse_query(request.query))
        disturbance = self._take_disturbance()
        if disturbance.status is not None:
            raise InjectedFailure(disturbance.status)
        socket = web.WebSocketResponse()
        socket.headers["dg-request-id"] = connection.request_id
        if not socket.can_prepare(request):
            raise web.HTTPUpgradeRequired
        # Before the client learns that it is connected, so that it is in the records by then.
        self.connections.append(connection)
        await socket.prepare(request)
        session = self._session(socket, connection, request)
        await self._run(session, request, connection, disturbance.drop_after_s)
        return socket

    async def _run(
        self,
        session: ListenSession,
        request: web.Request,
        connection: Connection,
        drop_after_s: float | None,
    ) -> None:
        try:
            await asyncio.wait_for(session.run(), drop_after_s)
        except asyncio.TimeoutError:
            connection.close("dropped")
            await break_connection(request)
        except asyncio.CancelledError:
            connection.close("stopped" if self.stopping else "abrupt")
            raise

    def _session(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.Request
    ) -> ListenSession:
        query = connection.query
        return ListenSession(
            socket,
            connection,
            detector=UtteranceDetector(
                query.sample_rate, threshold=self._threshold, silence_s=self._silence_s
            ),
            transcribe=self._words(),
            result_delay_s=self.result_delay_s,
            note_fault=lambda problem: self.note_fault(request, problem),
        )

    def _words(self) -> Transcribe:
        if self._per_connection and self._lines is not None:
            return Script(self._lines)
        return self._shared

    def _take_disturbance(self) -> ConnectionDisturbance:
        with self._lock:
            return self._ordered.popleft() if self._ordered else ConnectionDisturbance()

    def _refusal(self, status: int, message: str) -> web.Response:
        code = "INVALID_AUTH" if status == 401 else "Bad Request"
        return web.json_response({"err_code": code, "err_msg": message}, status=status)
