"""The ways in which a voice connection ends, and what each of them means for others."""

from __future__ import annotations

from dataclasses import dataclass

from connection_events import Reason
from orchestrator.voice import frames

REPLACED_CODE = 4000
"""Of the codes that RFC 6455 leaves to applications."""


@dataclass(frozen=True)
class Departure:
    """How a connection ended.

    Attributes:
        why: names it, in the ``closed`` frame, in the log and in what is counted.
        reason: what is said of it as a connection event; None where the conversation's
            connection has not ended.
        ends_session: whether the client meant the conversation to be over.
        close_code: with which we close; None where the client is gone already.
        error: the error frame that goes before, code and message.
    """

    why: str
    reason: Reason | None
    ends_session: bool = False
    close_code: int | None = None
    error: tuple[str, str] | None = None


ENDED = Departure("ended", Reason.CLIENT_DISCONNECT, ends_session=True, close_code=1000)
CLIENT_CLOSED = Departure("client_closed", Reason.CLIENT_DISCONNECT, ends_session=True)
CLIENT_LOST = Departure("client_lost", Reason.CLIENT_DISCONNECT)
PROTOCOL_ERROR = Departure("protocol_error", Reason.CLIENT_DISCONNECT)
PING_TIMEOUT = Departure("ping_timeout", Reason.TIMEOUT)
SESSION_ENDED = Departure("session_ended", Reason.CLIENT_DISCONNECT, close_code=1000)
REPLACED = Departure("replaced", None, close_code=REPLACED_CODE)
"""A newer connection carries the conversation on: an event would silence that one."""

TOO_SLOW = Departure(
    "too_slow",
    Reason.CLIENT_DISCONNECT,
    close_code=frames.FORBIDDEN,
    error=("too_slow", "read what is sent to you"),
)
LIVEKIT_LOST = Departure(
    "livekit_lost",
    Reason.SERVER_ERROR,
    close_code=1011,
    error=("unavailable", "LiveKit is out of reach; connect again with a new ticket"),
)
FAILED = Departure(
    "server_error",
    Reason.SERVER_ERROR,
    close_code=1011,
    error=("server_error", "something went wrong here; connect again with a new ticket"),
)
SHUTTING_DOWN = Departure("server_shutdown", Reason.SERVER_ERROR, close_code=1012)

_DELIBERATE_CODES = frozenset({1000, 1001, 1005})
"""Normal, going away, and a close frame without a code."""

_PROTOCOL_ERRORS = frozenset({1002, 1007, 1009})
_GOING_DOWN = 1012

ABNORMAL = 1006
"""Never in a close frame, so that no client can say it."""

PING_TIMED_OUT = "ping timed out"


def bad_frame(error: frames.BadFrameError) -> Departure:
    """Return how a connection ends whose client sent what cannot be taken."""
    return Departure(
        "bad_frame",
        Reason.CLIENT_DISCONNECT,
        close_code=error.close_code,
        error=(error.code, error.message),
    )


def of_disconnect(code: int, reason: str | None) -> Departure:
    """Return how a connection ended that the server says is gone.

    Args:
        code: as ASGI's ``websocket.disconnect`` has it: that of the client's close frame, or
            1006 where there was none.
        reason: the close frame's, or `PING_TIMED_OUT`; None where there is neither.
    """
    if code == ABNORMAL:
        return PING_TIMEOUT if reason == PING_TIMED_OUT else CLIENT_LOST
    if code == _GOING_DOWN and reason is None:
        return SHUTTING_DOWN
    if code in _PROTOCOL_ERRORS:
        return PROTOCOL_ERROR
    return CLIENT_CLOSED if code in _DELIBERATE_CODES else CLIENT_LOST
