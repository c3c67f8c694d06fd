"""LiveKit's own JavaScript SDK gets its token here, and the token joins a room with our agent."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from livekit import rtc

from devstack.development import Development
from devstack.for_pytest import skip_where_unavailable
from devstack.install.livekit_client import livekit_client
from devstack.install.node import node
from devstack.machine import Machine
from devstack.participant import Participant
from tests import leaks

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
PROGRAM = Path(__file__).with_name("token_source.mjs")


@pytest.fixture(scope="module")
def sdk() -> tuple[Path, Path]:
    """Node, and the SDK's module."""
    with skip_where_unavailable(), leaks.shared():
        machine = Machine.current()
        return node(machine), livekit_client(machine)


def fetched(sdk: tuple[Path, Path], stack: Development, **options: object) -> dict[str, str]:
    program, module = sdk
    endpoint = f"{stack.orchestrator.url}/api/token"
    command: list[str | Path] = [program, PROGRAM, module, endpoint, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    given: dict[str, str] = json.loads(done.stdout)
    return given


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="nothing"),
        pytest.param(
            {"participantName": "Ann", "agentName": "a-starter's-own-name"}, id="a starter's"
        ),
    ],
)
async def test_a_token_of_livekits_token_source_joins_a_room_in_which_our_agent_answers(
    sdk, development_stack, options
):
    given = fetched(sdk, development_stack, **options)
    server = replace(development_stack.livekit, url=given["serverUrl"])
    async with Participant(server, given["participantToken"]) as person:
        assert "What may I call you?" in (await person.hear()).text
        assert "Nice to meet you" in await person.ask("Hello, my name is Ann.")
        agents = [p for p in person.room.remote_participants.values() if p.kind == AGENT]
        assert len(agents) == 1
