"""What is heard of an answer, what is kept of a conversation, and what the next begins with."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.llm import ChatItem, ChatMessage, ChatRole, FunctionCall

from assistant import history
from assistant.audience import Audience
from assistant.continuation import Continuation
from assistant.heard import cut, heard_part
from assistant.processors import ActiveProcessors
from people.elsewhere import ALSO_ERASED, ALSO_EXPORTED
from session_context import (
    bind_job,
    set_session_generation,
    set_session_remembered,
    set_session_user,
)
from sessions.in_process import ProcessSessionState
from sessions.in_redis import RedisSessionState

TEXT = "One two three four five"


def message(role: ChatRole, text: str, **more: Any) -> ChatMessage:
    return ChatMessage(role=role, content=[text], **more)


@given(st.text(), st.floats(0, 100), st.floats(0, 100), st.floats(-10, 200))
def test_what_was_heard_is_a_beginning_of_what_was_said(text, started, lasted, until):
    assert text.startswith(heard_part(text, started, started + lasted, until))


@pytest.mark.parametrize(
    ("until", "heard"),
    [(9, ""), (10, ""), (15, "One two"), (20, TEXT), (math.inf, TEXT), (10.5, "")],
)
def test_what_was_heard_ends_with_a_whole_word(until, heard):
    assert heard_part(TEXT, 10, 20, until) == heard


def test_a_cut_answer_is_marked_as_interrupted_and_a_whole_one_is_left():
    spoken = spoken_at(10.0)
    assert cut(spoken, 20.0)
    assert not spoken.interrupted
    assert not cut(spoken, 15.0)
    assert (spoken.text_content, spoken.interrupted) == ("One two", True)


async def test_an_audience_that_has_left_hears_nothing_and_one_that_is_there_everything():
    audience = Audience()
    early = spoken_at(0.0)
    assert audience.hears(early)
    audience.leaves(10.0)
    late = spoken_at(11.0)
    assert not audience.hears(late)
    assert not audience.is_here
    assert await audience.comes_back()
    assert audience.hears(spoken_at(12.0))
    assert not await audience.comes_back()


def test_whoever_has_said_something_was_there_until_then():
    audience = Audience()
    audience.speaks()
    audience.leaves(10.0)
    assert audience.hears(spoken_at(11.0))


def spoken_at(started: float) -> ChatMessage:
    """An answer whose speech took ten seconds."""
    times = {"started_speaking_at": started, "stopped_speaking_at": started + 10.0}
    return message("assistant", TEXT, metrics=times)


def test_what_is_written_and_not_spoken_is_not_cut():
    assert cut(message("assistant", TEXT, created_at=11.0), 10.0)


ITEMS: list[ChatItem] = [
    message("system", "Be kind."),
    message("user", "My cat is called Mo."),
    FunctionCall(call_id="c", name="store_memory", arguments="{}"),
    message("assistant", "What a name!", interrupted=True),
    message("assistant", ""),
]


def test_a_history_has_what_both_sides_said_and_nothing_else():
    text = history.written([*ITEMS], 3)
    assert text is not None
    found = history.read(text, 3)
    assert found is not None
    assert [(m.role, m.text_content, m.interrupted) for m in found.messages] == [
        ("user", "My cat is called Mo.", False),
        ("assistant", "What a name!", True),
    ]
    assert "Be kind" not in text


def test_where_the_person_said_nothing_nothing_is_kept():
    assert history.written([message("assistant", "Hello!")], 0) is None


@pytest.mark.parametrize("generation", [2, 4, None])
def test_a_history_of_another_generation_is_not_used(generation):
    text = history.written([*ITEMS], 3)
    assert text is not None
    assert history.read(text, generation) is None


@given(st.text() | st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps))
def test_what_is_no_history_is_not_used(text):
    assert history.read(text, 0) is None


def test_of_a_long_conversation_its_end_is_kept():
    items: list[ChatItem] = [message("user", f"{number} " + "x" * 2_000) for number in range(100)]
    text = history.written([*items], 0)
    assert text is not None
    assert len(text) < 30_000
    found = history.read(text, 0)
    assert found is not None
    assert (found.messages[-1].text_content or "").startswith("99 ")


@pytest.fixture
def alice() -> str:
    bind_job()
    user = set_session_user("alice@example.com")
    set_session_generation(1)
    set_session_remembered(True)
    return user


async def begun_with(continuation: Continuation) -> list[str]:
    await continuation.take(deadline_s=1.0)
    context = continuation.began_with
    return [each.text_content or "" for each in context.messages()] if context else []


async def test_the_next_session_begins_with_it_once(alice):
    kept = ProcessSessionState(fence_s=60).conversations
    await Continuation(kept, ttl_s=60).keep([*ITEMS])
    assert await begun_with(Continuation(kept, ttl_s=60)) == [
        "My cat is called Mo.",
        "What a name!",
    ]
    assert await begun_with(Continuation(kept, ttl_s=60)) == []


@pytest.mark.parametrize("remembered", [False, None])
async def test_of_somebody_who_is_not_remembered_nothing_is_kept_or_used(alice, remembered):
    kept = ProcessSessionState(fence_s=60).conversations
    await Continuation(kept, ttl_s=60).keep([*ITEMS])
    set_session_remembered(remembered)
    assert await begun_with(Continuation(kept, ttl_s=60)) == []
    await Continuation(kept, ttl_s=60).keep([*ITEMS])
    assert await kept.take_history(alice) is None


async def test_after_an_erasure_it_is_not_used(alice):
    kept = ProcessSessionState(fence_s=60).conversations
    await Continuation(kept, ttl_s=60).keep([*ITEMS])
    set_session_generation(2)
    assert await begun_with(Continuation(kept, ttl_s=60)) == []


async def test_a_place_that_is_out_of_reach_hinders_no_conversation(alice):
    continuation = Continuation(
        RedisSessionState("redis://127.0.0.1:1/0", fence_s=1).conversations, ttl_s=60
    )
    assert await begun_with(continuation) == []
    await continuation.keep([*ITEMS])
    assert await begun_with(Continuation(None, ttl_s=60)) == []


async def test_what_is_kept_in_redis_is_exported_and_erased_with_the_person(
    redis, alice, monkeypatch
):
    monkeypatch.setenv("REDIS_URL", redis)
    state = RedisSessionState(redis, fence_s=60)
    await Continuation(state.conversations, ttl_s=60).keep([*ITEMS])
    exported = [*ALSO_EXPORTED["conversation"](alice)]
    assert [each["text"] for each in exported] == ["My cat is called Mo.", "What a name!"]
    assert ALSO_ERASED["conversation"](alice, 2) == 1
    assert ALSO_ERASED["conversation"](alice, 2) == 0
    assert [*ALSO_EXPORTED["conversation"](alice)] == []
    await state.aclose()


def test_an_erasure_succeeds_where_redis_is_out_of_reach(alice, monkeypatch, caplog):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert ALSO_ERASED["conversation"](alice, 2) == 0
    assert "is not used" in caplog.text


async def test_a_stream_is_active_until_it_is_closed_also_where_nobody_reads_it_out():
    processors = ActiveProcessors()
    closed = asyncio.Event()

    async def numbers():
        try:
            for number in range(10):
                yield number
        finally:
            closed.set()

    following = processors.follow("hearing", numbers())
    assert await following.__anext__() == 0
    assert processors.active("hearing") == 1
    assert set(processors.last_activity) == {"hearing"}
    waiting = asyncio.create_task(processors.until_closed("hearing"))
    await following.aclose()
    await asyncio.wait_for(waiting, 1.0)
    assert closed.is_set()
    assert processors.last_activity == {}
