"""What a newcomer types into `make chat`, answered by the demo model through the tools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage

import session_context
from assistant.conversation import Conversation
from assistant.providers import build_models
from assistant.wishes import Wishes
from config import Settings
from memory import MemoryManager, SqliteMemoryStore
from memory.recorder import Recorder
from profiles import ProfileManager, SqliteProfileStore
from session_context import set_session_user
from storage.person_file import PersonFiles
from tests.unit.tool_calls import Erasures


class Chat:
    """A typed conversation, as `assistant.chat` holds it."""

    def __init__(
        self, session: AgentSession[None], memory: MemoryManager, recorder: Recorder
    ) -> None:
        self._session, self.memory, self._recorder = session, memory, recorder
        self._answers: list[str] = []
        session.on("conversation_item_added", self._on_item)

    async def ask(self, text: str) -> str:
        self._answers.clear()
        await self._session.run(user_input=text)
        await self._recorder.flush(5)
        return " ".join(self._answers)

    def values(self) -> list[str]:
        return [memory.value for memory in reversed(self.memory.list_memories(None, 200))]

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, ChatMessage) and item.role == "assistant":
            self._answers.append(item.text_content or "")


@pytest.fixture(autouse=True)
def _facts_are_read_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked here is about what was said, not about what was read in it meanwhile."""
    monkeypatch.setattr("assistant.extraction._RULES_WAIT_S", 3600)


@asynccontextmanager
async def chat(data_dir: Path, *, session_id: str = "s-1", **options: Any) -> AsyncIterator[Chat]:
    token = session_context._context_binding.set(session_context.JobBinding())
    set_session_user("anna@example.com")
    settings = Settings.from_environment({"JOIN_DEADLINE_MS": "5000", "FACT_WAIT_S": "3600"})
    people = PersonFiles(data_dir)
    memory = MemoryManager(lambda: SqliteMemoryStore(people))
    profiles = ProfileManager(lambda: SqliteProfileStore(people))
    erasures = Erasures(people)
    given = {"erase": erasures.by_the_session, "generation": erasures.generation, **options}
    conversation = Conversation(
        settings, memory=memory, profiles=profiles, wishes=Wishes(session_id), **given
    )
    await conversation.prepare()
    models = build_models(settings.providers, vad=None, voice_id=None, language="en")
    session = await conversation.start(replace(models, stt=None, tts=None, vad=None))
    try:
        assert conversation._remembered is not None
        yield Chat(session, memory, conversation._remembered.recorder)
    finally:
        await session.aclose()
        await conversation.aclose()
        people.close()
        session_context._context_binding.reset(token)


async def test_what_do_you_know_about_me(data_dir):
    async with chat(data_dir) as talk:
        await talk.ask("my name is anna")
        await talk.ask("my favorite color is blue")
        await talk.ask("I love reading books")
        assert await talk.ask("What do you know about me?") == (
            "This is what I know. Profile: first name: Anna. Facts: favorite color: blue. "
            'In their own words: "I love reading books"; "my name is anna".'
        )


async def test_what_else_do_you_know(data_dir):
    async with chat(data_dir) as talk:
        for number in range(12):
            talk.memory.store("FACT", f"wonder_{number}", f"number {number}")
        assert "There are" in await talk.ask("what do you know about me?")
        assert "wonder 0: number 0" in await talk.ask("What else do you know?")


async def test_thats_wrong(data_dir):
    async with chat(data_dir) as talk:
        await talk.ask("my address is 5 Main Street")
        answer = await talk.ask("That's wrong, my address is 7 Main Street.")
        assert answer == "Done: corrected address: 5 Main Street; it is now: 7 Main Street."
        assert talk.memory.retrieve("FACT", "address") == "7 Main Street"


async def test_forget_that(data_dir):
    async with chat(data_dir) as talk:
        await talk.ask("I love hiking")
        await talk.ask("my pin is 1234")
        assert await talk.ask("Forget that.") == "Done: forgot pin: 1234."
        assert talk.values() == ["I love hiking"]


async def test_forget_that_after_a_question(data_dir):
    async with chat(data_dir) as talk:
        talk.memory.store("FACT", "city", "Rome")
        talk.memory.store("FACT", "pet", "a cat")
        assert "Rome" in await talk.ask("what is my city?")
        assert "forgot city: Rome" in await talk.ask("forget that")
        assert {fact.value for fact in talk.memory.list_facts()} == {"a cat"}


async def test_forget_my_address(data_dir):
    async with chat(data_dir) as talk:
        await talk.ask("my address is 5 Main Street")
        assert await talk.ask("forget my address") == "Done: forgot address: 5 Main Street."
        assert talk.values() == []


async def test_forget_one_of_several(data_dir):
    async with chat(data_dir) as talk:
        talk.memory.store("FACT", "home_address", "5 Main Street")
        talk.memory.store("FACT", "work_address", "1 High Street")
        answer = await talk.ask("forget my address")
        assert "which of these should be forgotten? 1. " in answer
        first = "home" if answer.index("home") < answer.index("work") else "work"
        assert f"forgot {first} address" in await talk.ask("the first one")
        assert len(talk.memory.list_facts()) == 1


async def test_forget_everything(data_dir):
    async with chat(data_dir) as talk:
        await talk.ask("my name is anna")
        await talk.ask("my favorite color is blue")
        assert "Shall I really erase everything" in await talk.ask("forget everything")
        assert await talk.ask("no") == "All right, I keep everything."
        assert "blue" in talk.values()
        await talk.ask("please forget everything")
        assert (await talk.ask("yes")).startswith("It is done: everything I knew about you is")
        assert talk.values() == []
        assert "Nothing yet" in await talk.ask("what do you know about me?")
        await talk.ask("my favorite color is green")
        assert "green" in await talk.ask("what is my favorite color?")


async def test_dont_remember_this_and_you_can_remember_again(data_dir):
    async with chat(data_dir) as talk:
        await talk.ask("I love hiking")
        assert "remember nothing" in await talk.ask("Don't remember this: I am ill")
        await talk.ask("my doctor is Dr Grey")
        assert "I love hiking" in await talk.ask("what do you know about me?")
        assert "I remember again" in await talk.ask("you can remember again")
        await talk.ask("I love the sea")
        assert set(talk.values()) == {"I love hiking", "I love the sea"}
    async with chat(data_dir, session_id="s-2") as talk:
        known = await talk.ask("what do you know about me?")
        assert "Grey" not in known
        assert "ill" not in known


async def test_undo(data_dir):
    async with chat(data_dir) as talk:
        await talk.ask("my favorite color is blue")
        await talk.ask("forget my favorite color")
        assert "remembered again: favorite color: blue" in await talk.ask("undo")
        assert talk.memory.retrieve("FACT", "favorite_color") == "blue"
        assert "no longer remembered: favorite color: blue" in await talk.ask("undo")
        assert talk.values() == []
        assert "nothing to undo" in await talk.ask("undo")


async def test_without_a_way_to_erase_the_model_is_not_offered_it(data_dir):
    async with chat(data_dir, erase=None) as talk:
        await talk.ask("my favorite color is blue")
        assert "erase" not in await talk.ask("forget everything")
        assert "blue" in talk.values()
