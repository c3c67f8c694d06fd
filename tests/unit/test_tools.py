"""The model's tools, called by a model within a real session."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, AgentSession
from livekit.agents.llm import (
    LLM,
    ChatChunk,
    ChoiceDelta,
    FunctionCallOutput,
    FunctionToolCall,
    LLMStream,
)

from assistant.assistant import Assistant
from assistant.tools import PersonTools
from memory import MemoryManager, SqliteMemoryStore
from profiles import ProfileManager, SqliteProfileStore
from session_context import livekit_identity_to_uuid, set_session_user
from storage import StorageUnavailableError, StoreThreads
from storage.person_file import PersonFiles

ALICE, BOB = "alice@example.com", "bob@example.com"
BOB_ID = livekit_identity_to_uuid(BOB)


class CallingModel(LLM[Any]):
    """Calls a tool with the arguments it is told to, then says the tool's answer."""

    def __init__(self) -> None:
        super().__init__()
        self.next_call = ("", "{}")
        self.outputs: list[FunctionCallOutput] = []

    def chat(self, *, chat_ctx, tools=None, conn_options=DEFAULT_API_CONNECT_OPTIONS, **_):
        return _Stream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


def _call_id(item: object) -> str:
    return f"call_{id(item)}"


class _Stream(LLMStream):
    async def _run(self) -> None:
        last = self._chat_ctx.items[-1]
        model: CallingModel = self._llm  # type: ignore[assignment]
        if isinstance(last, FunctionCallOutput):
            model.outputs.append(last)
            delta = ChoiceDelta(role="assistant", content="ok")
        else:
            name, arguments = model.next_call
            made = FunctionToolCall(name=name, arguments=arguments, call_id=_call_id(last))
            delta = ChoiceDelta(role="assistant", tool_calls=[made])
        self._event_ch.send_nowait(ChatChunk(id="1", delta=delta))


class Caller:
    """Lets the model call a tool, and returns what it was answered."""

    def __init__(self, session: AgentSession[None], model: CallingModel) -> None:
        self._session, self._model = session, model

    async def __call__(self, name: str, **arguments: object) -> FunctionCallOutput:
        self._model.next_call = (name, json.dumps(arguments))
        await self._session.run(user_input=f"please {name}")
        return self._model.outputs[-1]


@pytest.fixture
def people(data_dir: Path) -> Iterator[PersonFiles]:
    opened = PersonFiles(data_dir)
    yield opened
    opened.close()


@pytest.fixture
def memory(people: PersonFiles) -> MemoryManager:
    return MemoryManager(lambda: SqliteMemoryStore(people))


@pytest.fixture
def profiles(people: PersonFiles) -> ProfileManager:
    return ProfileManager(lambda: SqliteProfileStore(people))


@pytest.fixture
def tools(memory: MemoryManager, profiles: ProfileManager):
    threads = StoreThreads(2)

    async def flush(_: float) -> bool:
        return True

    yield PersonTools(
        memory,
        profiles,
        threads,
        session_id="s-1",
        deadline_s=5,
        on_change=lambda: None,
        flush=flush,
    )
    threads.close()


@pytest.fixture
async def call(tools: PersonTools) -> AsyncIterator[Caller]:
    set_session_user(ALICE)
    model = CallingModel()
    session: AgentSession[None] = AgentSession(
        llm=model, vad=None, turn_handling={"turn_detection": "manual"}
    )
    await session.start(Assistant(instructions="", tools=tools.tools(), recall=None))
    yield Caller(session, model)
    await session.aclose()


async def test_a_memory_is_stored_retrieved_listed_and_forgotten(call, memory):
    set_session_user(ALICE)
    stored = {"category": "PREFERENCE", "key": "favorite_color"}
    assert (
        await call("store_memory", **stored, value="blue")
    ).output == "remembered favorite_color"
    assert memory.retrieve("PREFERENCE", "favorite_color") == "blue"
    assert (await call("retrieve_memory", **stored)).output == "favorite_color: blue"
    listed = await call("list_memories", category=None)
    assert listed.output == "PREFERENCE favorite_color: blue"
    assert (await call("forget_memory", **stored)).output == "forgot favorite_color"
    assert (await call("list_memories", category="PREFERENCE")).output == "nothing yet"
    assert (await call("forget_memory", **stored)).output.startswith("nothing was kept")


