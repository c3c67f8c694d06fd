"""The demo model: a handful of sentences, the same tools, and no pretence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.llm import ChatContext, FunctionCallOutput, FunctionToolCall

from assistant.prompt import NOTES_HEADING
from assistant.scripted_model import DEMO_NOTICE, ScriptedModel, scripted_reply

TOOLS = {
    "store_memory",
    "retrieve_memory",
    "list_memories",
    "forget_memory",
    "update_user_profile",
    "forget_user_profile",
    "correct_memory",
    "forget_last",
    "forget_choices",
    "forget_everything",
    "stop_remembering",
    "remember_again",
    "undo_last_change",
}


def said(text: str, notes: str = "") -> ChatContext:
    context = ChatContext.empty()
    if notes:
        context.add_message(role="system", content=f"{NOTES_HEADING}\n{notes}")
    context.add_message(role="user", content=text)
    return context


def call(text: str) -> tuple[str, dict[str, object]]:
    answer = scripted_reply(said(text), TOOLS)
    assert isinstance(answer, FunctionToolCall)
    arguments = json.loads(answer.arguments)
    return answer.name, {name: value for name, value in arguments.items() if value is not None}


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        ("Hello, my name is anna.", "update_user_profile", {"first_name": "Anna"}),
        ("My favorite color is blue.", "store_memory", {"key": "favorite_color", "value": "blue"}),
        ("What\u2019s my favorite color?", "retrieve_memory", {"key": "favorite_color"}),
        ("What do you know about me?", "list_memories", {}),
        ("Please forget my favorite color", "forget_memory", {"key": "favorite_color"}),
        ("forget my name", "forget_memory", {"key": "name"}),
        (
            "That's wrong, my sister is called Ana",
            "correct_memory",
            {"key": "sister", "value": "Ana"},
        ),
        (
            "No, my address is 7 Main Street.",
            "correct_memory",
            {"key": "address", "value": "7 Main Street"},
        ),
        ("Forget that.", "forget_last", {"what": "said"}),
        ("forget what I just said", "forget_last", {"what": "said"}),
        ("Please forget everything", "forget_everything", {}),
        ("Don\u2019t remember this: my PIN is 1234", "stop_remembering", {}),
        ("This is off the record", "stop_remembering", {}),
        ("You can remember again.", "remember_again", {}),
        ("Undo", "undo_last_change", {}),
        ("What else do you know?", "list_memories", {"page": 1}),
    ],
)
def test_a_plain_sentence_calls_the_tool_it_asks_for(text, tool, arguments):
    name, given_arguments = call(text)
    given_arguments.pop("category", None)
    assert (name, given_arguments) == (tool, arguments)


def test_a_question_is_answered_from_the_notes_it_is_given():
    notes = '- 2026-05-08 INTEREST "user_input_1": "I love \\"long\\" books"'
    assert scripted_reply(said("Where do I read?", notes), TOOLS) == (
        'You once told me: I love "long" books'
    )


def test_what_it_does_not_understand_it_says_so():
    assert scripted_reply(said("Explain quantum chromodynamics?"), TOOLS) == DEMO_NOTICE


def test_without_tools_it_calls_none():
    assert isinstance(scripted_reply(said("my name is anna"), set()), str)


def test_a_tools_answer_is_put_into_words():
    context = said("what do you know about me?")
    answer = FunctionCallOutput(
        name="list_memories",
        call_id="1",
        output="Facts: favorite color: blue\n3 more: page 2",
        is_error=False,
    )
    context.items.append(answer)
    assert scripted_reply(context, TOOLS) == (
        "This is what I know. Facts: favorite color: blue. There are 3 more; ask: what else."
    )


def test_a_failed_tool_is_admitted():
    context = said("my name is anna")
    context.items.append(
        FunctionCallOutput(name="store_memory", call_id="1", output="it is away", is_error=True)
    )
    assert scripted_reply(context, TOOLS) == "I could not do that: it is away."


@given(st.text(max_size=300))
def test_any_text_gets_an_answer_or_a_call_with_arguments_that_are_json(text):
    answer = scripted_reply(said(text), TOOLS)
    if isinstance(answer, FunctionToolCall):
        json.loads(answer.arguments)
    else:
        assert answer


async def test_it_streams_like_any_other_model():
    async with ScriptedModel().chat(chat_ctx=said("hm?")) as stream:
        words = [chunk.delta.content async for chunk in stream if chunk.delta]
    assert "".join(word or "" for word in words) == DEMO_NOTICE
    assert len(words) > 5
    assert ScriptedModel().model == "scripted-demo"
