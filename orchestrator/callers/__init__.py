"""Who calls the orchestrator, and whom they may act for."""

from orchestrator.callers.caller import (
    ANONYMOUS_PREFIX,
    NAMESPACE_PREFIX,
    NAMESPACE_SESSIONS,
    RESERVED_PREFIXES,
    Caller,
    CallerKind,
    creator_id,
    new_anonymous_identity,
)
from orchestrator.callers.dependency import CurrentCaller, current_caller
from orchestrator.callers.identification import Callers

__all__ = [
    "ANONYMOUS_PREFIX",
    "NAMESPACE_PREFIX",
    "NAMESPACE_SESSIONS",
    "RESERVED_PREFIXES",
    "Caller",
    "CallerKind",
    "Callers",
    "CurrentCaller",
    "creator_id",
    "current_caller",
    "new_anonymous_identity",
]
