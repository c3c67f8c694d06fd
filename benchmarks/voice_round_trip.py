"""How long an answer takes over /ws/voice, beside the same conversation over WebRTC.

``python -m benchmarks.voice_round_trip [--turns 20]``. Two people ask the same spoken question in
turns, one through the orchestrator's WebSocket, one over WebRTC, of the same worker, whose
providers are the tests' stand-ins. Times run from the last sound of the question to the first
sound of the answer, as either client hears it; the wait of the voice activity detection for the
end of the question is in both.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.report import percentile, print_table, write_json
from devstack.participant import Participant
from orchestrator.voice_client import ConversationOverError
from orchestrator.voice_client.turns import Turns, silent_tail
from orchestrator.voice_client.wav import read_wav
from tests.orchestrator.voice_world import VoiceWorld, talking, voice_world
from tests.standins.recordings import WHAT_IS_MY_FAVORITE_COLOR

WEBSOCKET, WEBRTC = "WebSocket", "WebRTC"

_RATE = 16_000
_TIMEOUT_S = 10.0


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.voice_round_trip", description=__doc__
    )
    parser.add_argument("--turns", type=int, default=20, help="spoken turns of each")
    asked = parser.parse_args()
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        world = running.enter_context(voice_world(Path(folder)))
        times = asyncio.run(_measure(world, asked.turns))
    rows: list[list[object]] = [
        [name, len(values), *(percentile(values, share) for share in (0.5, 0.9, 0.99)), min(values)]
        for name, values in times.items()
    ]
    figures = list(zip(*(row[1:] for row in rows), strict=True))
    rows.append(["difference", *(a - b for a, b in figures)])
    heading = f"End of speech to the first voice of the answer, ms, {asked.turns} turns each"
    print_table(heading, ["", "answers", "p50", "p90", "p99", "min"], rows)
    file = write_json("voice-round-trip", {"arguments": vars(asked), "turns_ms": times})
    print(f"\nwritten to {file}")
    return 0


async def _measure(world: VoiceWorld, turns: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {WEBSOCKET: [], WEBRTC: []}
    pcm = read_wav(WHAT_IS_MY_FAVORITE_COLOR, _RATE)
    url = await world.create()
    async with talking(url, _RATE) as (over_websocket, _, _), await _join(world) as person:
        await over_websocket.hear(_TIMEOUT_S)
        await person.hear(_TIMEOUT_S)
        await _silence(person)
        for number in range(turns + 1):
            asked = {
                WEBSOCKET: await _ask_over_websocket(over_websocket, pcm),
                WEBRTC: await _ask_over_webrtc(person, pcm),
            }
            if number:  # the first turn warms both up
                for name, took_s in asked.items():
                    times[name] += [took_s * 1000] if took_s is not None else []
            print(".", end="", flush=True)
        await over_websocket.end()
    return times


async def _join(world: VoiceWorld) -> Participant:
    async with httpx.AsyncClient(base_url=world.orchestrator.url) as http:
        answer = await http.post("/api/session/start", json={"userName": "bench"})
    answer.raise_for_status()
    return Participant(world.livekit.info, answer.json()["token"])


async def _ask_over_websocket(turns: Turns, pcm: bytes) -> float | None:
    """Return the seconds to the answer, or None where the question was not understood."""
    try:
        return (await turns.say(pcm, _TIMEOUT_S)).first_voice_s
    except ConversationOverError:
        return None


async def _ask_over_webrtc(person: Participant, pcm: bytes) -> float | None:
    """See `_ask_over_websocket`."""
    spoken_s = (len(pcm) - silent_tail(pcm)) / 2 / _RATE
    began_at = time.monotonic()
    # It is played from when it begins, and `play` returns up to a second before it has ended.
    playing = asyncio.create_task(person.play(pcm, _RATE))
    try:
        await person.hear_voice(0.01, _TIMEOUT_S)
    except asyncio.TimeoutError:
        await playing
        return None
    took_s = time.monotonic() - began_at - spoken_s
    await person.hear(_TIMEOUT_S)
    await playing
    await _silence(person)
    return took_s


async def _silence(person: Participant) -> None:
    """Wait until both have been silent for a while, and forget what the agent said."""
    while True:
        try:
            await person.hear_voice(0.01, 1.2)
        except asyncio.TimeoutError:
            return


if __name__ == "__main__":
    sys.exit(main())
