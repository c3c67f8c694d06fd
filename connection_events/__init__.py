"""Every part of the system learns that a connection ended, and that it came back."""

from __future__ import annotations

from config import SessionSettings
from connection_events.channel import EventChannel
from connection_events.in_process import ProcessBroadcast, ProcessChannel
from connection_events.in_redis import RedisBroadcast, RedisChannel
from connection_events.message import (
    ConnectionEvent,
    EventType,
    Reason,
    disconnected,
    read_event,
    reconnected,
)
from connection_events.speech_control import SpeechControl, StopHandler
from connection_events.telling import Handler

__all__ = [
    "ConnectionEvent",
    "EventChannel",
    "EventType",
    "Handler",
    "Reason",
    "SpeechControl",
    "StopHandler",
    "disconnected",
    "open_event_channel",
    "open_speech_control",
    "read_event",
    "reconnected",
]


def open_event_channel(settings: SessionSettings) -> EventChannel:
    """Return the channel of connection events, in Redis where there is one."""
    if settings.redis_url is None:
        return ProcessChannel()
    return RedisChannel(settings.redis_url, settings.events_channel)


def open_speech_control(settings: SessionSettings) -> SpeechControl:
    """Return the channel of orders to speech, in Redis where there is one."""
    if settings.redis_url is None:
        return SpeechControl(ProcessBroadcast(), settings.tts_control_channel)
    return SpeechControl(RedisBroadcast(settings.redis_url), settings.tts_control_channel)
