"""Who may open a session's WebSocket."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.responses import Response

from config import Settings
from connection_events import Reason
from orchestrator.addresses import TrustedProxies
from orchestrator.callers import Caller, CallerKind, Callers
from orchestrator.ending.report import Endings
from orchestrator.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
)
from orchestrator.voice.frames import (
    DEFAULT_SAMPLE_RATE,
    HIGHEST_SAMPLE_RATE,
    LOWEST_SAMPLE_RATE,
)
from orchestrator.voice.tickets import VoiceTickets
from sessions import SessionRecord, SessionState
from sessions.naming import now_ms

_UNKNOWN = "there is no such session, or it has ended"
_MOST_DIGITS = 6


@dataclass(frozen=True)
class Admitted:
    """A client who may connect.

    Attributes:
        record: the session.
        sample_rate: in Hz, of both directions.
    """

    record: SessionRecord
    sample_rate: int


class Admission:
    """Checks a handshake.

    Args:
        settings: allowed origins, the time within which a client must connect.
        state: the state of sessions.
        callers: checks credentials.
        proxies: says how the client sees this server.
        endings: ends a session whose client came too late.
        tickets: checks tickets.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        state: SessionState,
        callers: Callers,
        proxies: TrustedProxies,
        endings: Endings,
        tickets: VoiceTickets,
    ) -> None:
        self._origins = frozenset(settings.orchestrator.cors_origins)
        self._development = settings.orchestrator.mode == "development"
        self._connect_within_s = settings.orchestrator.connect_within_s
        self._state = state
        self._callers = callers
        self._proxies = proxies
        self._endings = endings
        self._tickets = tickets

    async def admit(self, handshake: HTTPConnection) -> Admitted:
        """Return who may connect.

        Raises:
            BadRequestError: the query cannot be used.
            UnauthorizedError: neither a ticket nor a credential is good.
            ForbiddenError: a web page elsewhere brings the client, or it comes too late.
            NotFoundError: there is no such session for this client.
            UnavailableError: a credential cannot be checked now.
            StateUnreachableError: nor the state of sessions.
        """
        self._check_origin(handshake)
        sample_rate = _sample_rate(handshake.query_params.get("sample_rate"))
        session_id = handshake.query_params.get("session_id", "")
        if not session_id:
            raise BadRequestError("session_id: name the session")
        record = await self._authorized(handshake, session_id)
        if await self._state.records.has_ended(session_id) or record.expires_at <= now_ms():
            raise NotFoundError(_UNKNOWN)
        await self._check_in_time(record)
        return Admitted(record, sample_rate)

    async def _authorized(self, handshake: HTTPConnection, session_id: str) -> SessionRecord:
        ticket = handshake.query_params.get("ticket")
        if ticket is not None:
            if not await self._tickets.take(session_id, ticket):
                raise UnauthorizedError(
                    "the ticket is used up, too old or for another session; get a new "
                    "websocket_url from the session"
                )
            record = await self._state.records.get(session_id)
        else:
            caller = await self._callers.identify(handshake, Response())
            record = await self._state.records.get(session_id)
            if record is not None and not may_speak_in(caller, record):
                record = None
        if record is None:
            raise NotFoundError(_UNKNOWN)
        return record

    def _check_origin(self, handshake: HTTPConnection) -> None:
        """Browsers send cookies along wherever a page comes from, and always say its origin."""
        origins = handshake.headers.getlist("origin")
        if not origins or self._development:  # guards.py lets in loopback origins only then
            return
        seen = self._proxies.origin_of(handshake)
        own = f"{'https' if seen.secure else 'http'}://{seen.host}"
        if len(origins) > 1 or origins[0] not in self._origins | {own}:
            raise ForbiddenError("web pages of this origin may not connect; see CORS_ORIGINS")

    async def _check_in_time(self, record: SessionRecord) -> None:
        latest = record.start_time + self._connect_within_s * 1000
        if record.connected_at or now_ms() <= latest:
            return
        await self._endings.begin(record.id, Reason.TIMEOUT, asked_by="voice: too late")
        raise ForbiddenError("the session waited too long for its client; start a new one")


def may_speak_in(caller: Caller, record: SessionRecord) -> bool:
    """Return whether a caller may be a session's voice: its creator may, an operator not."""
    return caller.kind is not CallerKind.OPERATOR and caller.may_reach(record)


def _sample_rate(text: str | None) -> int:
    if text is None:
        return DEFAULT_SAMPLE_RATE
    usable = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    if not usable or not LOWEST_SAMPLE_RATE <= int(text) <= HIGHEST_SAMPLE_RATE:
        raise BadRequestError(
            f"sample_rate: must be {LOWEST_SAMPLE_RATE} to {HIGHEST_SAMPLE_RATE} Hz"
        )
    return int(text)
