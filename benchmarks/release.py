"""How soon everything stops when a connection event says that somebody is gone.

``python -m benchmarks.release [--times 100]``: one spoken session with real LiveKit and Redis,
and stand-ins for the providers on this machine. Each time the agent is in the middle of a
story when the event is published; the next event brings the person back. Times run from just
before the event is published. What the stand-ins see they see by the same clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from livekit import rtc

from benchmarks.report import percentile, print_table, write_json
from benchmarks.storytelling import REQUEST, Storytelling, storytelling
from connection_events import Reason, disconnected, reconnected
from connection_events.in_redis import RedisChannel
from devstack.participant import Participant, access_token
from devstack.servers.worker import Worker
from devstack.waiting import eventually
from sessions.naming import new_session_id

HANDLER = "the job's handler was told"
GENERATION = "generation cancelled (the model's stand-in)"
SPEECH = "speech stopped (the voice's stand-in)"
STREAMS = "streams closed (the recogniser's stand-in)"
SILENT_TRACK = "silence at the agent's track"
SILENCE = "silence at the client"
MEASURED = (HANDLER, GENERATION, SPEECH, STREAMS, SILENT_TRACK, SILENCE)

_CHANGED = "[Session] the person's connection has changed"
_LOUD = 200
_SETTLED_S = 1.0
_TIMED_AGENT = Path(__file__).with_name("timed_agent.py")


@dataclass(frozen=True)
class Bench:
    """What runs.

    Attributes:
        story: the servers, and the stand-ins of the providers.
        worker: serves the session.
        token: lets the person in.
        session_id: the session.
        sound: where `benchmarks.timed_agent` notes until when its track sounds.
    """

    story: Storytelling
    worker: Worker
    token: str
    session_id: str
    sound: Path


class Ear:
    """Notes when the agent was last audible at the client."""

    def __init__(self) -> None:
        self.heard_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def on_track(self, track: rtc.Track, *_: object) -> None:
        """Listen to a track of the agent."""
        if isinstance(track, rtc.RemoteAudioTrack):
            self._tasks.append(asyncio.create_task(self._listen(track)))

    async def aclose(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, track: rtc.RemoteAudioTrack) -> None:
        stream = rtc.AudioStream(track, sample_rate=48_000, num_channels=1, frame_size_ms=10)
        try:
            async for event in stream:
                if max(event.frame.data, default=0) > _LOUD:
                    self.heard_at = time.monotonic()
        finally:
            await stream.aclose()


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.release", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="how often it is measured")
    asked = parser.parse_args()
    with _running() as bench:
        times = asyncio.run(_measure(bench, asked.times))
    rows = [
        [name, len(taken), *(percentile(taken, share) for share in (0.5, 0.99))]
        for name, taken in times.items()
        if taken
    ]
    heading = f"From the event's publication, ms, {asked.times} times, with Redis"
    print_table(heading, ["", "measured", "p50", "p99"], rows)
    file = write_json("release", {"arguments": vars(asked), "ms": times})
    print(f"\nwritten to {file}")
    return 0


@contextmanager
def _running() -> Iterator[Bench]:
    with storytelling() as story:
        sound = story.folder / "sound"
        settings = {**story.settings, "SOUND_FILE": str(sound)}
        session_id = new_session_id()
        metadata = {"sessionId": session_id, "creator": "c" * 32, "attempt": 1}
        token = access_token(story.livekit, "bench@example.com", session_id, metadata=metadata)
        with Worker(story.livekit, settings, dev=False, entrypoint=_TIMED_AGENT) as worker:
            yield Bench(story, worker, token, session_id, sound)


async def _measure(bench: Bench, count: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in MEASURED}
    channel, ear = RedisChannel(bench.story.redis_url, "connection_events"), Ear()
    joining = Participant(bench.story.livekit, bench.token)
    joining.room.on("track_subscribed", ear.on_track)
    async with joining as person:
        await person.hear(60)
        for number in range(count + 1):
            await _story_begun(bench, person)
            wall, began = time.time(), time.monotonic()
            await channel.publish(disconnected(bench.session_id, Reason.TIMEOUT))
            await asyncio.sleep(_SETTLED_S)
            if number:  # the first warms up
                for name, at in _seen(bench, ear, wall, began).items():
                    times[name].append((at - began) * 1000)
            await channel.publish(reconnected(bench.session_id, Reason.TIMEOUT))
            await person.hear(30)  # the story, as far as it was told
            await person.hear(30)  # that they are back
    await ear.aclose()
    await channel.aclose()
    return times


async def _story_begun(bench: Bench, person: Participant) -> None:
    asked = len(bench.story.openai.chats)
    await person.type(REQUEST)
    await eventually(lambda: len(bench.story.openai.chats) > asked, 30)
    spoken = len(bench.story.openai.speeches)
    await eventually(
        lambda: (
            len(bench.story.openai.speeches) > spoken
            and bench.story.openai.speeches[-1].outcome == "in progress"
            and bench.story.openai.speeches[-1].chunks_sent > 0
        ),
        30,
    )
    await asyncio.sleep(0.3)


def _seen(bench: Bench, ear: Ear, wall: float, began: float) -> dict[str, float]:
    """Return when each thing was seen; what was not under way just then is left out."""
    silent_at = float(bench.sound.read_text(encoding="ascii").split()[-1])
    seen = {}
    told = [at for at in _told(bench.worker.log()) if at >= wall - 0.001]
    if told:
        seen[HANDLER] = began + max(0.0, told[0] - wall)
    ends = {
        GENERATION: bench.story.openai.chats[-1].left_at,
        SPEECH: max((each.left_at or 0.0 for each in bench.story.openai.speeches), default=0.0),
        STREAMS: bench.story.deepgram.connections[-1].closed_at,
        SILENT_TRACK: silent_at,
        SILENCE: ear.heard_at,
    }
    return {**seen, **{name: at for name, at in ends.items() if at is not None and at > began}}


def _told(log: str) -> Iterator[float]:
    for line in log.splitlines():
        if _CHANGED in line and line[:1] == "{":
            record = json.loads(line)
            if record.get("where") == "gone":
                yield datetime.fromisoformat(record["timestamp"]).timestamp()


if __name__ == "__main__":
    sys.exit(main())
