"""The parts of the state of sessions over one memory."""

from __future__ import annotations

from sessions.contract import (
    AgentReports,
    CleanupLedger,
    Conversations,
    Marks,
    Namespaces,
    SessionRecords,
    Tickets,
)
from sessions.in_process.agents import ProcessAgents
from sessions.in_process.cleanups import ProcessCleanups
from sessions.in_process.conversations import ProcessConversations
from sessions.in_process.memory import Memory
from sessions.in_process.records import ProcessRecords


class ProcessMarks:
    """See `Marks`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def first_time(self, event: str, *, for_s: int) -> bool:
        """See `Marks.first_time`."""
        key = f"once {event}"
        if self._memory.marks.get(key) is not None:
            return False
        self._memory.marks.put(key, "", for_s)
        return True

    async def forget(self, event: str) -> None:
        """See `Marks.forget`."""
        self._memory.marks.pop(f"once {event}")

    async def lease(self, name: str, *, owner: str, for_s: float) -> bool:
        """See `Marks.lease`."""
        key = f"lease {name}"
        if self._memory.marks.get(key) not in (None, owner):
            return False
        self._memory.marks.put(key, owner, for_s)
        return True

    async def holder(self, name: str) -> str | None:
        """See `Marks.holder`."""
        return self._memory.marks.get(f"lease {name}")

    async def release(self, name: str, *, owner: str) -> None:
        """See `Marks.release`."""
        key = f"lease {name}"
        if self._memory.marks.get(key) == owner:
            self._memory.marks.pop(key)


class ProcessTickets:
    """See `Tickets`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def put(self, session_id: str, ticket_hash: str, *, for_s: float) -> bool:
        """See `Tickets.put`."""
        if not self._memory.lives(session_id):
            return False
        self._memory.tickets.put(ticket_hash, session_id, for_s)
        return True

    async def take(self, session_id: str, ticket_hash: str) -> bool:
        """See `Tickets.take`."""
        if self._memory.tickets.get(ticket_hash) != session_id:
            return False
        self._memory.tickets.pop(ticket_hash)
        return self._memory.lives(session_id)


class ProcessNamespaces:
    """See `Namespaces`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def put(self, namespace_id: str, key_hash: str) -> None:
        """See `Namespaces.put`."""
        self._memory.namespaces[namespace_id] = key_hash

    async def key_hash(self, namespace_id: str) -> str | None:
        """See `Namespaces.key_hash`."""
        return self._memory.namespaces.get(namespace_id)

    async def remove(self, namespace_id: str) -> bool:
        """See `Namespaces.remove`."""
        return self._memory.namespaces.pop(namespace_id, None) is not None

    async def all(self) -> list[str]:
        """See `Namespaces.all`."""
        return sorted(self._memory.namespaces)


class ProcessSessionState:
    """See `SessionState`.

    Args:
        fence_s: seconds for which a session that ended stays known as such.
    """

    def __init__(self, *, fence_s: float) -> None:
        memory = Memory(fence_s)
        records = ProcessRecords(memory)
        self.records: SessionRecords = records
        self.cleanups: CleanupLedger = ProcessCleanups(memory)
        self.agents: AgentReports = ProcessAgents(memory, records)
        self.marks: Marks = ProcessMarks(memory)
        self.tickets: Tickets = ProcessTickets(memory)
        self.namespaces: Namespaces = ProcessNamespaces(memory)
        self.conversations: Conversations = ProcessConversations(memory)

    @property
    def shared(self) -> bool:
        """See `SessionState.shared`."""
        return False

    async def ping(self) -> None:
        """See `SessionState.ping`."""

    async def aclose(self) -> None:
        """See `SessionState.aclose`."""
