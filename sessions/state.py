"""The state of sessions as a whole: Redis, or this process where there is none."""

from __future__ import annotations

from typing import Protocol

from sessions.contract import (
    AgentReports,
    CleanupLedger,
    Conversations,
    Marks,
    Namespaces,
    SessionRecords,
    Tickets,
)


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
