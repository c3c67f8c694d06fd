"""A transcript is what was said in a real session, but for what the person wants left out."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from assistant.conversation import Conversation
from assistant.providers import Models
from assistant.scripted_model import ScriptedModel
from assistant.wishes import Wishes
from config import Settings
from devstack.waiting import eventually
from memory import MemoryManager, SqliteMemoryStore
from memory.transcript import SqliteTranscriptStore
from profiles import ProfileManager, SqliteProfileStore
from session_context import get_current_user, get_session_generation, set_session_user
from storage.person_file import PersonFiles
from tests.unit.tool_calls import QUESTION, Erasures, Talk, talk_of

ALICE = "alice@example.com"


def recorded_talk(data_dir: Path, **options: Any) -> AbstractAsyncContextManager[Talk]:
    return talk_of(ALICE, data_dir, keeps_transcript=True, **options)


async def transcript(talk: Talk) -> list[str]:
    """What is kept of the session when it is over."""
    user = get_current_user()
    await talk.session.aclose()
    await talk.person.aclose()
    return [f"{turn.role}: {turn.text}" for turn in SqliteTranscriptStore(talk.people).turns(user)]


async def test_both_sides_of_a_conversation_are_kept_in_order(data_dir):
    async with recorded_talk(data_dir) as talk:
        await talk.says("hm")
        await talk.says("I love hiking")
        assert await transcript(talk) == [
            "user: hm",
            "assistant: I hear you",
            "user: I love hiking",
            "assistant: I hear you",
        ]


async def test_what_is_said_off_the_record_is_not_in_it(data_dir):
    async with recorded_talk(data_dir) as talk:
        await talk.says("I love hiking")
        await talk.says("don't remember this, I look for a job", ("stop_remembering", {}))
        await talk.says("the interview is on Friday")
        await talk.says("you can remember again", ("remember_again", {}))
        await talk.says("I love the sea")
        said = await transcript(talk)
        assert [line for line in said if line.startswith("user")] == [
            "user: I love hiking",
            "user: I love the sea",
        ]


async def test_what_was_just_said_and_is_forgotten_is_gone_with_its_answer(data_dir):
    async with recorded_talk(data_dir) as talk:
        await talk.says("I love hiking")
        await talk.says("My locker code is 4711")
        await talk.says("forget that", ("forget_last", {"what": "said"}))
        assert await transcript(talk) == ["user: I love hiking", "assistant: I hear you"]


async def test_what_was_told_in_an_earlier_session_and_is_forgotten_by_name_is_gone(data_dir):
    async with recorded_talk(data_dir) as talk:
        await talk.says("I love hiking")
        await talk.says("My locker code is 4711")
    async with recorded_talk(data_dir, session_id="s-2") as talk:
        await talk.says("forget my locker", ("forget_memory", {"category": None, "key": "locker"}))
        assert await transcript(talk) == ["user: I love hiking", "assistant: I hear you"]


async def test_after_forgetting_everything_it_begins_anew(data_dir):
    erase: tuple[str, dict[str, object]] = ("forget_everything", {})
    async with recorded_talk(data_dir) as talk:
        await talk.says("I love hiking")
        await talk.says("forget everything", erase)
        assert talk.said_by_agent[-1] == QUESTION
        await talk.says("yes", erase)
        await talk.says("I love the sea")
        said = await transcript(talk)
        assert [line for line in said if line.startswith("user")] == ["user: I love the sea"]
        assert QUESTION not in "".join(said)


async def test_after_an_erasure_from_elsewhere_it_begins_anew(data_dir):
    async with recorded_talk(data_dir) as talk:
        await talk.says("I love hiking")
        talk.erasures.from_elsewhere()
        await talk.says("my locker code is 4711")
        await eventually(lambda: get_session_generation() == 1)
        await talk.says("I love the sea")
        said = await transcript(talk)
        assert said[-2:] == ["user: I love the sea", "assistant: I hear you"]
        assert not any("hiking" in line or "4711" in line for line in said)


async def test_what_the_agent_began_to_say_before_an_erasure_is_not_kept_after_it(data_dir):
    async with recorded_talk(data_dir) as talk:
        began = time.time()
        talk.erasures.from_elsewhere()
        await talk.says("hello")
        await eventually(lambda: get_session_generation() == 1)
        talk.person.hear_agent("late", "You live in Rome", began)
        await talk.says("I love the sea")
        said = await transcript(talk)
        assert not any("Rome" in line for line in said)
        assert "user: I love the sea" in said


async def test_a_turn_that_comes_too_late_tells_the_session_of_an_erasure(data_dir, monkeypatch):
    monkeypatch.setattr(Erasures, "generation", lambda _: 0)
    async with recorded_talk(data_dir) as talk:
        talk.erasures.from_elsewhere()
        await talk.says("hm")  # no memory, so that nothing else is written
        await eventually(lambda: get_session_generation() == 1)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_conversation_keeps_one_only_where_it_is_told_to(data_dir: Path, kept):
    set_session_user(ALICE)
    people = PersonFiles(data_dir)
    transcripts = SqliteTranscriptStore(people)
    conversation = Conversation(
        Settings.from_environment({}),
        memory=MemoryManager(lambda: SqliteMemoryStore(people)),
        profiles=ProfileManager(lambda: SqliteProfileStore(people)),
        wishes=Wishes(session_id="s-1"),
        transcripts=transcripts if kept else None,
    )
    llm = ScriptedModel()
    session = await conversation.start(
        Models(llm=llm, stt=None, tts=None, vad=None, turn_handling={"turn_detection": "manual"})
    )
    await conversation.greet()
    await session.run(user_input="My name is Anna.")
    await session.aclose()
    await conversation.aclose()
    roles = [turn.role for turn in transcripts.turns(get_current_user())]
    people.close()
    assert roles == (["assistant", "user", "assistant"] if kept else [])
