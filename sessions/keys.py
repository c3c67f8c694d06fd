"""The names of the Redis keys: a public contract, as operators look at them.

Whatever belongs to one session only has the session's id in its name and goes with it. What
outlives a session (that it has ended, a clean-up under way) is a member of a shared key.
"""

from __future__ import annotations

STARTING = "session:starting"
READY = "session:ready"
POOL_READY = "pool:ready"
INDEX = "sessions:index"
ROOMS = "sessions:rooms"
ENDED = "sessions:ended"
CLEANUPS = "sessions:cleanups"
REPORTS = "sessions:reports"
NAMESPACES = "namespaces"


def session(session_id: str) -> str:
    """Return the name of a session's hash."""
    return f"session:{session_id}"


def user(user_id: str) -> str:
    """Return the name of the key that holds the id of a person's newest session."""
    return f"session:user:{user_id}"


def agent_pid(session_id: str) -> str:
    """Return the name of the key with the pid of a session's agent, a bare integer."""
    return f"agent:{session_id}:pid"


def agent_health(session_id: str) -> str:
    """Return the name of the hash with the last heartbeat of a session's agent."""
    return f"agent:{session_id}:health"


def agent_logs(session_id: str) -> str:
    """Return the name of the list with the last log lines of a session's agent."""
    return f"agent:{session_id}:logs"


def tasks(session_id: str) -> str:
    """Return the name of the hash with a session's tasks, JSON by task id."""
    return f"session:{session_id}:tasks"


def counts(session_id: str) -> str:
    """Return the name of the hash with what is counted of a session."""
    return f"session:{session_id}:counts"


def tickets(session_id: str) -> str:
    """Return the name of the sorted set with the hashes of a session's tickets, by expiry."""
    return f"session:{session_id}:tickets"


def tts_active(session_id: str) -> str:
    """Return the name of the flag that says whether a session's agent is speaking."""
    return f"tts:active:{session_id}"


def history(user_id: str) -> str:
    """Return the name of the key with the conversation that a person may go on with."""
    return f"conversation:history:{user_id}"


def creator(creator_id: str) -> str:
    """Return the name of the sorted set with a creator's live sessions, by their expiry."""
    return f"sessions:creator:{creator_id}"


def once(event: str) -> str:
    """Return the name of the mark that an event has been seen."""
    return f"once:{event}"


def lease(name: str) -> str:
    """Return the name of a lease that one process at a time holds."""
    return f"lease:{name}"


def of_session(session_id: str) -> list[str]:
    """Return the names of all keys that belong to one session alone."""
    makers = (session, agent_pid, agent_health, agent_logs, tasks, counts, tickets, tts_active)
    return [make(session_id) for make in makers]
