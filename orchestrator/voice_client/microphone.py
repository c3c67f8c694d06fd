"""A live conversation with the machine's microphone and loudspeaker.

sounddevice is not among the requirements: it needs PortAudio, which servers do not have.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from typing import Any

from orchestrator.voice_client.client import FRAME_MS, ConversationOverError, VoiceClient

_MOST_WAITING_FRAMES = 50


class NoMicrophoneError(Exception):
    """There is no way to a microphone; the text says what is missing."""


class Loudspeaker:
    """Keeps the agent's voice until the sound card asks for it."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._rest = b""

    def take(self, pcm: bytes) -> None:
        """Add a piece."""
        self._pieces.append(pcm)

    def discard(self) -> None:
        """Drop what has not been played."""
        self._pieces.clear()
        self._rest = b""

    def fill(self, out: Any, *_: object) -> None:
        """Give the sound card what it asks for; silence where there is not as much."""
        wanted = len(out)
        while len(self._rest) < wanted and self._pieces:
            self._rest += self._pieces.popleft()
        out[:] = self._rest[:wanted].ljust(wanted, b"\0")
        self._rest = self._rest[wanted:]


def sound_module() -> Any:
    """Return sounddevice.

    Raises:
        NoMicrophoneError: it, or PortAudio, is not installed.
    """
    try:
        return importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:
        raise NoMicrophoneError(
            f"the microphone needs PortAudio and the package sounddevice: {error}"
        ) from error


async def converse(client: VoiceClient, loudspeaker: Loudspeaker) -> str:
    """Carry a live conversation until the server closes; return why it did.

    Args:
        client: connected; gives its voice to the loudspeaker.
        loudspeaker: plays it.

    Raises:
        NoMicrophoneError: there is none.
    """
    sound = sound_module()
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING_FRAMES)

    def heard(pcm: Any, *_: object) -> None:
        loop.call_soon_threadsafe(_put_newest, waiting, bytes(pcm))

    options = {
        "samplerate": client.sample_rate,
        "channels": 1,
        "dtype": "int16",
        "blocksize": client.sample_rate * FRAME_MS // 1000,
    }
    try:
        microphone = sound.RawInputStream(callback=heard, **options)
        output = sound.RawOutputStream(callback=loudspeaker.fill, **options)
    except sound.PortAudioError as error:
        raise NoMicrophoneError(f"no microphone or loudspeaker: {error}") from error
    with microphone, output:
        sending = asyncio.create_task(_send(client, waiting), name="voice client: microphone")
        try:
            return await _listen(client, loudspeaker)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def _send(client: VoiceClient, waiting: asyncio.Queue[bytes]) -> None:
    while True:
        await client.send(await waiting.get())


async def _listen(client: VoiceClient, loudspeaker: Loudspeaker) -> str:
    async for notice in client.notices():
        if notice.type == "interrupted":
            loudspeaker.discard()
        elif notice.type == "transcript" and notice.fields["final"]:
            print(f"{notice.fields['who']}: {notice.fields['text']}", flush=True)  # noqa: T201 - a command's output
        elif notice.type == "closed":
            return str(notice.fields["reason"])
    raise ConversationOverError("the connection was lost")


def _put_newest(waiting: asyncio.Queue[bytes], pcm: bytes) -> None:
    if waiting.full():
        waiting.get_nowait()
    waiting.put_nowait(pcm)
