"""What a session leaves: its agent's processes, its room, its Redis keys. Watched until gone."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
from livekit import api
from redis import Redis

from devstack.development import Development
from devstack.participant import Participant

TIMES: list[tuple[str, dict[str, float]]] = []
"""Seconds after each fault until nothing was left; printed at the end of the run."""

_POLL_S = 0.02


@dataclass
class Session:
    """A session that was started, with the processes that were seen to run its agent."""

    id: str
    token: str
    processes: set[psutil.Process] = field(default_factory=set)


class Sessions:
    """Starts and ends sessions of one running stack, and looks for what they leave."""

    def __init__(self, stack: Development) -> None:
        self.stack = stack
        self.redis: Redis = Redis.from_url(stack.stack.redis.info.url, decode_responses=True)
        self.http = httpx.AsyncClient(base_url=stack.orchestrator.url, timeout=30.0)
        livekit = stack.livekit
        self.livekit = api.LiveKitAPI(livekit.http_url, livekit.api_key, livekit.api_secret)

    async def aclose(self) -> None:
        self.redis.close()
        await self.http.aclose()
        await self.livekit.aclose()

    async def start(self, name: str) -> Session:
        answer = await self.http.post("/api/session/start", json={"userName": name})
        started = answer.raise_for_status().json()
        return Session(started["sessionId"], started["token"])

    async def end(self, session: Session) -> dict[str, Any]:
        answer = await self.http.post("/api/session/end", json={"sessionId": session.id})
        details: dict[str, Any] = answer.raise_for_status().json()["details"]
        return details

    def person(self, session: Session) -> Participant:
        return Participant(self.stack.livekit, session.token)

    async def agent_process(self, session: Session, *, but: int = 0) -> psutil.Process:
        """The process that says of itself that it runs the agent; not the one with pid ``but``."""
        deadline = time.monotonic() + 30
        while (pid := int(str(self.redis.get(f"agent:{session.id}:pid") or 0))) in (0, but):
            assert time.monotonic() < deadline, "no process has said that it runs the agent"
            await asyncio.sleep(_POLL_S)
        process = psutil.Process(pid)
        session.processes.add(process)
        return process

    async def rooms(self) -> set[str]:
        listed = await self.livekit.room.list_rooms(api.ListRoomsRequest())
        return {room.name for room in listed.rooms}

    def keys(self, session: Session) -> list[str]:
        return list(self.redis.scan_iter(match=f"*{session.id}*", count=1000))

    async def left(self, session: Session) -> dict[str, Any]:
        """What there is of a session now."""
        return {
            "process": [each.pid for each in session.processes if _lives(each)],
            "room": sorted({session.id} & await self.rooms()),
            "keys": self.keys(session),
        }

    async def gone(self, *sessions: Session, since: float, within_s: float) -> dict[str, float]:
        """Wait until nothing is left, and return when each kind of trace was gone.

        Args:
            sessions: the sessions.
            since: when the fault was, on time.monotonic()'s clock.
            within_s: seconds after it at which nothing may be left.
        """
        times: dict[str, float] = {}
        while True:
            left = [await self.left(session) for session in sessions]
            now = time.monotonic() - since
            for kind in ("process", "room", "keys"):
                if any(each[kind] for each in left):
                    times.pop(kind, None)
                else:
                    times.setdefault(kind, now)
            if len(times) == 3:
                return times
            assert now < within_s, f"still there {now:.1f} s later: {left}"
            await asyncio.sleep(_POLL_S)


def note(case: str, times: dict[str, float]) -> None:
    """Keep the times of a case for the table at the end of the run."""
    TIMES.append((case, times))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
