"""What goes over the WebSocket: the client's frames, checked, and ours, as JSON.

Close codes are those of RFC 6455, section 7.4.1: 1003 for data of a kind that is not taken,
1007 for data that is not what its kind says, 1008 for what the limits forbid, 1009 for what
is too big.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

LOWEST_SAMPLE_RATE = 8_000
HIGHEST_SAMPLE_RATE = 48_000
DEFAULT_SAMPLE_RATE = 16_000
SHORTEST_AUDIO_MS = 10
LONGEST_AUDIO_MS = 100
LONGEST_TEXT = 4_000
LARGEST_TEXT_FRAME = 16_384
LARGEST_MESSAGE = 65_536
"""Bytes, beyond which the protocol closes by itself without our error frame."""

BYTES_PER_SAMPLE = 2

UNSUPPORTED = 1003
INVALID = 1007
FORBIDDEN = 1008
TOO_BIG = 1009


class BadFrameError(Exception):
    """A client's frame cannot be taken; its connection is closed.

    Args:
        code: names what is wrong, for programs.
        close_code: with which the WebSocket is closed.
        message: says what is wrong and what to do, for people.
    """

    def __init__(self, code: str, close_code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.close_code = close_code
        self.message = message


@dataclass(frozen=True)
class Audio:
    """A piece of the client's voice: 16-bit little-endian mono PCM."""

    pcm: bytes


@dataclass(frozen=True)
class Typed:
    """A turn that the client typed."""

    text: str


@dataclass(frozen=True)
class Interrupt:
    """The agent is to stop speaking."""


@dataclass(frozen=True)
class End:
    """The conversation is over."""


ClientFrame = Audio | Typed | Interrupt | End


def read_audio(pcm: bytes, sample_rate: int) -> Audio:
    """Check a binary frame.

    Args:
        pcm: the frame.
        sample_rate: in Hz, as the client named it.

    Raises:
        BadFrameError: it is no such audio, or not 10 to 100 ms of it.
    """
    if len(pcm) % BYTES_PER_SAMPLE:
        raise BadFrameError(
            "invalid_audio", INVALID, "a sample has two bytes; send 16-bit little-endian mono PCM"
        )
    milliseconds = len(pcm) / BYTES_PER_SAMPLE / sample_rate * 1000
    if milliseconds > LONGEST_AUDIO_MS:
        raise BadFrameError("audio_too_long", TOO_BIG, "send 100 ms or less in a frame")
    if milliseconds < SHORTEST_AUDIO_MS:
        raise BadFrameError("audio_too_short", FORBIDDEN, "send 10 ms or more in a frame")
    return Audio(pcm)


def read_text(frame: str) -> Typed | Interrupt | End:
    """Check a text frame.

    Raises:
        BadFrameError: it is no JSON object of a known type, or too long.
    """
    if len(frame) > LARGEST_TEXT_FRAME:
        raise BadFrameError("frame_too_big", TOO_BIG, f"send {LARGEST_TEXT_FRAME} bytes or less")
    given = _json_object(frame)
    kind = given.get("type")
    if kind == "text":
        return Typed(_text_of(given))
    if kind == "interrupt":
        return Interrupt()
    if kind == "end":
        return End()
    raise BadFrameError(
        "unknown_type", UNSUPPORTED, 'send a frame of the type "text", "interrupt" or "end"'
    )


def ready(session_id: str, sample_rate: int) -> str:
    """Return the frame that says that the room is joined and audio is taken."""
    return json.dumps({"type": "ready", "session_id": session_id, "sample_rate": sample_rate})


def agent_state(state: str) -> str:
    """Return the frame that says what the agent does."""
    return json.dumps({"type": "agent_state", "state": state})


def transcript(who: str, segment: str, text: str, *, final: bool) -> str:
    """Return the frame with what was said so far.

    Args:
        who: ``user`` or ``agent``.
        segment: names the utterance; a later frame of the same one replaces this one.
        text: all of the utterance so far.
        final: whether it is complete.
    """
    said = {"type": "transcript", "who": who, "id": segment, "text": text, "final": final}
    return json.dumps(said)


def interrupted() -> str:
    """Return the frame that tells the client to discard what it has not played."""
    return json.dumps({"type": "interrupted"})


def error(code: str, message: str) -> str:
    """Return the frame that says what went wrong."""
    return json.dumps({"type": "error", "code": code, "message": message})


def closed(reason: str) -> str:
    """Return the last frame before we close."""
    return json.dumps({"type": "closed", "reason": reason})


def _json_object(frame: str) -> dict[str, Any]:
    try:
        given = json.loads(frame)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise BadFrameError("invalid_json", INVALID, "a text frame must be a JSON object in UTF-8")
    return given


def _text_of(given: dict[str, Any]) -> str:
    text = given.get("text")
    if not isinstance(text, str) or not text.strip():
        raise BadFrameError("invalid_text", INVALID, "text: must be a text that is not empty")
    if len(text) > LONGEST_TEXT:
        raise BadFrameError("text_too_long", TOO_BIG, f"text: at most {LONGEST_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadFrameError("invalid_text", INVALID, "text: must be valid Unicode") from None
    return text
