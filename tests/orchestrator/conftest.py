"""Fixtures of the orchestrator's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devstack.for_pytest import skip_where_unavailable
from tests import leaks
from tests.orchestrator.voice_world import VoiceWorld, voice_world


@pytest.fixture(scope="session")
def world(webrtc: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoiceWorld]:
    """What the tests of voice over WebSocket share."""
    with skip_where_unavailable(), leaks.shared():
        opened = voice_world(tmp_path_factory.mktemp("voice"))
        running = opened.__enter__()
    yield running
    assert running.orchestrator.running, running.orchestrator.log()[-5000:]
    opened.__exit__(None, None, None)
    running.openai.assert_no_faults()
    running.deepgram.assert_no_faults()


@pytest.fixture(params=[20, pytest.param(200, marks=pytest.mark.soak)])
def churn(request: pytest.FixtureRequest) -> int:
    """How many connections come and go."""
    return int(request.param)
