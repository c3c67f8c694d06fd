"""What is still said of a namespace's session for a minute after it has expired.

Its keys are gone by then; this stands beside the report of its clean-up, and tells who asks for
the session that it is closed. Nothing in it is about a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connection_events import Reason
from sessions.model import SessionRecord, SessionStyle

_NAME = "expired"
_LEFT = ("id", "room", "creator", "namespace_id", "start_time", "device_type", "client_version")


def left_behind(record: SessionRecord, reason: Reason) -> dict[str, Any]:
    """Return what is left beside the report of a session's clean-up."""
    if record.style is not SessionStyle.NAMESPACE or reason is not Reason.TIMEOUT:
        return {}
    return {_NAME: {name: getattr(record, name) for name in _LEFT}}


def expired_session(stored: Mapping[str, Any] | None) -> SessionRecord | None:
    """Return the session of which a report was left, where it has expired."""
    left = (stored or {}).get(_NAME)
    if not isinstance(left, dict):
        return None
    nobody = {"identity": "", "user_id": "", "expires_at": 0}
    return SessionRecord(style=SessionStyle.NAMESPACE, **{**nobody, **left})
