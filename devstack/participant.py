"""A person in a room, over real WebRTC: types or speaks, reads and hears the agent."""

from __future__ import annotations

import asyncio
import json
import time
import wave
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from livekit import api, rtc

from devstack.servers.livekit import LiveKitInfo

CHAT_TOPIC = "lk.chat"
TRANSCRIPTION_TOPIC = "lk.transcription"
DEPARTURE_TIMEOUT_S = 40
"""RECONNECT_GRACE_S as it is by default, and 10."""

_SAMPLE_RATE = 48_000
_SILENCE = 200
"""The loudest sample, of 32 767, of what counts as a pause."""


@dataclass(frozen=True)
class Said:
    """One whole utterance of the agent.

    Attributes:
        text: what it said.
        first_text_at: when its first piece arrived, on time.monotonic()'s clock, in seconds.
        speaker: the participant's identity under which it was published.
    """

    text: str
    first_text_at: float
    speaker: str


def access_token(
    livekit: LiveKitInfo,
    identity: str,
    room: str,
    *,
    kind: str | None = None,
    attributes: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    agent_name: str = "",
    departure_timeout_s: int = DEPARTURE_TIMEOUT_S,
) -> str:
    """Return a token to join one room.

    Args:
        livekit: the server.
        identity: who joins.
        room: where.
        kind: a participant kind other than a person's, such as ``sip``.
        attributes: the participant's attributes.
        metadata: dispatches the agent with this metadata when the join makes the room.
        agent_name: the agent to dispatch then.
        departure_timeout_s: seconds for which a room that the join makes outlives whoever
            leaves it; longer than an agent waits for them to come back.
    """
    grants = api.VideoGrants(room_join=True, room=room)
    token = api.AccessToken(livekit.api_key, livekit.api_secret).with_identity(identity)
    token = token.with_grants(grants).with_ttl(timedelta(hours=2))
    if kind is not None:
        token = token.with_kind(kind)  # type: ignore[arg-type]
    if attributes:
        token = token.with_attributes(dict(attributes))
    room_config = api.RoomConfiguration(departure_timeout=departure_timeout_s)
    if metadata is not None:
        room_config.agents.append(
            api.RoomAgentDispatch(agent_name=agent_name, metadata=json.dumps(metadata))
        )
    return token.with_room_config(room_config).to_jwt()


class Participant:
    """Joins a room when entered, leaves it at the end of the ``with``.

    Args:
        livekit: the server.
        token: who joins which room.
        publish_track: publish a microphone, silent until `play`; without a track the agent
            hears of arrival and departure up to 3 s late.
    """

    def __init__(self, livekit: LiveKitInfo, token: str, *, publish_track: bool = True) -> None:
        self._url = livekit.url
        self._token = token
        self._publish_track = publish_track
        self.room = rtc.Room()
        self._said: asyncio.Queue[Said] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._microphone: rtc.AudioSource | None = None
        self._voice = bytearray()
        self._voice_grew = asyncio.Event()
        self.joined_at = 0.0
        self.disconnected = asyncio.Event()

    async def __aenter__(self) -> Participant:
        """Join."""
        # Before connect, or a quick greeting is lost.
        self.room.register_text_stream_handler(TRANSCRIPTION_TOPIC, self._on_text)
        self.room.on("disconnected", lambda *_: self.disconnected.set())
        self.room.on("track_subscribed", self._on_track)
        self.joined_at = time.monotonic()
        await self.room.connect(self._url, self._token)
        if self._publish_track:
            self._microphone = rtc.AudioSource(_SAMPLE_RATE, 1)
            track = rtc.LocalAudioTrack.create_audio_track("microphone", self._microphone)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            await self.room.local_participant.publish_track(track, options)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave, as somebody who hangs up."""
        await self.room.disconnect()
        if self._microphone is not None:
            await self._microphone.aclose()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def hear(self, timeout_s: float = 20.0) -> Said:
        """Return the next thing the agent says, as text.

        Raises:
            asyncio.TimeoutError: it said nothing within ``timeout_s`` seconds.
        """
        return await asyncio.wait_for(self._said.get(), timeout_s)

    async def type(self, text: str) -> None:
        """Type a turn."""
        await self.room.local_participant.send_text(text, topic=CHAT_TOPIC)

    async def ask(self, text: str, timeout_s: float = 20.0) -> str:
        """Type a turn and return the agent's answer."""
        await self.type(text)
        return (await self.hear(timeout_s)).text

    async def hear_voice(self, seconds: float, timeout_s: float = 20.0) -> tuple[bytes, int]:
        """Return the next stretch of the agent's voice, without its pauses.

        Args:
            seconds: how much voice.
            timeout_s: how long to wait for it.

        Returns:
            16-bit little-endian mono PCM and its sample rate in Hz.

        Raises:
            asyncio.TimeoutError: the agent did not speak that much in time.
        """
        wanted = int(seconds * _SAMPLE_RATE) * 2

        async def collect() -> None:
            while len(self._voice) < wanted:
                self._voice_grew.clear()
                await self._voice_grew.wait()

        await asyncio.wait_for(collect(), timeout_s)
        heard = bytes(self._voice[:wanted])
        del self._voice[:wanted]
        return heard, _SAMPLE_RATE

    async def play_file(self, path: Path) -> None:
        """Speak what a 16-bit mono WAV file holds, at its own pace."""
        with wave.open(str(path), "rb") as file:
            pcm, sample_rate = file.readframes(file.getnframes()), file.getframerate()
        await self.play(pcm, sample_rate)

    async def play(self, pcm: bytes, sample_rate: int) -> None:
        """Speak: send 16-bit mono PCM at its own pace through the microphone.

        Raises:
            RuntimeError: the participant has no microphone.
        """
        if self._microphone is None:
            raise RuntimeError("this participant publishes no track")
        resampler = rtc.AudioResampler(sample_rate, _SAMPLE_RATE)
        step = sample_rate // 50 * 2  # 20 ms
        for start in range(0, len(pcm) - step + 1, step):
            frame = rtc.AudioFrame(pcm[start : start + step], sample_rate, 1, step // 2)
            for resampled in resampler.push(frame):
                await self._microphone.capture_frame(resampled)

    def _on_track(self, track: rtc.Track, *_: object) -> None:
        if isinstance(track, rtc.RemoteAudioTrack):
            self._own(self._listen(track))

    async def _listen(self, track: rtc.RemoteAudioTrack) -> None:
        stream = rtc.AudioStream(track, sample_rate=_SAMPLE_RATE, num_channels=1)
        try:
            async for event in stream:
                samples = event.frame.data
                if max(samples, default=0) > _SILENCE:
                    self._voice += samples.tobytes()
                    self._voice_grew.set()
        finally:
            await stream.aclose()

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if identity == self.room.local_participant.identity:
            return  # the agent's transcript of this person
        self._own(self._read(reader, identity))

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        pieces: list[str] = []
        first_at = 0.0
        async for piece in reader:
            first_at = first_at or time.monotonic()
            pieces.append(piece)
        if text := "".join(pieces).strip():
            await self._said.put(Said(text, first_at, identity))
