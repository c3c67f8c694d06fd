"""What benchmarks of an agent in mid-sentence share: servers, and providers that tell a story."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.servers.livekit import LiveKitInfo
from devstack.stack import Service, Stack
from tests.standins import DeepgramStandIn, OpenAIStandIn, ScriptedBrain, Timing

REQUEST = "Tell me a story"

_STORY = " ".join(f"This is sentence number {number} of the story." for number in range(1, 300))


@dataclass(frozen=True)
class Storytelling:
    """What runs.

    Attributes:
        folder: for files, which go with it.
        livekit: the media server.
        redis_url: the state of sessions, and events.
        openai: thinks and speaks, and answers `REQUEST` for minutes.
        deepgram: hears, and understands nothing.
        settings: of a worker that uses all of it.
    """

    folder: Path
    livekit: LiveKitInfo
    redis_url: str
    openai: OpenAIStandIn
    deepgram: DeepgramStandIn
    settings: dict[str, str]


@contextmanager
def storytelling() -> Iterator[Storytelling]:
    """Run the servers and the stand-ins."""
    brain = ScriptedBrain().in_json('{"facts": [], "summary": null}').when("story", _STORY)
    # Nobody waits for a sentence, so that some speech is always under way.
    timing = Timing(token_s=0.05, audio_pace=1.0, seconds_per_character=0.06)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stack = running.enter_context(Stack({Service.LIVEKIT, Service.REDIS}))
        openai = running.enter_context(OpenAIStandIn(brain, timing=timing))
        deepgram = running.enter_context(DeepgramStandIn([]))
        redis_url = stack.redis.info.url
        settings = {
            "DATA_DIR": str(folder / "data"),
            "ENV_FILE": "/dev/null",
            "REDIS_URL": redis_url,
            "TURN_DETECTION": "vad",
            "FACT_EXTRACTION": "rules",
            "IDLE_PROCESSES": "1",
            **openai.environment,
            **deepgram.environment,
        }
        yield Storytelling(folder, stack.livekit.info, redis_url, openai, deepgram, settings)
