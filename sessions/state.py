"""The contract for the state of sessions: Redis, or this process where there is none.

Every call may raise `StateUnreachableError`. Nothing here talks to LiveKit or to a process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from sessions.model import AgentProcess, Gone, SessionRecord, SessionStatus, Task, TaskState


class SessionRecords(Protocol):
    """The sessions that live."""

    async def add(self, record: SessionRecord, *, ttl_s: int, most: int | None = None) -> None:
        """Note a new session, and that it is the newest of its person.

        Args:
            record: the session.
            ttl_s: seconds after which its keys go unless they are renewed.
            most: how many live sessions its creator may have, this one included.

        Raises:
            SessionExistsError: one of that id lives.
            SessionEndedError: one of that id has ended.
            TooManySessionsError: the creator has ``most`` live sessions.
        """
        ...

    async def get(self, session_id: str) -> SessionRecord | None:
        """Return a session, or None where none of that id lives."""
        ...

    async def of_room(self, room: str) -> SessionRecord | None:
        """Return the live session of a room, or None."""
        ...

    async def update(self, session_id: str, **changes: Any) -> bool:
        """Change attributes of a session; a new status moves it between the status sets.

        Returns:
            Whether it lives and has not ended; else nothing was changed.
        """
        ...

    async def renew(self, session_id: str, ttl_s: int) -> None:
        """Let a session's keys live for ``ttl_s`` seconds from now."""
        ...

    async def newest_of(self, user_id: str) -> str | None:
        """Return the id of a person's newest session that lives, or None."""
        ...

    async def page(self, after: str | None, limit: int) -> list[SessionRecord]:
        """Return sessions in the order in which they began.

        Args:
            after: the id of the last session of the page before, or None.
            limit: how many at most.
        """
        ...

    async def count(self) -> dict[SessionStatus, int]:
        """Return how many sessions there are in each status."""
        ...

    async def has_ended(self, session_id: str) -> bool:
        """Return whether a session has ended: the fence that no agent may pass."""
        ...

    async def fence(self, session_id: str) -> None:
        """Say that a session has ended, also where none of that id was ever noted."""
        ...


class ClaimResult(str, Enum):
    """What became of the wish to clean up a session."""

    CLAIMED = "claimed"
    JOINED = "joined"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Claim:
    """An answer to the wish to clean up a session.

    Attributes:
        result: whether the asker does it, somebody else does, or there is no such session.
        record: the session as it was when its clean-up was first claimed.
        reason: why it was first claimed.
        resumed: whether somebody had begun before.
    """

    result: ClaimResult
    record: SessionRecord | None = None
    reason: str = ""
    resumed: bool = False


class CleanupLedger(Protocol):
    """Which clean-ups are under way, so that each is done once and none is forgotten."""

    async def claim(
        self,
        session_id: str,
        *,
        owner: str,
        reason: str,
        lease_s: float,
        orphan: SessionRecord | None = None,
    ) -> Claim:
        """Take a session's clean-up, unless another owner has it; and fence the session.

        Args:
            session_id: the session.
            owner: who asks.
            reason: why it ends.
            lease_s: seconds for which the claim holds unless it is renewed.
            orphan: what to clean up where no session of that id lives (a room or a
                process that nobody owns).
        """
        ...

    async def renew(self, session_id: str, *, owner: str, lease_s: float) -> bool:
        """Hold the claim for longer; False where it has gone to somebody else."""
        ...

    async def finish(self, session_id: str, *, owner: str, report: Mapping[str, Any]) -> int:
        """Remove all keys and memberships of the session, and leave its report for a minute.

        Returns:
            How many keys were removed. Nothing is done where the claim is somebody else's.
        """
        ...

    async def report(self, session_id: str) -> dict[str, Any] | None:
        """Return the report of a clean-up that ended within the last minute."""
        ...

    async def is_pending(self, session_id: str) -> bool:
        """Return whether a clean-up is claimed and has not ended."""
        ...

    async def owners(self) -> list[str]:
        """Return who has claimed the clean-ups under way, sorted."""
        ...

    async def let_go(self, owner: str) -> None:
        """Say that an owner is gone, so that its clean-ups under way count as abandoned."""
        ...

    async def abandoned(self) -> list[str]:
        """Return the sessions whose clean-up was claimed by somebody who is gone."""
        ...


