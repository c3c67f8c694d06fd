"""What is known of a voice session."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

from typing_extensions import Self

SAME_START_S = 1.0
"""Start times of one process differ by less, where they are read from a clock that is set."""


class SessionStatus(str, Enum):
    """How far a session is: its agent is awaited, is there, or will not come."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


class SessionStyle(str, Enum):
    """By which interface a session was made."""

    SESSION = "session"
    NAMESPACE = "namespace"
    ENDPOINT = "endpoint"


_FIELD_NAMES = {
    "room": "roomName",
    "user_id": "userId",
    "user_name": "userName",
    "voice_id": "voiceId",
    "opening_line": "openingLine",
    "celery_task_id": "celeryTaskId",
    "start_time": "startTime",
    "agent_pid": "agentPid",
    "agent_host": "agentHost",
    "agent_started": "agentStarted",
    "agent_attempt": "agentAttempt",
    "agent_gone": "agentGone",
    "namespace_id": "namespaceId",
    "device_type": "deviceType",
    "client_version": "clientVersion",
    "dispatch_id": "dispatchId",
    "dispatched_at": "dispatchedAt",
    "connected_at": "connectedAt",
    "joined_at": "joinedAt",
    "expires_at": "expiresAt",
}
_INTEGERS = frozenset(
    {
        "start_time",
        "agent_pid",
        "agent_attempt",
        "dispatches",
        "dispatched_at",
        "connected_at",
        "joined_at",
        "expires_at",
    }
)


@dataclass(frozen=True)
class SessionRecord:
    """One voice session, as Redis's hash ``session:{id}`` has it.

    Times are milliseconds since the epoch; 0 where it has not happened.

    Attributes:
        id: the session's id, also the conversation's id in events.
        room: the LiveKit room.
        identity: the participant whom the agent serves.
        user_id: the uuid5 of that identity.
        creator: who made it, as an opaque text that tells nothing; they alone may see it.
        style: by which interface it was made.
        status: how far it is.
        start_time: when it was made.
        expires_at: when it is over at the latest.
        user_name: the name that the client gave.
        voice_id: the TTS voice.
        opening_line: what the agent says first.
        celery_task_id: the task that runs the agent, where Celery does.
        agent_pid: the process of the agent, or 0.
        agent_host: where that process runs.
        agent_started: when that process began, as `AgentProcess.started`.
        agent_attempt: the number of the dispatch that this process answers.
        agent_gone: how that process ended, ``exited`` or ``killed``; empty while it runs.
        namespace_id: the namespace, in the second style.
        device_type: what the client said it is, in the second style.
        client_version: what the client said it is, in the second style.
        dispatch_id: LiveKit's id of the newest dispatch.
        dispatched_at: when the newest dispatch was made.
        dispatches: the number of the newest dispatch, from 1 on; an agent of an older one
            must not speak.
        connected_at: when the person was first seen in the room.
        joined_at: when the newest connection of the person that is known was made.
    """

    id: str
    room: str
    identity: str
    user_id: str
    creator: str
    style: SessionStyle = SessionStyle.SESSION
    status: SessionStatus = SessionStatus.STARTING
    start_time: int = 0
    expires_at: int = 0
    user_name: str = ""
    voice_id: str = ""
    opening_line: str = ""
    celery_task_id: str = ""
    agent_pid: int = 0
    agent_host: str = ""
    agent_started: float = 0.0
    agent_attempt: int = 0
    agent_gone: str = ""
    namespace_id: str = ""
    device_type: str = ""
    client_version: str = ""
    dispatch_id: str = ""
    dispatched_at: int = 0
    dispatches: int = 0
    connected_at: int = 0
    joined_at: int = 0

    def as_fields(self) -> dict[str, str]:
        """Return the record as the fields of a Redis hash."""
        return as_fields(asdict(self))

    @classmethod
    def from_fields(cls, stored: Mapping[str, str]) -> Self:
        """Read a record from the fields of a Redis hash.

        Raises:
            ValueError: a field that must be there is missing or is not of its kind.
        """
        given: dict[str, Any] = {}
        for field in fields(cls):
            name = _FIELD_NAMES.get(field.name, field.name)
            if name in stored:
                given[field.name] = _read(field.name, stored[name])
        try:
            return cls(**given)
        except TypeError:
            raise ValueError("a session's hash lacks fields that every session has") from None


def as_fields(changes: Mapping[str, Any]) -> dict[str, str]:
    """Return attributes of a `SessionRecord` as the fields of a Redis hash."""
    return {_FIELD_NAMES.get(name, name): _written(value) for name, value in changes.items()}


def _written(value: object) -> str:
    return str(value.value) if isinstance(value, Enum) else str(value)


def _read(name: str, text: str) -> object:
    if name in _INTEGERS:
        return int(text or 0)
    if name == "agent_started":
        return float(text or 0)
    if name == "status":
        return SessionStatus(text)
    return SessionStyle(text) if name == "style" else text


@dataclass(frozen=True)
class AgentProcess:
    """A process that runs an agent.

    Attributes:
        pid: its id on its host.
        host: where it runs.
        started: when it began, seconds on a clock of its host that is never set; with the
            pid it names the process.
    """

    pid: int
    host: str
    started: float

    def is_same_as(self, other: AgentProcess) -> bool:
        """Return whether both are one process, whoever read its start time, and how exactly."""
        is_there = (self.pid, self.host) == (other.pid, other.host)
        return is_there and abs(self.started - other.started) <= SAME_START_S


class Gone(str, Enum):
    """How the process of an agent ended: by itself, or killed."""

    EXITED = "exited"
    KILLED = "killed"


class TaskState(str, Enum):
    """How far a task of a session is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Task:
    """A tool call of the agent, or work that it does in the background.

    Attributes:
        id: the task's id.
        session_id: the session.
        type: the tool's name, or what kind of work it is.
        state: how far it is.
        created_at: when it was made, milliseconds since the epoch.
        updated_at: when its state changed last.
        result_available: whether it gave a result.
        error_message: why it failed, without anything that a person said.
    """

    id: str
    session_id: str
    type: str
    state: TaskState
    created_at: int
    updated_at: int
    result_available: bool = False
    error_message: str | None = None

    def as_json(self) -> str:
        """Return the task as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a task that `as_json` wrote."""
        given = json.loads(text)
        return cls(**{**given, "state": TaskState(given["state"])})
