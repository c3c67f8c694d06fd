"""The client's side of /ws/voice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from typing_extensions import Self
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

FRAME_MS = 20
_AHEAD_S = 0.1

_CLOSE_WITHIN_S = 3.0


class ConversationOverError(Exception):
    """The server closed, or could not be reached; the text says why."""


@dataclass(frozen=True)
class Notice:
    """A JSON frame of the server.

    Attributes:
        type: which: ready, agent_state, transcript, interrupted, error, closed.
        fields: the others, as docs/voice-websocket.md names them.
    """

    type: str
    fields: Mapping[str, Any] = field(default_factory=dict)


class VoiceClient:
    """One connection; connects when entered, closes at the end of the ``async with``.

    Args:
        url: the session's websocket_url.
        sample_rate: in Hz, of both directions.
        headers: such as an Authorization, where the URL has no ticket.
        on_voice: takes the agent's voice, 16-bit little-endian mono PCM.

    Attributes:
        spoken_until: when what was sent will have been heard at its own pace, on
            time.monotonic()'s clock.
    """

    def __init__(
        self,
        url: str,
        *,
        sample_rate: int,
        headers: Mapping[str, str] | None = None,
        on_voice: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._url = _with_sample_rate(url, sample_rate)
        self.sample_rate = sample_rate
        self._headers = dict(headers or {})
        self._on_voice = on_voice
        self.spoken_until = 0.0
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConversationOverError: the server refuses, or is out of reach.
        """
        try:
            self._socket = await connect(
                self._url,
                additional_headers=self._headers,
                compression=None,
                close_timeout=_CLOSE_WITHIN_S,
            )
        except InvalidURI:
            # Its text has the URL, and so the ticket.
            message = "could not connect: the URL must begin with ws:// or wss://"
            raise ConversationOverError(message) from None
        except (OSError, InvalidHandshake, asyncio.TimeoutError) as error:
            raise ConversationOverError(f"could not connect: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close, where it is not closed already."""
        if self._socket is not None:
            await self._socket.close()

    async def notices(self) -> AsyncIterator[Notice]:
        """Yield what the server says until it closes; its voice goes to ``on_voice``."""
        try:
            async for frame in self._connected:
                if isinstance(frame, bytes):
                    self._on_voice(frame)
                    continue
                fields = json.loads(frame)
                yield Notice(fields.pop("type"), fields)
        except ConnectionClosed:
            return  # without a close frame; the caller misses the notice "closed"

    async def play(self, pcm: bytes) -> None:
        """Speak: send 16-bit mono PCM at its own pace; silence fills its last frame.

        It is sent a little ahead, so that a moment in which nothing could be sent leaves no gap.
        """
        step = self.sample_rate * FRAME_MS // 1000 * 2
        for start in range(0, len(pcm), step):
            await asyncio.sleep(max(0.0, self.spoken_until - _AHEAD_S - time.monotonic()))
            await self.send(pcm[start : start + step].ljust(step, b"\0"))
            self.spoken_until = max(self.spoken_until, time.monotonic()) + FRAME_MS / 1000

    async def send(self, pcm: bytes) -> None:
        """Send 10 to 100 ms of audio.

        Raises:
            ConversationOverError: the connection is closed.
        """
        await self._send(pcm)

    async def type(self, text: str) -> None:
        """Type a turn."""
        await self._send(json.dumps({"type": "text", "text": text}))

    async def interrupt(self) -> None:
        """Let the agent stop speaking."""
        await self._send(json.dumps({"type": "interrupt"}))

    async def end(self) -> None:
        """End the conversation; the server closes."""
        await self._send(json.dumps({"type": "end"}))

    @property
    def _connected(self) -> ClientConnection:
        if self._socket is None:
            raise RuntimeError("enter the client first")
        return self._socket

    async def _send(self, frame: str | bytes) -> None:
        try:
            await self._connected.send(frame)
        except ConnectionClosed as error:
            raise ConversationOverError("the server has closed the connection") from error


def _with_sample_rate(url: str, sample_rate: int) -> str:
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    query["sample_rate"] = str(sample_rate)
    return urlunsplit(parts._replace(query=urlencode(query)))
