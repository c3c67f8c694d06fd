"""What jobs say of themselves, in Redis."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sessions import keys
from sessions.in_redis import scripts
from sessions.in_redis.connection import Connection
from sessions.in_redis.records import RedisRecords
from sessions.model import AgentProcess, Gone, Task, TaskState

MOST_LOG_LINES = 200
MOST_TASKS_SHOWN = 500
_SCANNED_AT_ONCE = 500


class RedisAgents:
    """See `AgentReports`.

    Args:
        connection: to Redis.
        records: the sessions, whose keys a heartbeat renews.
    """

    def __init__(self, connection: Connection, records: RedisRecords) -> None:
        self._connection = connection
        self._records = records

    async def started(
        self, session_id: str, process: AgentProcess, *, attempt: int, ttl_s: int
    ) -> bool:
        """See `AgentReports.started`."""
        script_keys = [keys.session(session_id), keys.agent_pid(session_id), keys.ENDED]
        who = [process.pid, process.host, str(process.started)]
        arguments = [session_id, ttl_s, *who, attempt]
        return bool(await self._connection.run(scripts.STARTED, script_keys, arguments))

    async def gone(
        self, session_id: str, how: Gone, *, process: AgentProcess | None = None
    ) -> bool:
        """See `AgentReports.gone`."""
        script_keys = [keys.session(session_id), keys.agent_pid(session_id), keys.CLEANUPS]
        who: list[Any] = ["", "", ""]
        if process is not None:
            who = [process.pid, process.host, str(process.started)]
        arguments = [session_id, how.value, *who]
        return bool(await self._connection.run(scripts.GONE, script_keys, arguments))

    async def how_gone(self, session_id: str) -> Gone | None:
        """See `AgentReports.how_gone`."""
        async with self._connection.commands() as redis:
            how = await redis.hget(keys.session(session_id), "agentGone")
            claim = None if how else await redis.hget(keys.CLEANUPS, session_id)
        if claim:
            how = json.loads(claim)["record"].get("agentGone")
        return Gone(how) if how else None

    async def beat(
        self, session_id: str, health: Mapping[str, str], *, lives_s: float, ttl_s: int
    ) -> bool:
        """See `AgentReports.beat`."""
        pairs = [part for pair in health.items() for part in pair]
        key = keys.agent_health(session_id)
        lives = await self._keep(session_id, key, int(lives_s * 1000), "BEAT", *pairs)
        if lives:
            await self._records.renew(session_id, ttl_s)
        return lives

    async def health(self, session_id: str) -> dict[str, str] | None:
        """See `AgentReports.health`."""
        async with self._connection.commands() as redis:
            found: dict[str, str] = await redis.hgetall(keys.agent_health(session_id))
        return found or None

    async def reporting(self) -> list[str]:
        """See `AgentReports.reporting`."""
        found: set[str] = set()
        async with self._connection.commands() as redis:
            for pattern in (keys.agent_pid("*"), keys.agent_health("*")):
                before, after = pattern.split("*")
                async for key in redis.scan_iter(match=pattern, count=_SCANNED_AT_ONCE):
                    found.add(key[len(before) : -len(after)])
        return sorted(found)

    async def log(self, session_id: str, lines: Sequence[str], *, ttl_s: int) -> None:
        """See `AgentReports.log`."""
        if lines:
            key = keys.agent_logs(session_id)
            await self._keep(
                session_id, key, ttl_s * 1000, "LOG", MOST_LOG_LINES, *lines[-MOST_LOG_LINES:]
            )

    async def logs(self, session_id: str) -> list[str]:
        """See `AgentReports.logs`."""
        async with self._connection.commands() as redis:
            found: list[str] = await redis.lrange(keys.agent_logs(session_id), 0, -1)
        return found

    async def put_task(self, task: Task, *, ttl_s: int) -> None:
        """See `AgentReports.put_task`."""
        key = keys.tasks(task.session_id)
        await self._keep(task.session_id, key, ttl_s * 1000, "TASK", task.id, task.as_json())

    async def tasks(self, session_id: str, states: Collection[TaskState] = ()) -> list[Task]:
        """See `AgentReports.tasks`."""
        async with self._connection.commands() as redis:
            stored = await redis.hvals(keys.tasks(session_id))
        found = [Task.from_json(text) for text in stored]
        found = [task for task in found if not states or task.state in states]
        return sorted(found, key=lambda task: (task.created_at, task.id))[-MOST_TASKS_SHOWN:]

    async def add_counts(self, session_id: str, *, ttl_s: int, **added: int) -> None:
        """See `AgentReports.add_counts`."""
        pairs = [part for name, by in added.items() for part in (name, by)]
        await self._keep(session_id, keys.counts(session_id), ttl_s * 1000, "COUNT", *pairs)

    async def counts(self, session_id: str) -> dict[str, int]:
        """See `AgentReports.counts`."""
        async with self._connection.commands() as redis:
            stored = await redis.hgetall(keys.counts(session_id))
        return {name: int(count) for name, count in stored.items()}

    async def _keep(self, session_id: str, key: str, ttl_ms: int, *arguments: Any) -> bool:
        script_keys = [keys.session(session_id), keys.ENDED, key]
        given = [session_id, ttl_ms, *arguments]
        return bool(await self._connection.run(scripts.KEEP_IF_LIVES, script_keys, given))
