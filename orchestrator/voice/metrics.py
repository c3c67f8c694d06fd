"""What is counted of voice over WebSocket."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("voice_agent_voice_connections", "WebSocket connections that are open")
REFUSED = Counter("voice_agent_voice_refused", "Connections refused, by HTTP status", ["status"])
DEPARTURES = Counter("voice_agent_voice_departures", "Connections that ended, by why", ["why"])
BAD_FRAMES = Counter("voice_agent_voice_bad_frames", "Frames that close, by error code", ["code"])
DROPPED = Counter(
    "voice_agent_voice_audio_dropped", "Audio frames dropped, as a queue was full", ["direction"]
)
LEFT_LATE = Counter(
    "voice_agent_voice_left_late", "Rooms left after their connection, as LiveKit was slow"
)
