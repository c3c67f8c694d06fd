"""What is told of a session: counts, tool calls and log lines, and nothing that was said."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc
from livekit.agents import AgentStateChangedEvent, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage, FunctionCall
from livekit.agents.voice import ToolExecutionUpdatedEvent
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted

from sessions import TaskState
from worker.activity import Activity
from worker.log_tail import LogTail, line

SECRET = "my pin is 4711"


class Session(rtc.EventEmitter[str]):
    """What an AgentSession emits, and nothing else of it."""

    def say(self, role: str, text: str) -> None:
        message = ChatMessage(role=role, content=[text])  # type: ignore[arg-type]
        self.emit("conversation_item_added", ConversationItemAddedEvent(item=message))

    def begin(self, call_id: str, name: str = "recall_memories") -> None:
        call = FunctionCall(call_id=call_id, name=name, arguments=json.dumps({"what": SECRET}))
        started = ToolCallStarted(function_call=call)
        self.emit("tool_execution_updated", ToolExecutionUpdatedEvent(update=started))

    def end(self, call_id: str, status: str) -> None:
        ended = ToolCallEnded(id=call_id, call_id=call_id, message=SECRET, status=status)  # type: ignore[arg-type]
        self.emit("tool_execution_updated", ToolExecutionUpdatedEvent(update=ended))


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def activity(session: Session) -> Activity:
    made = Activity("session_1", on_task=lambda: None)
    made.watch(session)  # type: ignore[arg-type]
    return made


def test_messages_of_both_sides_count_and_others_do_not(activity, session):
    for role in ("user", "assistant", "system", "user"):
        session.say(role, SECRET)
    assert activity.take() == ({"messages": 3}, [])
    assert activity.take() == ({}, [])


@pytest.mark.parametrize(
    ("status", "state", "error"),
    [
        ("done", TaskState.COMPLETED, None),
        ("error", TaskState.FAILED, "the tool failed"),
        ("cancelled", TaskState.CANCELLED, None),
    ],
)
def test_a_tool_call_is_a_task_that_runs_and_ends(activity, session, status, state, error):
    session.begin("c1")
    _, (running,) = activity.take()
    assert (running.type, running.state) == ("recall_memories", TaskState.RUNNING)
    session.end("c1", status)
    _, (ended,) = activity.take()
    assert (ended.state, ended.error_message) == (state, error)
    assert ended.result_available is (state is TaskState.COMPLETED)
    assert ended.created_at == running.created_at
    assert SECRET not in ended.as_json() + running.as_json()


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (TaskState.COMPLETED, None),
        (TaskState.FAILED, "the work failed"),
        (TaskState.CANCELLED, None),
    ],
)
def test_work_in_the_background_is_a_task_that_waits_runs_and_ends(activity, end, error):
    seen = []
    for state in (TaskState.PENDING, TaskState.RUNNING, end):
        activity.note_work("fact_extraction", "w1", state)
        _, (task,) = activity.take()
        seen.append(task)
    assert [task.state for task in seen] == [TaskState.PENDING, TaskState.RUNNING, end]
    assert {(task.id, task.type) for task in seen} == {("w1", "fact_extraction")}
    assert len({task.created_at for task in seen}) == 1
    assert (seen[-1].error_message, seen[-1].result_available) == (
        error,
        end is TaskState.COMPLETED,
    )


def test_a_name_that_no_tool_can_have_is_not_told(activity, session):
    session.begin("c1", name=SECRET)
    _, (task,) = activity.take()
    assert task.type == "unknown"


def test_what_could_not_be_told_is_told_next_time_in_its_newest_state(activity, session):
    session.say("user", SECRET)
    session.begin("c1")
    counts, tasks = activity.take()
    session.say("user", SECRET)
    session.end("c1", "done")
    activity.give_back(counts, tasks)
    counts, (task,) = activity.take()
    assert counts == {"messages": 2}
    assert task.state is TaskState.COMPLETED


def test_tasks_that_nobody_takes_are_bounded(activity, session):
    for number in range(600):
        session.begin(f"c{number}")
    _, tasks = activity.take()
    assert len(tasks) == 500
    assert tasks[-1].id == "c599"


def test_the_state_of_the_agent_is_the_frameworks(activity, session):
    assert activity.agent_state == "initializing"
    event = AgentStateChangedEvent(old_state="initializing", new_state="listening")
    session.emit("agent_state_changed", event)
    assert activity.agent_state == "listening"


def record(name: str, message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "module.py", 7, message, arguments, None)
    vars(made).update(extra)
    return made


def test_a_line_of_ours_has_its_message_and_the_fields_that_are_words_or_numbers():
    told = json.loads(
        line(record("worker.room", "the room", error="TwirpError", reason="two words", turns=3))
    )
    assert told["message"] == "the room"
    assert (told["error"], told["turns"]) == ("TwirpError", 3)
    assert "reason" not in told


@given(
    name=st.sampled_from(["livekit.agents", "httpx", "openai", "root"]),
    text=st.text(min_size=1).map(lambda text: f"<{text}>"),
)
def test_nothing_of_what_others_log_is_told_but_the_place_in_their_code(name, text):
    told = json.loads(line(record(name, text, text=text, user_input=text, error=text)))
    assert told["message"] == "module:7"
    assert "error" not in told
    assert text not in told.values()


def test_a_message_of_ours_with_values_in_it_is_told_by_its_place():
    assert json.loads(line(record("worker.room", "heard %s", SECRET)))["message"] == "module:7"


def test_lines_are_bounded_and_given_back_in_order():
    tail = LogTail()
    for number in range(300):
        tail.emit(record("worker", f"line {number}"))
    lines = tail.take()
    assert len(lines) == 200
    assert tail.take() == []
    tail.emit(record("worker", "newest"))
    tail.give_back(lines)
    again = [json.loads(each)["message"] for each in tail.take()]
    assert (len(again), again[-1], again[0]) == (200, "newest", "line 101")
