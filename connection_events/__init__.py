"""Every part of the system learns that a connection ended, and that it came back."""

from __future__ import annotations

from config import SessionSettings
from connection_events.channel import EventChannel, Handler
from connection_events.in_process import ProcessChannel
from connection_events.in_redis import RedisChannel
from connection_events.message import (
    ConnectionEvent,
    EventType,
    Reason,
    disconnected,
    read_event,
    reconnected,
)

__all__ = [
    "ConnectionEvent",
    "EventChannel",
    "EventType",
    "Handler",
    "Reason",
    "disconnected",
    "open_event_channel",
    "read_event",
    "reconnected",
]


def open_event_channel(settings: SessionSettings) -> EventChannel:
    """Return the channel of connection events, in Redis where there is one."""
    if settings.redis_url is None:
        return ProcessChannel()
    return RedisChannel(settings.redis_url, settings.events_channel)
