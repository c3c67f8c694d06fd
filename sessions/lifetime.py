"""When a session is over at the latest, whoever still serves it."""

from __future__ import annotations

FAREWELL_S = 30.0
"""Seconds past MAX_SESSION_S: its agent begins to say goodbye then, and ends the session itself."""


def latest_end(start_time: int, max_session_s: float) -> int:
    """Return when a session is ended from outside, in milliseconds since the epoch.

    Args:
        start_time: when it began, in milliseconds since the epoch.
        max_session_s: seconds after which its agent takes leave of the person.
    """
    return start_time + int((max_session_s + FAREWELL_S) * 1000)
