"""Bounded queues between a client and its room; of audio the oldest goes first."""

from __future__ import annotations

import asyncio
from collections import deque

from orchestrator.voice.metrics import DROPPED

OUTGOING_AUDIO_S = 2.0
"""Of the agent's voice, kept for a client that reads slowly."""

INCOMING_AUDIO_S = 1.0
"""Of the client's voice, kept while LiveKit takes none."""

MOST_NOTICES = 256


class TooSlowError(Exception):
    """The client does not read what it is told."""


class AudioBacklog:
    """Audio that waits, never longer than so much; the oldest is dropped for the newest.

    Args:
        most_bytes: how much may wait.
        direction: names it in what is counted.
    """

    def __init__(self, most_bytes: int, direction: str) -> None:
        self._most_bytes = most_bytes
        self._dropped = DROPPED.labels(direction)
        self._pieces: deque[bytes] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def put(self, pcm: bytes) -> None:
        """Add a piece, and drop the oldest where it is too much."""
        self._pieces.append(pcm)
        self._bytes += len(pcm)
        while self._bytes > self._most_bytes and len(self._pieces) > 1:
            self._bytes -= len(self._pieces.popleft())
            self._dropped.inc()

    def take(self) -> bytes:
        """Remove and return the oldest piece.

        Raises:
            IndexError: there is none.
        """
        pcm = self._pieces.popleft()
        self._bytes -= len(pcm)
        return pcm

    def clear(self) -> None:
        """Drop everything, as it is not wanted any more."""
        self._pieces.clear()
        self._bytes = 0


class Inbox:
    """The client's voice on its way to the room.

    Args:
        sample_rate: in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._backlog = AudioBacklog(int(INCOMING_AUDIO_S * sample_rate) * 2, "to the room")
        self._filled = asyncio.Event()

    def put(self, pcm: bytes) -> None:
        """Add a piece."""
        self._backlog.put(pcm)
        self._filled.set()

    async def take(self) -> bytes:
        """Wait for a piece and return it."""
        while not self._backlog:
            self._filled.clear()
            await self._filled.wait()
        return self._backlog.take()


class Outbox:
    """What waits to be sent to the client: notices, which go first, and audio.

    Args:
        sample_rate: in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._notices: deque[str] = deque()
        self._audio = AudioBacklog(int(OUTGOING_AUDIO_S * sample_rate) * 2, "to the client")
        self._filled = asyncio.Event()
        self._finished = False

    def notify(self, notice: str) -> None:
        """Add a notice, unless the last ones are there already.

        Raises:
            TooSlowError: the client has not read hundreds of them.
        """
        if self._finished:
            return
        if len(self._notices) >= MOST_NOTICES:
            raise TooSlowError
        self._notices.append(notice)
        self._filled.set()

    def speak(self, pcm: bytes) -> None:
        """Add a piece of the agent's voice."""
        if not self._finished:
            self._audio.put(pcm)
            self._filled.set()

    def hush(self) -> None:
        """Drop the voice that waits."""
        self._audio.clear()

    def finish(self, *notices: str) -> None:
        """Send these last, and nothing afterwards."""
        self._finished = True
        self._audio.clear()
        self._notices.extend(notices)
        self._filled.set()

    async def take(self) -> str | bytes | None:
        """Wait for what is next and return it; None when everything was taken and it is over."""
        while not self._notices and not self._audio:
            if self._finished:
                return None
            self._filled.clear()
            await self._filled.wait()
        return self._notices.popleft() if self._notices else self._audio.take()
