"""Sees to it that a person who is in the room has an agent, and that no session lasts for ever.

With Redis a job that serves a session sends heartbeats, and its death is seen by their absence
or by what the reaper reports. Without, LiveKit's list of participants is all there is, which
shows a killed agent for twenty seconds more.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from config import Settings
from connection_events import Reason
from orchestrator.ending.expiry import all_sessions, awaits_client_in_vain, is_over
from orchestrator.ending.metrics import WATCH_FAILURES, observe_sessions
from orchestrator.ending.owners import new_owner
from orchestrator.ending.report import Endings
from orchestrator.ending.rounds import rounds
from orchestrator.ending.sending_again import SendingAgain
from orchestrator.errors import OrchestratorError
from orchestrator.rooms import Present, Rooms
from orchestrator.spawners.spawner import Spawner
from orchestrator.webhooks.outgoing import SessionEvent, SessionWebhooks
from sessions import Gone, SessionRecord, SessionsError, SessionState, SessionStatus
from sessions.naming import now_ms

logger = logging.getLogger("orchestrator.watchdog")

_LEASE_S = 5.0
_AT_ONCE = 8
_STEADY_S = 30.0
"""An agent that lived for so long is no more held to have come in vain."""

_PATIENCE_WITH_A_BEATING_JOB = 3.0
_BACKOFF = 1.5


@dataclass
class _Seen:
    """What the rounds before have seen of a session.

    Attributes:
        settled: the number of the last dispatch whose agent proved steady, or of the first.
        ready_since: since when it has an agent, on time.monotonic()'s clock.
        missed_since: since when that agent shows no sign of life.
        announced: whether session.ready was sent.
    """

    settled: int
    ready_since: float | None = None
    missed_since: float | None = None
    announced: bool = False


class Watchdog:
    """Sends another agent where none comes or one died, and ends sessions that are over.

    Args:
        state: the state of sessions.
        rooms: LiveKit's rooms.
        spawner: brings agents.
        endings: ends sessions.
        webhooks: tells the product's back end.
        settings: READY_WITHIN_S, DISPATCH_RETRIES, CONNECT_WITHIN_S, HEARTBEAT_S.
        every_s: seconds between two rounds.
    """

    def __init__(
        self,
        *,
        state: SessionState,
        rooms: Rooms,
        spawner: Spawner,
        endings: Endings,
        webhooks: SessionWebhooks,
        settings: Settings,
        every_s: float = 1.0,
    ) -> None:
        self._state = state
        self._rooms = rooms
        self._endings = endings
        self._webhooks = webhooks
        self._settings = settings
        self._every_s = every_s
        self._again = SendingAgain(state=state, rooms=rooms, spawner=spawner, webhooks=webhooks)
        self._seen: dict[str, _Seen] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch from here to the end of the ``async with``, while no other process does."""
        async with rounds(
            "watchdog",
            self.look,
            state=self._state,
            owner=new_owner(),
            every_s=self._every_s,
            lease_s=_LEASE_S,
        ):
            yield

    async def look(self) -> None:
        """Look after every session once, whoever holds the lease.

        Raises:
            StateUnreachableError: the state of sessions is out of reach.
        """
        await observe_sessions(self._state)
        sessions = await all_sessions(self._state)
        ids = {record.id for record in sessions}
        self._seen = {each: seen for each, seen in self._seen.items() if each in ids}
        await asyncio.gather(*(self._without_fail(record) for record in sessions))

    async def _without_fail(self, record: SessionRecord) -> None:
        async with self._at_once:
            try:
                await self._attend(record)
            except (OrchestratorError, SessionsError) as error:
                WATCH_FAILURES.labels("watchdog", type(error).__name__).inc()
                logger.warning(
                    "[Session] cannot be looked after",
                    extra={"session_id": record.id, "error": str(error)},
                )

    async def _attend(self, record: SessionRecord) -> None:
        now = now_ms()
        if is_over(record, self._settings, now):
            await self._endings.begin(record.id, Reason.TIMEOUT, asked_by="expiry")
        elif awaits_client_in_vain(record, self._settings, now):
            await self._end_unless_there(record)
        elif record.status is SessionStatus.STARTING:
            await self._expect_agent(record)
        elif record.status is SessionStatus.READY:
            await self._check_agent(record)

    async def _end_unless_there(self, record: SessionRecord) -> None:
        if _has_person(record, await self._rooms.present(record.room)):
            await self._state.records.update(record.id, connected_at=now_ms())
        else:
            await self._endings.begin(record.id, Reason.TIMEOUT, asked_by="expiry")

    async def _expect_agent(self, record: SessionRecord) -> None:
        seen = self._seen.setdefault(record.id, _Seen(settled=1))
        seen.ready_since = None
        present = await self._rooms.present(record.room)
        if _has_ready_agent(record, present):
            if await self._state.records.update(record.id, status=SessionStatus.READY):
                await self._announce(record, seen)
            return
        if not _has_person(record, present):
            return
        if not record.connected_at:
            record = replace(record, connected_at=now_ms())
            await self._state.records.update(record.id, connected_at=record.connected_at)
        tried = max(0, record.dispatches - seen.settled)
        patience_ms = self._settings.orchestrator.ready_within_s * 1000 * _BACKOFF**tried
        if await self._is_on_its_way(record):
            patience_ms *= _PATIENCE_WITH_A_BEATING_JOB
        if now_ms() >= max(record.connected_at, record.dispatched_at) + patience_ms:
            await self._send_another(record, seen, present, "not ready")

    async def _is_on_its_way(self, record: SessionRecord) -> bool:
        """Whether a job has answered the newest dispatch and lives: on a busy host it is slow."""
        if not record.agent_pid or record.agent_gone or record.agent_attempt < record.dispatches:
            return False
        return await self._state.agents.health(record.id) is not None

    async def _check_agent(self, record: SessionRecord) -> None:
        seen = self._seen.setdefault(record.id, _Seen(settled=max(1, record.dispatches)))
        await self._announce(record, seen)
        present: list[Present] | None = None
        if not record.agent_pid:
            present = await self._rooms.present(record.room)
        if await self._is_alive(record, present):
            await self._note_alive(record, seen)
            return
        seen.missed_since = seen.missed_since or time.monotonic()
        if not record.agent_gone and time.monotonic() - seen.missed_since < self._doubt_s:
            return
        if present is None:
            present = await self._rooms.present(record.room)
        if _has_person(record, present):
            seen.missed_since = None
            await self._send_another(record, seen, present, "died")
        elif await self._has_left_with_its_room(record):
            await self._endings.begin(record.id, Reason.CLIENT_DISCONNECT, asked_by="watchdog")
        elif time.monotonic() - seen.missed_since >= self._settings.worker.reconnect_grace_s:
            # Nobody is left to send a webhook about: LiveKit may have been started anew.
            await self._endings.begin(record.id, Reason.TIMEOUT, asked_by="watchdog")

    async def _has_left_with_its_room(self, record: SessionRecord) -> bool:
        """Whether the agent had waited for its person, and left in order when nobody came."""
        if record.agent_gone != Gone.EXITED.value:
            return False
        return await self._rooms.find(record.room) is None

    @property
    def _doubt_s(self) -> float:
        return self._settings.sessions.heartbeat_s

    async def _is_alive(self, record: SessionRecord, present: list[Present] | None) -> bool:
        if present is not None:  # its job reports nothing
            return any(each.is_agent for each in present)
        return not record.agent_gone and await self._state.agents.health(record.id) is not None

    async def _note_alive(self, record: SessionRecord, seen: _Seen) -> None:
        if not record.agent_pid:  # no heartbeat renews its keys
            await self._state.records.renew(record.id, self._settings.sessions.key_ttl_s)
        seen.missed_since = None
        seen.ready_since = seen.ready_since or time.monotonic()
        if time.monotonic() - seen.ready_since >= _STEADY_S:
            seen.settled = max(1, record.dispatches)

    async def _send_another(
        self, record: SessionRecord, seen: _Seen, present: list[Present], why: str
    ) -> None:
        agents = [each.identity for each in present if each.is_agent]
        if record.dispatches - seen.settled < self._settings.orchestrator.dispatch_retries:
            await self._again.send(record, agents, why=why)
        else:
            await self._again.give_up(record, agents)

    async def _announce(self, record: SessionRecord, seen: _Seen) -> None:
        if seen.announced:
            return
        # Not by its id: no key with that may outlive the session.
        digest = hashlib.sha256(record.id.encode()).hexdigest()
        ttl_s = self._settings.sessions.key_ttl_s
        if await self._state.marks.first_time(f"ready {digest}", for_s=ttl_s):
            self._webhooks.say(SessionEvent.READY, record)
        seen.announced = True


def _has_person(record: SessionRecord, present: list[Present]) -> bool:
    return any(each.identity == record.identity and each.is_active for each in present)


def _has_ready_agent(record: SessionRecord, present: list[Present]) -> bool:
    """Return whether an agent can speak, and is not only what an older one left behind."""
    if record.agent_attempt and record.agent_attempt < record.dispatches:
        return False
    return any(each.is_ready_agent for each in present)
