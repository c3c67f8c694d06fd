"""What a session did, in this process; jobs say nothing of themselves without Redis."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sessions.in_process.memory import Memory
from sessions.in_process.records import ProcessRecords
from sessions.model import AgentProcess, Gone, SessionRecord, Task, TaskState

MOST_LOG_LINES = 200


class ProcessAgents:
    """See `AgentReports`."""

    def __init__(self, memory: Memory, records: ProcessRecords) -> None:
        self._memory = memory
        self._records = records

    async def started(
        self, session_id: str, process: AgentProcess, *, attempt: int, ttl_s: int
    ) -> bool:
        """See `AgentReports.started`."""
        del ttl_s  # the record's own holds
        record = self._memory.records.get(session_id)
        if record is None or record.dispatches > attempt:
            return False
        is_free = bool(record.agent_gone) or _is_free_for(record, process)
        if record.agent_attempt >= attempt and not is_free:
            return False
        return await self._records.update(
            session_id,
            agent_pid=process.pid,
            agent_host=process.host,
            agent_started=process.started,
            agent_attempt=attempt,
            agent_gone="",
        )

    async def gone(
        self, session_id: str, how: Gone, *, process: AgentProcess | None = None
    ) -> bool:
        """See `AgentReports.gone`."""
        record = self._memory.records.get(session_id)
        claim = self._memory.cleanups.get(session_id)
        known = record or (claim.record if claim is not None else None)
        if known is None or (process is not None and not _is_free_for(known, process)):
            return False
        if record is not None:
            self._memory.records.replace(session_id, replace(record, agent_gone=how.value))
        if claim is not None:
            claim.record = replace(claim.record, agent_gone=how.value)
        return True

    async def how_gone(self, session_id: str) -> Gone | None:
        """See `AgentReports.how_gone`."""
        claim = self._memory.cleanups.get(session_id)
        record = self._memory.records.get(session_id) or (claim.record if claim else None)
        return Gone(record.agent_gone) if record is not None and record.agent_gone else None

    async def reporting(self) -> list[str]:
        """See `AgentReports.reporting`."""
        records = self._memory.records
        with_pid = [
            each for each in records.live() if (known := records.get(each)) and known.agent_pid
        ]
        return sorted({*with_pid, *self._memory.health.live()})

    async def beat(
        self, session_id: str, health: Mapping[str, str], *, lives_s: float, ttl_s: int
    ) -> bool:
        """See `AgentReports.beat`."""
        if not self._memory.lives(session_id):
            return False
        self._memory.health.put(session_id, dict(health), lives_s)
        await self._records.renew(session_id, ttl_s)
        return True

    async def health(self, session_id: str) -> dict[str, str] | None:
        """See `AgentReports.health`."""
        return self._memory.health.get(session_id)

    async def log(self, session_id: str, lines: Sequence[str], *, ttl_s: int) -> None:
        """See `AgentReports.log`."""
        del ttl_s
        if lines and self._memory.lives(session_id):
            kept = self._memory.logs.setdefault(session_id, [])
            kept.extend(lines)
            del kept[:-MOST_LOG_LINES]

    async def logs(self, session_id: str) -> list[str]:
        """See `AgentReports.logs`."""
        return list(self._memory.logs.get(session_id, []))

    async def put_task(self, task: Task, *, ttl_s: int) -> None:
        """See `AgentReports.put_task`."""
        del ttl_s
        if self._memory.lives(task.session_id):
            self._memory.tasks.setdefault(task.session_id, {})[task.id] = task

    async def tasks(self, session_id: str, states: Collection[TaskState] = ()) -> list[Task]:
        """See `AgentReports.tasks`."""
        kept = self._memory.tasks.get(session_id, {}).values()
        found = [task for task in kept if not states or task.state in states]
        return sorted(found, key=lambda task: (task.created_at, task.id))

    async def add_counts(self, session_id: str, *, ttl_s: int, **added: int) -> None:
        """See `AgentReports.add_counts`."""
        del ttl_s
        if self._memory.lives(session_id):
            counted = self._memory.counts.setdefault(session_id, {})
            for name, by in added.items():
                counted[name] = counted.get(name, 0) + by

    async def counts(self, session_id: str) -> dict[str, int]:
        """See `AgentReports.counts`."""
        return dict(self._memory.counts.get(session_id, {}))


def _is_free_for(record: SessionRecord, process: AgentProcess) -> bool:
    holder = AgentProcess(record.agent_pid, record.agent_host, record.agent_started)
    return not record.agent_pid or holder.is_same_as(process)
