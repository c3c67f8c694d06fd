"""What is counted of webhooks."""

from __future__ import annotations

from prometheus_client import Counter

RECEIVED = Counter(
    "voice_agent_webhooks_received", "LiveKit's webhooks, by event and result", ["event", "result"]
)
SENT = Counter(
    "voice_agent_webhooks_sent", "Webhooks about sessions, by event and result", ["event", "result"]
)
