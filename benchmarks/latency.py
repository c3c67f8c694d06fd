"""What memory costs somebody who joins, and somebody who types a turn.

Two workers on one LiveKit server, alike but for MEMORY_ENABLED, measured in turns:
``python -m benchmarks.latency [--joins 20] [--turns 200] [--memories 0] [--store supabase]``.
Times run from joining, or sending, to the first piece of the agent's text, as a participant
over WebRTC sees it. The participants publish a track: silent ones are noticed up to 3 s late.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import percentile, print_table, write_json
from config import Settings
from devstack.participant import Participant, access_token
from devstack.servers.livekit import LiveKitInfo
from devstack.servers.worker import Worker
from devstack.stack import Service, Stack
from devstack.waiting import eventually
from memory import Category, NewMemory, open_memory_store
from migrations.apply import apply
from session_context import livekit_identity_to_uuid
from storage import open_storage

IDENTITY = "bench@example.com"
WITH, WITHOUT = "with memory", "without memory"

_IDLE_PROCESSES = 2
_WARM = "process initialized"
_HOBBIES = ("hiking", "chess", "sailing", "baking", "astronomy", "gardening")


@dataclass(frozen=True)
class Side:
    """One of the two workers.

    Attributes:
        name: what it is called in the table.
        worker: the worker.
        livekit: the server on which it answers to its agent name.
    """

    name: str
    worker: Worker
    livekit: LiveKitInfo

    @property
    def agent_name(self) -> str:
        """The name by which its agent is dispatched."""
        return self.name.replace(" ", "-")

    def join(self, room: str) -> Participant:
        """Somebody about to enter a new room, to which this worker's agent is dispatched."""
        token = access_token(self.livekit, IDENTITY, room, metadata={}, agent_name=self.agent_name)
        return Participant(self.livekit, token)


def main() -> int:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--joins", type=int, default=20, help="joins of each worker")
    parser.add_argument("--turns", type=int, default=200, help="typed turns of each worker")
    parser.add_argument("--memories", type=int, default=0, help="memories that are there before")
    parser.add_argument("--store", choices=["sqlite", "supabase"], default="sqlite")
    asked = parser.parse_args()
    with _two_workers(asked.store, asked.memories) as sides:
        joins = asyncio.run(_measure_joins(sides, asked.joins))
        turns = asyncio.run(_measure_turns(sides, asked.turns))
    title = f"{asked.store}, {asked.memories} memories"
    _print(f"Joining to the greeting's first text, ms, {asked.joins} joins each ({title})", joins)
    _print(f"A typed turn to the answer's first text, ms, {asked.turns} pairs ({title})", turns)
    file = write_json(
        f"latency-{asked.store}-{asked.memories}",
        {"arguments": vars(asked), "joins_ms": joins, "turns_ms": turns},
    )
    print(f"\nwritten to {file}")
    return 0


@contextmanager
def _two_workers(store: str, memories: int) -> Iterator[tuple[Side, Side]]:
    services = {Service.LIVEKIT} | ({Service.SUPABASE} if store == "supabase" else set())
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        stack = running.enter_context(Stack(services))
        settings = {"DATA_DIR": str(Path(folder) / "data"), "ENV_FILE": "/dev/null"}
        if store == "supabase":
            apply(stack.postgres.info.url)
            stack.supabase.reload_schema()
            wanted = ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY")
            settings |= {name: stack.environment()[name] for name in wanted}
        _fill(settings, memories)
        settings |= {"ALLOW_SCRIPTED_MODEL": "true", "IDLE_PROCESSES": str(_IDLE_PROCESSES)}
        sides = []
        for name, enabled in ((WITH, "true"), (WITHOUT, "false")):
            own = {"MEMORY_ENABLED": enabled, "LIVEKIT_AGENT_NAME": name.replace(" ", "-")}
            worker = Worker(stack.livekit.info, {**settings, **own}, dev=False)
            sides.append(Side(name, running.enter_context(worker), stack.livekit.info))
        yield sides[0], sides[1]


def _fill(settings: dict[str, str], count: int) -> None:
    storage = open_storage(Settings.from_environment(settings).store)
    store, user = open_memory_store(storage), livekit_identity_to_uuid(IDENTITY)
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        store.store(user, [NewMemory(Category.FACT, f"fact_{n}", _fact(n)) for n in numbers])
    storage.close()


def _fact(number: int) -> str:
    return f"On day {number} I went {random.choice(_HOBBIES)} with friend {number % 97}"


async def _measure_joins(sides: tuple[Side, Side], count: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(count + 1):
        for side in random.sample(sides, 2):
            await _until_idle(side.worker, number)
            async with side.join(f"join-{side.agent_name}-{number}") as person:
                said = await person.hear()
            if number:  # the first join warms each worker up
                times[side.name].append((said.first_text_at - person.joined_at) * 1000)
    return times


async def _measure_turns(sides: tuple[Side, Side], count: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    async with AsyncExitStack() as rooms:
        people = {s.name: await _greeted(rooms, s) for s in sides}
        for number in range(count + 5):
            for side in random.sample(sides, 2):
                person = people[side.name]
                hobby = random.choice(_HOBBIES)
                sent_at = time.monotonic()
                await person.type(f"I went {hobby} with friend {number} again")
                said = await person.hear()
                if number >= 5:
                    times[side.name].append((said.first_text_at - sent_at) * 1000)
    return times


async def _greeted(rooms: AsyncExitStack, side: Side) -> Participant:
    person = await rooms.enter_async_context(side.join(f"turns-{side.agent_name}"))
    await person.hear()
    return person


async def _until_idle(worker: Worker, jobs: int) -> None:
    # A join that finds no warm process would measure the start of one.
    await eventually(lambda: worker.log().count(_WARM) >= jobs + _IDLE_PROCESSES, 60)


def _print(heading: str, times: dict[str, list[float]]) -> None:
    rows: list[list[object]] = [
        [name, *(percentile(values, share) for share in (0.5, 0.9, 0.99)), min(values)]
        for name, values in times.items()
    ]
    figures = list(zip(*(row[1:] for row in rows), strict=True))
    rows.append(["difference", *(a - b for a, b in figures)])
    rows.append(["ratio", *(a / b for a, b in figures)])
    print_table(heading, ["", "p50", "p90", "p99", "min"], rows)


if __name__ == "__main__":
    sys.exit(main())
