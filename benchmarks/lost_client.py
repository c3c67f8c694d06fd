"""How long a job works on for a client that was killed in mid-sentence.

``python -m benchmarks.lost_client [--times 5]``: over WebRTC and over /ws/voice in turns, with
real LiveKit and Redis, and stand-ins for the providers on this machine. Each client is a process
of its own that asks for a story and is ended by SIGKILL in the middle of it. Idle means that
every stream to a provider is closed, as the stand-ins see it; gone, that the job's process has
ended after the grace, which is RECONNECT_GRACE_S here.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from benchmarks.report import percentile, print_table, write_json
from benchmarks.storytelling import REQUEST, storytelling
from devstack.machine import PROJECT_ROOT
from devstack.servers.orchestrator import Orchestrator
from devstack.servers.worker import Worker
from devstack.waiting import eventually
from sessions.in_redis import RedisSessionState
from tests.standins import DeepgramStandIn, OpenAIStandIn
from tests.standins.exchange import Exchange

WEBRTC, WEBSOCKET = "WebRTC", "WebSocket"
IDLE, GONE, ASKED = "idle, s", "gone, s", "asked of providers after idle"

_GRACE_S = 5.0
_INTO_THE_STORY_S = 2.0


@dataclass(frozen=True)
class Bench:
    """What runs: the orchestrator, where its state is, and the providers' stand-ins."""

    orchestrator: Orchestrator
    redis_url: str
    openai: OpenAIStandIn
    deepgram: DeepgramStandIn

    @property
    def exchanges(self) -> Iterator[Exchange[Any]]:
        """What the model and the voice were asked."""
        yield from self.openai.chats
        yield from self.openai.speeches


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lost_client", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="clients killed of each kind")
    asked = parser.parse_args()
    with _running() as bench:
        taken = asyncio.run(_measure(bench, asked.times))
    rows = [
        [kind, name, len(values), percentile(values, 0.5), max(values)]
        for kind, figures in taken.items()
        for name, values in figures.items()
    ]
    heading = f"From the kill -9 of a client, with a grace of {_GRACE_S} s"
    print_table(heading, ["client", "until", "measured", "p50", "most"], rows)
    file = write_json("lost-client", {"arguments": vars(asked), "taken": taken})
    print(f"\nwritten to {file}")
    return 0


@contextmanager
def _running() -> Iterator[Bench]:
    with storytelling() as story, ExitStack() as running:
        same = {"LIVEKIT_AGENT_NAME": "bench", "RECONNECT_GRACE_S": str(_GRACE_S)}
        running.enter_context(Worker(story.livekit, {**story.settings, **same}, dev=False))
        settings = {
            **same,
            "REDIS_URL": story.redis_url,
            "ENV_FILE": "/dev/null",
            "ENCRYPTION_ENABLED": "false",
        }
        orchestrator = running.enter_context(Orchestrator(story.livekit, settings))
        yield Bench(orchestrator, story.redis_url, story.openai, story.deepgram)


async def _measure(bench: Bench, times: int) -> dict[str, dict[str, list[float]]]:
    taken: dict[str, dict[str, list[float]]] = {
        kind: {IDLE: [], GONE: [], ASKED: []} for kind in (WEBRTC, WEBSOCKET)
    }
    for number in range(times):
        for kind, figures in taken.items():
            for name, value in (await _killed(bench, kind, number)).items():
                figures[name].append(value)
    return taken


async def _killed(bench: Bench, kind: str, number: int) -> dict[str, float]:
    spoken, heard = len(bench.openai.speeches), len(bench.deepgram.connections)
    async with _client(bench, kind, number) as (session_id, client):
        # After the greeting comes the story.
        await eventually(
            lambda: any(each.chunks_sent for each in bench.openai.speeches[spoken + 1 :]), 60
        )
        await asyncio.sleep(_INTO_THE_STORY_S)
        job = await _job_of(bench, session_id)
        client.kill()
        killed_at = time.monotonic()
        await client.wait()
    ears = bench.deepgram.connections[heard:]
    await eventually(lambda: _has_ended(bench) and all(each.closed_at for each in ears), 60)
    ends = [*(each.ended_at for each in bench.exchanges), *(each.closed_at for each in ears)]
    idle_at = max(at for at in ends if at is not None)
    await eventually(lambda: not job.is_running(), 90)
    gone_at = time.monotonic()
    asked = sum(each.arrived_at > idle_at for each in bench.exchanges)
    asked += len(bench.deepgram.connections) - heard - len(ears)
    return {IDLE: idle_at - killed_at, GONE: gone_at - killed_at, ASKED: float(asked)}


def _has_ended(bench: Bench) -> bool:
    return all(each.outcome != "in progress" for each in bench.exchanges)


@asynccontextmanager
async def _client(
    bench: Bench, kind: str, number: int
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Start a session and its client: it waits for the greeting, then asks for the story."""
    async with httpx.AsyncClient(base_url=bench.orchestrator.url) as http:
        if kind == WEBRTC:
            body = {"userName": f"bench-{number}@example.com"}
            made = (await http.post("/api/session/start", json=body)).raise_for_status().json()
            session_id = str(made["sessionId"])
            given = [made["serverUrl"], made["token"], REQUEST]
            command = ["tests.e2e.vanishing_person", *given]
        else:
            body = {"namespace_id": "bench", "device_type": "bench", "client_version": "1"}
            made = (await http.post("/api/v1/sessions", json=body)).raise_for_status().json()
            url = str(made["websocket_url"])
            session_id = str(httpx.URL(url).params["session_id"])
            command = ["orchestrator.voice_client", "--url", url, "--text", REQUEST]
    client = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", *command], cwd=PROJECT_ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield session_id, client
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()


async def _job_of(bench: Bench, session_id: str) -> psutil.Process:
    state = RedisSessionState(bench.redis_url, fence_s=60)
    try:
        record = await state.records.get(session_id)
    finally:
        await state.aclose()
    assert record is not None
    return psutil.Process(record.agent_pid)


if __name__ == "__main__":
    sys.exit(main())
