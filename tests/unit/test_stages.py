"""The stages of a session that is over, or has not begun, are free already."""

from __future__ import annotations

import pytest
from livekit.agents import Agent, AgentSession

from assistant.processors import ActiveProcessors
from assistant.stages import HearingStage, SessionStage, SpeakingStage, ThinkingStage
from tests.unit.tool_calls import CallingModel


async def _nobody_is_due_anything() -> None:
    pytest.fail("a session that does not run has nothing to say")


def stages_of(session: AgentSession[None], agent: Agent) -> list[SessionStage]:
    processors = ActiveProcessors()
    return [
        HearingStage(session, agent, processors),
        ThinkingStage(session, processors),
        SpeakingStage(session, agent, processors, on_resume=_nobody_is_due_anything),
    ]


@pytest.mark.parametrize("has_run", [False, True], ids=["not begun", "over"])
async def test_a_stage_of_a_session_that_does_not_run_is_released_without_an_error(has_run):
    agent = Agent(instructions="")
    session: AgentSession[None] = AgentSession(llm=CallingModel(), vad=None)
    if has_run:
        await session.start(agent)
        await session.aclose()
    for stage in stages_of(session, agent):
        await stage.release()
        await stage.release()
        await stage.resume()
