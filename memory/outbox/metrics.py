"""What the outbox counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

APPENDED = Counter("voice_agent_outbox_appended", "Writes that the outbox took")
DELIVERED = Counter("voice_agent_outbox_delivered", "Writes that the database has acknowledged")
DROPPED = Counter(
    "voice_agent_outbox_dropped", "Writes from before an erasure, which the database dropped"
)
QUESTIONS = Counter(
    "voice_agent_outbox_generations",
    "Questions for the generation of writes that do not name theirs, by outcome",
    ["result"],
)
SET_ASIDE = Counter("voice_agent_outbox_set_aside", "Writes that cannot be delivered", ["reason"])
REFUSED = Counter("voice_agent_outbox_refused", "Writes refused, as OUTBOX_MAX_MB was reached")
UNWRITABLE = Counter(
    "voice_agent_outbox_unwritable", "Uses of the outbox that failed, by cause", ["cause"]
)
SALVAGED = Counter(
    "voice_agent_outbox_salvaged", "Rows of damaged files, by what became of them", ["result"]
)
FAILURES = Counter(
    "voice_agent_outbox_delivery_failures", "Deliveries to be tried again, by error", ["error"]
)
WAITING = Gauge(
    "voice_agent_outbox_waiting",
    "Writes that wait on this host",
    multiprocess_mode="livemax",
)