class AgentReports(Protocol):
    """What a job says of itself, and what the session did."""

    async def started(
        self, session_id: str, process: AgentProcess, *, attempt: int, ttl_s: int
    ) -> bool:
        """Take a session for a process that runs its agent.

        Each attempt is taken by one process, and by another only when that one is gone.

        Args:
            session_id: the session.
            process: who asks.
            attempt: the number of the dispatch that it answers.
            ttl_s: seconds for which the pid's key lives unless it is renewed.

        Returns:
            False where the agent must not speak: the session is not there or has ended, a
            newer dispatch was made, or another process answers this one.
        """
        ...

    async def gone(
        self, session_id: str, how: Gone, *, process: AgentProcess | None = None
    ) -> bool:
        """Say that the process of a session's agent is gone; also where the session has ended.

        It stands in the session's record until its clean-up has finished, and in the claim of
        a clean-up under way. Another `started` takes it back.

        Args:
            session_id: the session.
            how: how it ended.
            process: which process it was; nothing is said where another one has the session.

        Returns:
            Whether it was noted; False where nobody asks for it any more.
        """
        ...

    async def how_gone(self, session_id: str) -> Gone | None:
        """Return how the process of a session's agent ended, or None where nobody said so."""
        ...

    async def beat(
        self, session_id: str, health: Mapping[str, str], *, lives_s: float, ttl_s: int
    ) -> bool:
        """Note that the agent lives, and renew the session's keys; False where it has ended.

        Args:
            session_id: the session.
            health: fields for the operator.
            lives_s: seconds after which the heartbeat is gone unless another follows.
            ttl_s: seconds for which the session's keys live from now on.
        """
        ...

    async def health(self, session_id: str) -> dict[str, str] | None:
        """Return the last heartbeat's fields, or None where there was none of late."""
        ...

    async def reporting(self) -> list[str]:
        """Return the ids of sessions of which a pid or a heartbeat is known, sorted."""
        ...

    async def log(self, session_id: str, lines: Sequence[str], *, ttl_s: int) -> None:
        """Keep log lines, only the last of them."""
        ...

    async def logs(self, session_id: str) -> list[str]:
        """Return the last log lines, oldest first."""
        ...

    async def put_task(self, task: Task, *, ttl_s: int) -> None:
        """Note a task, or its new state; nothing where its session does not live."""
        ...

    async def tasks(self, session_id: str, states: Collection[TaskState] = ()) -> list[Task]:
        """Return a session's tasks, oldest first; all states, or those given."""
        ...

    async def add_counts(self, session_id: str, *, ttl_s: int, **added: int) -> None:
        """Add to what is counted of a session; nothing where it does not live."""
        ...

    async def counts(self, session_id: str) -> dict[str, int]:
        """Return what is counted of a session."""
        ...


class Marks(Protocol):
    """What happens once, and what one process at a time does."""

    async def first_time(self, event: str, *, for_s: int) -> bool:
        """Note an event; False where it was noted within the last ``for_s`` seconds."""
        ...

    async def forget(self, event: str) -> None:
        """Unsay `first_time`, so that the event may be handled again."""
        ...

    async def lease(self, name: str, *, owner: str, for_s: float) -> bool:
        """Take or hold a lease; False while another owner has it."""
        ...

    async def holder(self, name: str) -> str | None:
        """Return who has a lease, or None."""
        ...

    async def release(self, name: str, *, owner: str) -> None:
        """Give a lease back, where this owner has it."""
        ...


class Tickets(Protocol):
    """What lets somebody into one session once; only hashes of them are kept."""

    async def put(self, session_id: str, ticket_hash: str, *, for_s: float) -> bool:
        """Keep a ticket's hash.

        Args:
            session_id: the session into which it lets.
            ticket_hash: of the ticket.
            for_s: seconds for which it is good.

        Returns:
            False where the session does not live, so that nothing was kept.
        """
        ...

    async def take(self, session_id: str, ticket_hash: str) -> bool:
        """Use a ticket up; of many who try at once, one does.

        Returns:
            Whether it was good for this session. One for another session stays good there.
        """
        ...


class Namespaces(Protocol):
    """The namespaces that may create sessions, each with its registered key hash."""

    async def put(self, namespace_id: str, key_hash: str) -> None:
        """Register a namespace, or give it another key hash."""
        ...

    async def key_hash(self, namespace_id: str) -> str | None:
        """Return a namespace's registered key hash, or None."""
        ...

    async def remove(self, namespace_id: str) -> bool:
        """Unregister a namespace; False where there is none."""
        ...

    async def all(self) -> list[str]:
        """Return the ids of all namespaces, sorted."""
        ...


class Conversations(Protocol):
    """What is under way in a conversation, and what is left of one that was lost."""

    async def set_speaking(self, session_id: str, on: bool, *, ttl_s: int) -> None:
        """Note whether a session's agent speaks; nothing where its record is not there."""
        ...

    async def is_speaking(self, session_id: str) -> bool:
        """Return whether a session's agent was last said to speak."""
        ...

    async def keep_history(self, user_id: str, history: str, *, ttl_s: int) -> None:
        """Keep what a person's next session may begin with, instead of what was kept.

        Args:
            user_id: the person's uuid.
            history: as the worker writes it. It holds what people said: it is in no log.
            ttl_s: seconds after which it is gone.
        """
        ...

    async def take_history(self, user_id: str) -> str | None:
        """Return what was kept and keep it no longer, so that one session alone has it."""
        ...


class SessionState(Protocol):
    """The parts of the state of sessions, over one connection."""

    records: SessionRecords
    cleanups: CleanupLedger
    agents: AgentReports
    marks: Marks
    tickets: Tickets
    namespaces: Namespaces
    conversations: Conversations

    @property
    def shared(self) -> bool:
        """Whether other processes see the same state."""
        ...

    async def ping(self) -> None:
        """Ask whether the state is within reach.

        Raises:
            StateUnreachableError: it is not.
        """
        ...

    async def aclose(self) -> None:
        """Give back what is held."""
        ...
