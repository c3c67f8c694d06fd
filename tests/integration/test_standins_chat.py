"""Chat completions: the real plugin and the stand-in understand each other."""

from __future__ import annotations

import json

import pytest
from livekit.agents import Agent, AgentSession, APIStatusError, RunResult, llm

from tests.standins import (
    Call,
    CallTools,
    OpenAIStandIn,
    Refuse,
    ScriptedBrain,
    call,
)
from tests.standins.plugins import openai_llm, openai_tts


@llm.function_tool
async def remember(category: str, value: str, certain: bool = True) -> str:
    """Remember something about the user."""
    return f"{category}={value} ({certain})"


async def test_text_is_streamed_in_several_deltas_with_usage_at_the_end():
    brain = ScriptedBrain().when("hello", "Hello, Anna! How are you?")
    with OpenAIStandIn(brain) as openai:
        async with openai_llm(openai) as model, model.chat(chat_ctx=_said("Hello")) as stream:
            chunks = [chunk async for chunk in stream]

    pieces = [c.delta.content for c in chunks if c.delta and c.delta.content]
    assert len(pieces) == 5
    assert "".join(pieces) == "Hello, Anna! How are you?"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert openai.chats[0].request.last_user_text == "Hello"
    assert openai.chats[0].request.system_text == "You are a friendly assistant."
    assert openai.chats[0].outcome == "completed"
    openai.assert_no_faults()


async def test_a_form_for_the_answer_that_the_provider_would_refuse_is_a_fault():
    loose = {"type": "object", "properties": {"a": {"type": "string"}}, "required": []}
    wanted = {"name": "form", "strict": True, "schema": loose}
    extra = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    with OpenAIStandIn() as openai:
        async with openai_llm(openai) as model:
            with pytest.raises(APIStatusError):
                await model.chat(chat_ctx=_said("Hello"), extra_kwargs=extra).collect()
    assert "additionalProperties must be false" in openai.faults[0]
    assert "required must list exactly" in openai.faults[1]


async def test_an_answer_in_json_and_a_refusal_are_told_apart_from_speech():
    brain = ScriptedBrain().in_json(Refuse("I cannot.")).when("hello", "Hello!")
    closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    wanted = {"name": "form", "strict": True, "schema": closed}
    extra = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    with OpenAIStandIn(brain) as openai:
        async with openai_llm(openai) as model:
            refused = await model.chat(chat_ctx=_said("Hello"), extra_kwargs=extra).collect()
            spoken = await model.chat(chat_ctx=_said("Hello")).collect()
    assert (refused.text, spoken.text) == ("", "Hello!")
    openai.assert_no_faults()


async def test_a_tool_is_called_and_its_output_answered():
    brain = ScriptedBrain()
    brain.when("color is blue", call("remember", category="color", value="blue", certain=None))
    brain.after("remember", lambda request: f"Noted: {request.tool_results[0].output}.")
    context = _said("My favorite color is blue.")
    with OpenAIStandIn(brain) as openai:
        async with openai_llm(openai) as model:
            first = await model.chat(chat_ctx=context, tools=[remember]).collect()
            tools = llm.ToolContext([remember])
            result = await llm.execute_function_call(first.tool_calls[0], tools)
            assert result.fnc_call_out is not None
            context.insert([result.fnc_call, result.fnc_call_out])
            second = await model.chat(chat_ctx=context, tools=[remember]).collect()

    assert second.text == "Noted: color=blue (True)."
    asked = openai.chats[1].request.tool_results[0]
    assert (asked.name, asked.arguments["value"]) == ("remember", "blue")
    assert openai.chats[0].request.tool_names == ["remember"]
    openai.assert_no_faults()


async def test_several_tools_are_called_in_one_answer():
    colors = [{"category": "color", "value": value, "certain": True} for value in ("blue", "red")]
    answer = CallTools(tuple(Call("remember", color) for color in colors), text="One moment.")
    with OpenAIStandIn(lambda _: answer) as openai:
        async with openai_llm(openai) as model:
            said = _said("Blue and red.")
            response = await model.chat(chat_ctx=said, tools=[remember]).collect()
    assert response.text == "One moment."
    assert [json.loads(made.arguments) for made in response.tool_calls] == colors
    openai.assert_no_faults()


async def test_a_whole_session_talks_to_the_brain():
    brain = ScriptedBrain().when(
        "blue", call("remember", category="color", value="blue", certain=True)
    )
    brain.after("remember", "I will remember that.")
    with OpenAIStandIn(brain) as openai:
        async with openai_llm(openai) as model, AgentSession[None](llm=model) as session:
            await session.start(Agent(instructions="Be friendly.", tools=[remember]))
            first: RunResult[None] = await session.run(user_input="My favorite color is blue.")
            await session.run(user_input="Thank you.")

    first.expect.contains_function_call(name="remember")
    first.expect.contains_message(role="assistant")
    assert [chat.request.last_user_text for chat in openai.chats][-1] == "Thank you."
    assert len(openai.chats) == 3
    openai.assert_no_faults()


async def test_by_default_the_brain_says_back_what_it_heard():
    with OpenAIStandIn() as openai:
        async with openai_llm(openai) as model:
            answer = await model.chat(chat_ctx=_said("Hello")).collect()
    assert answer.text == "You said: Hello"
    openai.assert_no_faults()


async def test_prewarming_is_understood():
    with OpenAIStandIn() as openai:
        async with openai_llm(openai) as model:
            model.prewarm()
            await openai.until(lambda: [e for e in openai.exchanges if e.route == "models"])
        speaker = openai_tts(openai)
        speaker.prewarm()
        assert speaker._prewarm_task is not None
        await speaker._prewarm_task
        await speaker.aclose()
    openai.assert_no_faults()


def _said(text: str) -> llm.ChatContext:
    context = llm.ChatContext()
    context.add_message(role="system", content="You are a friendly assistant.")
    context.add_message(role="user", content=text)
    return context
