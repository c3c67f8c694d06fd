"""What is counted of connection events."""

from __future__ import annotations

from prometheus_client import Counter

PUBLISHED = Counter("voice_agent_connection_events_published", "Events said, by result", ["result"])
HEARD = Counter(
    "voice_agent_connection_events_heard", "Messages heard, by what they were", ["kind"]
)
HANDLER_FAILURES = Counter(
    "voice_agent_connection_events_handler_failures", "Handlers that raised, by error", ["error"]
)
RESUBSCRIBED = Counter(
    "voice_agent_connection_events_resubscribed", "Subscriptions that broke and were made anew"
)
