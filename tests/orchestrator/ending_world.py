"""Sessions, their state and LiveKit's rooms, for tests of how sessions end.

`RememberedRooms` stands in for LiveKit only where a fault is injected or an order is made up.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from livekit import api

from config import Settings
from connection_events import ConnectionEvent, EventChannel
from connection_events.in_process import ProcessChannel
from orchestrator.ending.cleanup import Cleanups
from orchestrator.errors import UnavailableError
from orchestrator.rooms import Present, Rooms
from orchestrator.spawners.dispatch import DispatchSpawner
from orchestrator.webhooks.outgoing import SessionEvent, SessionWebhooks
from sessions import SessionRecord, SessionState
from sessions.naming import new_session_id, now_ms, room_metadata

KEY, SECRET = "devkey", "s" * 40
ALICE = "alice@example.com"
TTL_S = 60


def made_settings(**variables: str) -> Settings:
    """Settings with a LiveKit key, and these variables."""
    return Settings.from_environment(
        {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET, **variables}
    )


def a_session(**fields: Any) -> SessionRecord:
    """A session of Alice's that was dispatched once."""
    session_id = fields.pop("id", None) or new_session_id()
    now = now_ms()
    given = {
        "room": session_id,
        "identity": ALICE,
        "user_id": str(uuid.uuid4()),
        "creator": uuid.uuid4().hex,
        "start_time": now,
        "dispatched_at": now,
        "dispatches": 1,
        **fields,
    }
    return SessionRecord(id=session_id, **given)


def a_person(identity: str = ALICE) -> Present:
    return Present(identity, False, True, "", int(time.time()))


def an_agent(identity: str = "agent-1", state: str = "listening", joined_at: int = 0) -> Present:
    return Present(identity, True, True, state, joined_at or int(time.time()))


@dataclass
class RememberedRoom:
    metadata: str
    created_at: float = field(default_factory=time.time)
    people: dict[str, Present] = field(default_factory=dict)
    dispatches: list[int] = field(default_factory=list)
    made_with: list[api.AgentDispatch] = field(default_factory=list)


class RememberedRooms(Rooms):
    """Rooms of a LiveKit that only remembers; it can be out of reach."""

    def __init__(self) -> None:
        self.agent_name = ""
        self.rooms: dict[str, RememberedRoom] = {}
        self.away = False
        self.removed: list[str] = []

    def open(
        self, record: SessionRecord, *people: Present, mark: bool = True, age_s: float = 0
    ) -> None:
        """Let a session's room be there, with these people in it."""
        room = RememberedRoom(room_metadata(record) if mark else "", time.time() - age_s)
        room.people = {each.identity: each for each in people}
        self.rooms[record.room] = room

    def _reach(self) -> None:
        if self.away:
            raise UnavailableError("LiveKit is out of reach; try again")

    async def create(self, record: SessionRecord, *, with_agent: bool) -> str:
        self._reach()
        self.open(record)
        return "RM_1"

    async def dispatch(self, record: SessionRecord, *, attempt: int) -> str:
        self._reach()
        if record.room not in self.rooms:
            self.open(record, mark=False)
        self.rooms[record.room].dispatches.append(attempt)
        return f"AD_{attempt}"

    async def dispatches(self, room: str) -> list[api.AgentDispatch]:
        self._reach()
        return self.rooms[room].made_with

    async def delete_dispatches(self, room: str) -> int:
        self._reach()
        return 0

    async def delete(self, room: str) -> bool:
        self._reach()
        return self.rooms.pop(room, None) is not None

    async def remove(self, room: str, identity: str) -> bool:
        self._reach()
        self.removed.append(identity)
        found = self.rooms.get(room)
        return found is not None and found.people.pop(identity, None) is not None

    async def present(self, room: str) -> list[Present]:
        self._reach()
        found = self.rooms.get(room)
        return list(found.people.values()) if found else []

    async def find(self, room: str) -> api.Room | None:
        return next((each for each in await self.all() if each.name == room), None)

    async def all(self) -> list[api.Room]:
        self._reach()
        return [
            api.Room(name=name, metadata=room.metadata, creation_time=int(room.created_at))
            for name, room in self.rooms.items()
        ]


class RememberedTasks(DispatchSpawner):
    """Brings agents by tasks, as Celery does, and not by LiveKit's dispatch."""

    dispatches = False

    def __init__(self) -> None:
        self.sent: list[tuple[SessionRecord, int]] = []

    async def spawn(self, record: SessionRecord, *, attempt: int) -> str:
        self.sent.append((record, attempt))
        return f"{record.id}.{attempt}"


class SaidWebhooks(SessionWebhooks):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__(made_settings())
        self.said: list[tuple[SessionEvent, str]] = []

    def say(self, event: SessionEvent, record: SessionRecord, **more: Any) -> None:
        json.dumps(more)
        self.said.append((event, record.id))


@dataclass
class World:
    """What an orchestrator has to do with."""

    state: SessionState
    events: EventChannel = field(default_factory=ProcessChannel)
    rooms: RememberedRooms = field(default_factory=RememberedRooms)
    webhooks: SaidWebhooks = field(default_factory=SaidWebhooks)
    heard: list[ConnectionEvent] = field(default_factory=list)

    async def started(self, *people: Present, room: bool = True, **fields: Any) -> SessionRecord:
        """A session that is noted, with these people in its room."""
        record = a_session(**fields)
        await self.state.records.add(record, ttl_s=TTL_S)
        if room:
            self.rooms.open(record, *people)
        return record

    def cleanups(self, settings: Settings | None = None, **options: Any) -> Cleanups:
        """Another orchestrator's clean-ups; leases and sweeps are short."""
        given = {
            "state": self.state,
            "events": self.events,
            "rooms": self.rooms,
            "spawner": DispatchSpawner(self.rooms),
            "webhooks": self.webhooks,
            **options,
        }
        return Cleanups(
            **{
                "settings": settings or made_settings(TERM_GRACE_S="0.2"),
                "lease_s": 0.4,
                "sweep_every_s": 0.05,
                **given,
            }
        )

    @asynccontextmanager
    async def cleaning(
        self, settings: Settings | None = None, **options: Any
    ) -> AsyncIterator[Cleanups]:
        """The same, while it runs."""
        cleanups = self.cleanups(settings, **options)
        async with cleanups.running():
            yield cleanups

    async def hear(self, event: ConnectionEvent) -> None:
        self.heard.append(event)

    async def is_gone(self, record: SessionRecord) -> bool:
        """Whether nothing is left of a session but its fence."""
        return (
            await self.state.records.get(record.id) is None
            and await self.state.records.has_ended(record.id)
            and not await self.state.cleanups.is_pending(record.id)
            and record.room not in self.rooms.rooms
        )


@asynccontextmanager
async def world_of(state: SessionState) -> AsyncIterator[World]:
    """A world over this state."""
    async with AsyncExitStack() as running:
        running.push_async_callback(state.aclose)
        world = World(state)
        await running.enter_async_context(world.events.listening(world.hear))
        yield world


async def until(condition: Callable[[], Any], timeout_s: float = 5.0) -> None:
    """Wait until an awaited condition holds."""
    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, "still not so"
        await asyncio.sleep(0.01)
