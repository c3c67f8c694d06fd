"""The contract for what jobs say of themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from sessions.model import AgentProcess, Gone, Task, TaskState


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
