"""A session that lasts for MAX_SESSION_S, with an orchestrator that would end it too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from devstack.for_pytest import skip_where_unavailable
from devstack.servers.livekit import LiveKitServer
from devstack.servers.orchestrator import Orchestrator
from devstack.servers.redis import RedisServer
from devstack.servers.worker import Worker
from orchestrator.voice_client.client import ConversationOverError
from tests import leaks
from tests.orchestrator.voice_world import brain, talking
from tests.standins import DeepgramStandIn, KnownRecordings, OpenAIStandIn, Timing
from tests.standins.recordings import RECORDINGS

SPEECH = Timing(seconds_per_character=0.06)
"""So that a farewell takes longer than the orchestrator needs to end a session."""


@pytest.fixture(params=["redis", "process"])
def short(
    webrtc: None, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Orchestrator, OpenAIStandIn]]:
    """A worker and an orchestrator that let a session last for some seconds."""
    with skip_where_unavailable(), ExitStack() as running:
        with leaks.shared():
            livekit = running.enter_context(LiveKitServer())
            shared = {"ENV_FILE": "/dev/null", "MAX_SESSION_S": "9"}
            if request.param == "redis":
                shared["REDIS_URL"] = running.enter_context(RedisServer()).info.url
            model = running.enter_context(OpenAIStandIn(brain(), timing=SPEECH))
            hearing = running.enter_context(DeepgramStandIn(KnownRecordings(RECORDINGS)))
            folder = {"DATA_DIR": str(tmp_path / "data"), "IDLE_PROCESSES": "1"}
            settings = {**shared, **folder, **model.environment, **hearing.environment}
            worker = Worker(livekit.info, {**settings, "TURN_DETECTION": "vad"}, dev=False)
            running.enter_context(worker)
            orchestrator = running.enter_context(Orchestrator(livekit.info, shared))
        yield orchestrator, model


@pytest.mark.timeout(300)
async def test_the_person_is_told_that_the_time_is_up_before_the_session_ends(short):
    orchestrator, model = short
    async with httpx.AsyncClient(base_url=orchestrator.url, timeout=20) as http:
        answer = await http.post("/api/session/start", json={"userName": "anna@example.com"})
    session = answer.json()["sessionId"]
    voice = orchestrator.url.replace("http", "ws") + f"/ws/voice?session_id={session}"
    async with talking(voice) as (turns, _, said):
        with pytest.raises(ConversationOverError, match="session_ended"):
            await turns.until(lambda: False)
    assert "Our time is up for today" in said[-1][1]
    assert said[-1][1].endswith("Until next time!")
    model.assert_no_faults()
