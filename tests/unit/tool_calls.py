"""A model that calls the tool it is told to, in a real session with a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import (
    LLM,
    ChatChunk,
    ChatMessage,
    ChoiceDelta,
    FunctionCallOutput,
    FunctionToolCall,
    LLMStream,
)

import session_context
from assistant.assistant import Assistant
from assistant.remembered_person import RememberedPerson
from assistant.tools import Erasing
from config import Settings
from memory import MemoryManager, MemoryStore, SqliteMemoryStore
from memory.recorder import UserTurn
from memory.transcript import SqliteTranscriptStore
from profiles import ProfileManager, SqliteProfileStore
from session_context import (
    get_current_user,
    get_session_user_uuid,
    set_session_generation,
    set_session_user,
)
from storage import StoreThreads
from storage.person_file import PersonFiles, generation_of

QUESTION = "Shall I erase everything? Say yes."


def call_id(item: object) -> str:
    return f"call_{id(item)}"


class CallingModel(LLM[Any]):
    """Calls the tools it is told to, then says the last one's answer."""

    def __init__(self) -> None:
        super().__init__()
        self.next_calls: list[tuple[str, str]] = []
        self.outputs: list[FunctionCallOutput] = []
        self.seen: list[str] = []

    def chat(self, *, chat_ctx, tools=None, conn_options=DEFAULT_API_CONNECT_OPTIONS, **_):
        self.seen = [
            f"{item.role}: {item.text_content}"
            if isinstance(item, ChatMessage)
            else f"{item.type}: {getattr(item, 'name', '')}"
            for item in chat_ctx.items
        ]
        return _Stream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Stream(LLMStream):
    async def _run(self) -> None:
        last = self._chat_ctx.items[-1]
        model: CallingModel = self._llm  # type: ignore[assignment]
        if isinstance(last, FunctionCallOutput):
            known = {output.id for output in model.outputs}
            outputs = [i for i in self._chat_ctx.items if isinstance(i, FunctionCallOutput)]
            model.outputs += [output for output in outputs if output.id not in known]
            delta = ChoiceDelta(role="assistant", content="ok")
        elif model.next_calls:
            made = [
                FunctionToolCall(name=name, arguments=arguments, call_id=f"{call_id(last)}_{n}")
                for n, (name, arguments) in enumerate(model.next_calls)
            ]
            model.next_calls = []
            delta = ChoiceDelta(role="assistant", tool_calls=made)
        else:
            delta = ChoiceDelta(role="assistant", content="I hear you")
        self._event_ch.send_nowait(ChatChunk(id="1", delta=delta))


class Erasures:
    """Erases the person of the session, as another process or the session itself would."""

    def __init__(self, people: PersonFiles) -> None:
        self._people = people

    def generation(self) -> int:
        with self._people.reading(get_current_user()) as file:
            return generation_of(file)

    def from_elsewhere(self) -> int:
        with self._people.writing(get_current_user()) as file:
            for table in ("memory", "turns", "profile", "user_profile", "onboarding_details"):
                file.execute(f"DELETE FROM {table}")
            file.execute("UPDATE fence SET generation = generation + 1")
            return generation_of(file)

    def by_the_session(self) -> None:
        generation = self.from_elsewhere()
        if get_session_user_uuid() is not None:
            set_session_generation(generation)


class Talk:
    """A person in a session: what they say, and which tools the model calls at it."""

    def __init__(self, data_dir: Path, **options: Any) -> None:
        self.people = PersonFiles(data_dir)
        open_store: Callable[[], MemoryStore] = options.pop(
            "open_store", lambda: SqliteMemoryStore(self.people)
        )
        self.memory = MemoryManager(open_store)
        self.profiles = ProfileManager(lambda: SqliteProfileStore(self.people))
        self.erasures = Erasures(self.people)
        self.threads = StoreThreads(4)
        self.model = CallingModel()
        erase: Callable[[], object] = options.pop("erase", self.erasures.by_the_session)
        session_id: str = options.pop("session_id", "s-1")
        keeps_transcript: bool = options.pop("keeps_transcript", False)
        self.person = RememberedPerson(
            Settings.from_environment(
                {"JOIN_DEADLINE_MS": "5000", "FACT_EXTRACTION": "off", **options}
            ),
            self.memory,
            self.profiles,
            self.threads,
            session_id,
            is_new=True,
            instructions=lambda person: f"You talk with {person.details.first_name}.",
            erasing=Erasing(erase, QUESTION),
            generation=self.erasures.generation,
            on_recalled=lambda _: None,
            transcripts=SqliteTranscriptStore(self.people) if keeps_transcript else None,
        )
        self.session: AgentSession[None] = AgentSession(
            llm=self.model,
            vad=None,
            turn_handling={"turn_detection": "manual"},
            session_close_transcript_timeout=0.05,
        )
        self.said_by_agent: list[str] = []

    async def __call__(self, name: str, **arguments: object) -> FunctionCallOutput:
        """Say something that makes the model call this tool; return the tool's answer."""
        await self.says(f"please {name}", (name, arguments))
        return self.model.outputs[-1]

    async def says(self, text: str, *calls: tuple[str, Any]) -> list[str]:
        """Say this; the model calls these tools. Returns their answers."""
        self.model.next_calls = [(name, json.dumps(given)) for name, given in calls]
        before = len(self.model.outputs)
        await self.session.run(user_input=text)
        await self.person.recorder.flush(5)
        return [output.output for output in self.model.outputs[before:]]

    async def noted(self) -> None:
        """Wait until the first kept turn is noted, for which no turn waits."""
        if self.person.recorder._note is not None:
            await asyncio.wait_for(asyncio.shield(self.person.recorder._note), 5)

    def values(self) -> list[str]:
        return [memory.value for memory in reversed(self.memory.list_memories(None, 200))]

    def on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, ChatMessage) and item.text_content:
            if item.role == "user":
                self.person.hear(UserTurn(item.text_content, item.id, item.created_at))
            else:
                self.said_by_agent.append(item.text_content)
                self.person.hear_agent(item.id, item.text_content, item.created_at)


@asynccontextmanager
async def talk_of(identity: str, data_dir: Path, **options: Any) -> AsyncIterator[Talk]:
    """Run a session of this person, bound as in a job."""
    token = session_context._context_binding.set(session_context.JobBinding())
    set_session_user(identity)
    try:
        async with talk(data_dir, **options) as running:
            yield running
    finally:
        session_context._context_binding.reset(token)


@asynccontextmanager
async def talk(data_dir: Path, **options: Any) -> AsyncIterator[Talk]:
    """Run a session of the person who is bound."""
    made = Talk(data_dir, **options)
    made.profiles.ensure_exists()
    made.person.start()
    agent = Assistant(
        instructions="You talk with nobody yet.",
        tools=made.person.tools(),
        remembering=made.person.remembering(),
    )
    made.person.bind(agent, made.session)
    made.session.on("conversation_item_added", made.on_item)
    await made.session.start(agent)
    try:
        yield made
    finally:
        await made.session.aclose()
        await made.person.aclose()
        made.threads.close()
        made.people.close()
