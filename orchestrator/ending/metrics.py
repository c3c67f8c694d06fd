"""What is counted of sessions and their ends."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from sessions import SessionState

CLEANUPS = Counter(
    "voice_agent_cleanups", "Clean-ups, by result and by who asked", ["result", "asked_by"]
)
CLEANUP_SECONDS = Histogram(
    "voice_agent_cleanup_seconds",
    "How long a clean-up took",
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 15.0),
)
FORCED_KILLS = Counter("voice_agent_forced_kills", "Agents' processes that had to be killed")
DISPATCHED_AGAIN = Counter(
    "voice_agent_dispatched_again", "Agents that were sent again, by why", ["why"]
)
SESSIONS = Gauge("voice_agent_sessions", "Sessions, by status", ["status"])
RECONCILED = Counter(
    "voice_agent_reconciled", "What the reconciler found without an owner, by what it was", ["what"]
)
WATCH_FAILURES = Counter(
    "voice_agent_watch_failures",
    "Rounds that could not be finished, by who and why",
    ["who", "error"],
)


async def observe_sessions(state: SessionState) -> None:
    """Set how many sessions there are in each status.

    Raises:
        StateUnreachableError: the state is out of reach.
    """
    for status, number in (await state.records.count()).items():
        SESSIONS.labels(status.value).set(number)