async def test_what_is_not_kept_under_the_key_is_searched_for(call):
    await call("store_memory", category="FACT", key="home_town", value="grew up in Lisbon")
    found = await call("retrieve_memory", category="FACT", key="lisbon")
    assert "grew up in Lisbon" in found.output
    missing = await call("retrieve_memory", category="FACT", key="spaceship")
    assert missing.output == "nothing is known about spaceship"


async def test_the_profile_is_changed_told_and_forgotten(call):
    fields = dict.fromkeys(
        ("first_name", "occupation", "interests", "language", "time_zone", "profile_text")
    )
    told = {**fields, "first_name": "Anna", "interests": ["books"], "language": "de"}
    assert (await call("update_user_profile", **told)).output == (
        "updated first_name, interests, language"
    )
    profile = (await call("get_user_profile")).output
    assert "Anna" in profile
    assert "books" in profile
    assert "de" in profile
    assert (await call("forget_user_profile")).output == "the profile is deleted"
    assert (await call("forget_user_profile")).output == "there was no profile"


@pytest.mark.parametrize("argument", ["user", "user_id", "user_uuid", "identity", "session_user"])
async def test_a_call_that_names_another_user_changes_nothing_of_theirs(call, memory, argument):
    await call("store_memory", category="FACT", key="k", value="hacked", **{argument: BOB_ID})
    set_session_user(BOB)
    assert memory.list_memories() == []
    memory.store("FACT", "k", "bob's own")
    set_session_user(ALICE)
    await call("forget_memory", category="FACT", key="k", **{argument: BOB_ID})
    set_session_user(BOB)
    assert memory.retrieve("FACT", "k") == "bob's own"


def test_no_tool_has_a_parameter_that_names_a_person(tools):
    allowed = {
        "context",
        "category",
        "key",
        "value",
        "first_name",
        "occupation",
        "interests",
        "language",
        "time_zone",
        "profile_text",
    }
    names = {name for tool in tools.tools() for name in inspect.signature(tool).parameters}
    assert names == allowed


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"category": "FACT", "key": "", "value": "x"}, "the key is empty"),
        ({"category": "FACT", "key": "k", "value": "x" * 20_000}, "longer than 10000"),
        ({"category": "FACT", "key": "k\x00", "value": "x"}, "NUL"),
    ],
)
async def test_bad_input_is_explained_to_the_model_and_changes_nothing(
    call, memory, arguments, complaint
):
    answer = await call("store_memory", **arguments)
    assert answer.is_error
    assert complaint in answer.output
    set_session_user(ALICE)
    assert memory.list_memories() == []


async def test_an_unknown_category_is_a_fact(call, memory):
    await call("store_memory", category="NONSENSE", key="k", value="x")
    set_session_user(ALICE)
    assert memory.retrieve("FACT", "k") == "x"


async def test_a_store_that_is_away_is_admitted_without_its_details(call, memory, monkeypatch):
    def away(*_: object) -> None:
        raise StorageUnavailableError("secret address 10.0.0.1")

    monkeypatch.setattr(memory, "store_all", away)
    answer = await call("store_memory", category="FACT", key="k", value="x")
    assert answer.is_error
    assert answer.output.startswith("the memory cannot be reached just now")
    assert "10.0.0.1" not in answer.output


async def test_a_key_is_forgotten_whatever_category_the_model_takes_it_for(call, memory):
    await call("store_memory", category="PREFERENCE", key="favorite_color", value="blue")
    answer = await call("forget_memory", category="FACT", key="favorite_color")
    assert answer.output == "forgot favorite_color"
    set_session_user(ALICE)
    assert memory.list_memories() == []


async def test_a_profile_change_with_one_bad_value_changes_nothing(call):
    fields = dict.fromkeys(("occupation", "interests", "language", "profile_text"))
    answer = await call(
        "update_user_profile", **fields, first_name="Anna", time_zone="Mars/Olympus"
    )
    assert answer.is_error
    assert (await call("get_user_profile")).output == "nothing yet"


async def test_two_calls_with_the_same_provider_id_are_two_writes(call, memory, monkeypatch):
    monkeypatch.setattr("tests.unit.test_tools._call_id", lambda _: "call_0")
    await call("store_memory", category="FACT", key="one", value="1")
    await call("store_memory", category="FACT", key="two", value="2")
    set_session_user(ALICE)
    assert {m.key for m in memory.list_memories()} == {"one", "two"}
