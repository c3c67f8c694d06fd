"""What worker and orchestrator share of a voice session: its record, its fence, its end.

`open_session_state` gives the state that the settings ask for. The names of the Redis keys
(`sessions.keys`) are a public contract.
"""

from __future__ import annotations

from config import SessionSettings
from sessions.contract import Claim, ClaimResult
from sessions.errors import (
    SessionEndedError,
    SessionExistsError,
    SessionsError,
    StateUnreachableError,
    TooManySessionsError,
)
from sessions.in_process import ProcessSessionState
from sessions.in_redis import KeptHistories, LiveSessions, RedisSessionState
from sessions.model import (
    AgentProcess,
    Gone,
    SessionRecord,
    SessionStatus,
    SessionStyle,
    Task,
    TaskState,
)
from sessions.state import SessionState

__all__ = [
    "AgentProcess",
    "Claim",
    "ClaimResult",
    "Gone",
    "KeptHistories",
    "LiveSessions",
    "SessionEndedError",
    "SessionExistsError",
    "SessionRecord",
    "SessionState",
    "SessionStatus",
    "SessionStyle",
    "SessionsError",
    "StateUnreachableError",
    "Task",
    "TaskState",
    "TooManySessionsError",
    "open_session_state",
]

TOKEN_LIFE_S = 7200.0
"""How long a token to join a room is valid; a fence outlives it."""


def open_session_state(settings: SessionSettings) -> SessionState:
    """Return the state of sessions, in Redis where there is one; connects at its first use."""
    fence_s = max(TOKEN_LIFE_S, settings.max_session_s) + 600.0
    if settings.redis_url is None:
        return ProcessSessionState(fence_s=fence_s)
    return RedisSessionState(settings.redis_url, fence_s=fence_s)
