"""The client's stand-in in the session's room: a LiveKit participant like any other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol

from livekit import rtc

from connection_events.interruptions import INTERRUPTIONS
from orchestrator.voice.agent_voice import AgentVoice, Converter, native_rate
from orchestrator.voice.transcripts import TOPIC, Transcripts

logger = logging.getLogger("orchestrator.voice")

_CHAT_TOPIC = "lk.chat"
_AGENT_STATE = "lk.agent.state"
_SPEAKING = "speaking"
_ABSENT = "absent"
_CONNECT_WITHIN_S = 5.0
_LEAVE_WITHIN_S = 3.0
_HEARD_BY_AGENT_WITHIN_S = 5.0
_QUEUE_MS = 300
_CUSHION_MS = 60
"""Silence before what comes when nothing waits: a frame that is late by less leaves no gap."""

LOST = rtc.DisconnectReason.USER_UNAVAILABLE
"""Of the reasons that a participant may give, LiveKit passes on this one, rejection and none:
it tells the others that the person has not hung up."""


class Listener(Protocol):
    """Is told what happens in the room."""

    def on_agent_state(self, state: str) -> None:
        """The agent does something else: listening, thinking, speaking, absent."""

    def on_transcript(self, who: str, segment: str, text: str, *, final: bool) -> None:
        """Somebody said something; see `frames.transcript`."""

    def on_voice(self, pcm: bytes) -> None:
        """The agent speaks: 16-bit mono PCM at the client's rate."""

    def on_interrupted(self) -> None:
        """The agent was cut off; what has not been played is void."""

    def on_left(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The room is left, and not by `VoiceParticipant.leave`."""


class VoiceParticipant:
    """Joins a room once and leaves it once.

    Args:
        url: LiveKit's.
        token: who joins which room.
        sample_rate: the client's, in Hz.
        listener: is told what happens there.
    """

    def __init__(self, url: str, token: str, *, sample_rate: int, listener: Listener) -> None:
        self._url = url
        self._token = token
        self._listener = listener
        self._room = rtc.Room()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._heard_by_agent: asyncio.Task[None] | None = None
        self._leaving = False
        self._voice = AgentVoice(sample_rate, listener.on_voice)
        self._transcripts = Transcripts(self._on_said)
        self._microphone = rtc.AudioSource(native_rate(sample_rate), 1, queue_size_ms=_QUEUE_MS)
        samples = native_rate(sample_rate) * _CUSHION_MS // 1000
        self._cushion = rtc.AudioFrame(bytes(2 * samples), native_rate(sample_rate), 1, samples)
        self._convert = Converter(sample_rate, native_rate(sample_rate))
        self._agent_state = _ABSENT
        self._interruptions: dict[str, str] = {}

    async def join(self) -> None:
        """Join and publish a microphone.

        Raises:
            rtc.ConnectError: LiveKit is out of reach, or refuses.
        """
        room = self._room
        # Before connect, or a quick greeting is lost.
        room.register_text_stream_handler(TOPIC, self._on_text)
        room.on("track_subscribed", self._on_track)
        room.on("participant_attributes_changed", self._on_attributes)
        room.on("participant_connected", self._look_at)
        room.on("participant_disconnected", self._on_gone)
        room.on("disconnected", self._on_disconnected)
        options = rtc.RoomOptions(connect_timeout=_CONNECT_WITHIN_S)
        # A task of its own, which nobody cancels: the SDK ends the whole process (SIGTERM) when
        # a connection that it has made is not taken.
        self._connecting = asyncio.create_task(
            room.connect(self._url, self._token, options), name="voice: connect"
        )
        await asyncio.shield(self._connecting)
        await self._publish()
        for participant in room.remote_participants.values():
            self._look_at(participant)

    async def leave(self, *, for_good: bool) -> None:
        """Leave, where it was joined, and give back what is held.

        Args:
            for_good: tell the others that the person hung up; else that they were lost.
        """
        self._leaving = True
        try:
            if self._connecting is not None:
                await asyncio.wait({self._connecting})  # the SDK's own time-outs bound it
            reason = rtc.DisconnectReason.CLIENT_INITIATED if for_good else LOST
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._room.disconnect(reason=reason), _LEAVE_WITHIN_S)
        finally:
            await self._give_back()

    async def hear(self, pcm: bytes) -> None:
        """Speak for the client: 16-bit mono PCM at its rate; waits while LiveKit takes none."""
        if not self._microphone.queued_duration:
            await self._microphone.capture_frame(self._cushion)
        for frame in self._convert.convert(pcm):
            await self._microphone.capture_frame(frame)

    async def type(self, text: str) -> None:
        """Type a turn for the client, once the agent has seen that the client is there.

        An agent leaves alone what somebody types of whom it has not been told yet; it takes
        their audio as soon as it has.
        """
        if self._heard_by_agent is not None:
            # Not asyncio.wait_for, which before Python 3.12 can swallow a cancellation.
            await asyncio.wait({self._heard_by_agent}, timeout=_HEARD_BY_AGENT_WITHIN_S)
        await self._room.local_participant.send_text(text, topic=_CHAT_TOPIC)

    def hush(self) -> None:
        """Pass nothing on of what the agent is saying, until it does something else."""
        if self._agent_state == _SPEAKING:
            self._voice.hush()

    async def _publish(self) -> None:
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._microphone)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        published = await self._room.local_participant.publish_track(track, options)
        self._heard_by_agent = asyncio.create_task(
            published.wait_for_subscription(), name="voice: heard by the agent"
        )

    async def _give_back(self) -> None:
        own = (self._connecting, self._heard_by_agent)
        tasks = [*self._tasks, *(each for each in own if each is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._microphone.aclose()

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a part of a voice connection failed", exc_info=error)

    def _on_track(self, track: rtc.Track, _: object, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant) and isinstance(track, rtc.RemoteAudioTrack):
            self._own(self._voice.play(track), "voice: agent's track")

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if identity == self._room.local_participant.identity:
            self._own(self._transcripts.read(reader, "user"), "voice: user's transcript")
        elif _is_agent(self._room.remote_participants.get(identity)):
            self._own(self._transcripts.read(reader, "agent"), "voice: agent's transcript")

    def _on_said(self, who: str, segment: str, text: str, final: bool) -> None:
        self._listener.on_transcript(who, segment, text, final=final)

    def _on_attributes(self, _: object, participant: rtc.Participant) -> None:
        self._look_at(participant)

    def _look_at(self, participant: rtc.Participant) -> None:
        if not _is_agent(participant):
            return
        self._notice_interruption(participant)
        if state := participant.attributes.get(_AGENT_STATE):
            self._change(state)

    def _notice_interruption(self, agent: rtc.Participant) -> None:
        count = agent.attributes.get(INTERRUPTIONS, "")
        before = self._interruptions.get(agent.sid, count)  # what was before we came says nothing
        self._interruptions[agent.sid] = count
        if count != before:
            self._listener.on_interrupted()

    def _on_gone(self, participant: rtc.RemoteParticipant) -> None:
        others = self._room.remote_participants.values()
        if _is_agent(participant) and not any(
            _is_agent(each) for each in others if each.sid != participant.sid
        ):
            self._change(_ABSENT)

    def _change(self, state: str) -> None:
        if state == self._agent_state:
            return
        self._agent_state = state
        self._voice.unhush()
        self._listener.on_agent_state(state)

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if not self._leaving:
            self._listener.on_left(reason)


def _is_agent(participant: rtc.Participant | None) -> bool:
    return (
        participant is not None and participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    )
