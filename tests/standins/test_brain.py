"""The scripted brain follows the conversation."""

from __future__ import annotations

from tests.standins import ChatRequest, Say, ScriptedBrain, call

ASKED = {"role": "user", "content": "My favorite color is blue."}
CALLED = {
    "role": "assistant",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "remember", "arguments": '{"value": "blue"}'},
        }
    ],
}
DONE = {"role": "tool", "tool_call_id": "call_1", "content": "kept"}
AGAIN = {"role": "user", "content": [{"type": "text", "text": "What is my FAVORITE color?"}]}


def _request(*messages):
    body = {"model": "gpt-4.1-mini", "messages": [*messages], "stream": True}
    return ChatRequest.model_validate(body)


def test_the_first_rule_that_fits_answers():
    brain = ScriptedBrain().when("favorite", "First.").when("color", "Second.")
    assert brain(_request(ASKED)) == "First."


def test_words_fit_in_upper_and_lower_case_and_in_parts():
    assert ScriptedBrain().when("my favorite", Say("Blue."))(_request(AGAIN)) == Say("Blue.")


def test_a_predicate_sees_the_whole_request():
    brain = ScriptedBrain().when(lambda request: "blue" in request.system_text, "It is blue.")
    knowing = {"role": "system", "content": "Known: blue"}
    assert brain(_request(knowing, AGAIN)) == "It is blue."
    assert brain(_request(AGAIN)) == "You said: What is my FAVORITE color?"


def test_a_rule_on_words_is_not_asked_again_once_the_tool_has_answered():
    brain = ScriptedBrain().when("blue", call("remember", value="blue"))
    assert brain(_request(ASKED)) == call("remember", value="blue")
    assert brain(_request(ASKED, CALLED, DONE)) == "The tools answered: kept"


def test_a_rule_on_a_tool_sees_its_arguments_and_output():
    brain = ScriptedBrain().after("remember", lambda request: str(request.tool_results[0]))
    expected = "ToolResult(name='remember', arguments={'value': 'blue'}, output='kept')"
    assert brain(_request(ASKED, CALLED, DONE)) == expected
    assert brain(_request(ASKED)) == "You said: My favorite color is blue."


def test_tools_that_answered_before_the_latest_words_no_longer_count():
    brain = ScriptedBrain().after("remember", "Noted.").when("what is", "Blue.")
    assert brain(_request(ASKED, CALLED, DONE, AGAIN)) == "Blue."
