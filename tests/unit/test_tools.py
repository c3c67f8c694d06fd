"""The tools that keep, find, list and change, called by a model within a real session."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from session_context import livekit_identity_to_uuid, set_session_user
from storage import StorageUnavailableError
from tests.unit.tool_calls import Talk, talk

ALICE, BOB = "alice@example.com", "bob@example.com"
BOB_ID = livekit_identity_to_uuid(BOB)


@pytest.fixture
async def call(data_dir: Path) -> AsyncIterator[Talk]:
    set_session_user(ALICE)
    async with talk(data_dir) as running:
        yield running


@pytest.fixture
def memory(call: Talk):
    return call.memory


async def test_a_memory_is_stored_retrieved_listed_and_forgotten(call, memory):
    set_session_user(ALICE)
    stored = {"category": "PREFERENCE", "key": "favorite_color"}
    assert (
        await call("store_memory", **stored, value="blue")
    ).output == "remembered favorite_color"
    assert memory.retrieve("PREFERENCE", "favorite_color") == "blue"
    assert (await call("retrieve_memory", **stored)).output == "favorite color: blue"
    listed = await call("list_memories", category=None, page=None)
    assert listed.output.startswith("Preferences: favorite color: blue")
    forgotten = await call("forget_memory", **stored)
    assert forgotten.output.startswith("forgot favorite color: blue")
    listed = await call("list_memories", category="PREFERENCE", page=None)
    assert "blue" not in listed.output
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
    assert memory.list_facts() == []
    memory.store("FACT", "k", "bob's own")
    set_session_user(ALICE)
    await call("forget_memory", category="FACT", key="k", **{argument: BOB_ID})
    set_session_user(BOB)
    assert memory.retrieve("FACT", "k") == "bob's own"


async def test_no_tool_has_a_parameter_that_names_a_person(call):
    allowed = {
        "context",
        "page",
        "what",
        "numbers",
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
    names = {name for tool in call.person.tools() for name in inspect.signature(tool).parameters}
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
    assert memory.list_facts() == []


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
    assert answer.output.startswith("forgot favorite color: blue")
    set_session_user(ALICE)
    assert memory.list_facts() == []


async def test_a_profile_change_with_one_bad_value_changes_nothing(call):
    fields = dict.fromkeys(("occupation", "interests", "language", "profile_text"))
    answer = await call(
        "update_user_profile", **fields, first_name="Anna", time_zone="Mars/Olympus"
    )
    assert answer.is_error
    assert (await call("get_user_profile")).output == "nothing yet"


async def test_two_calls_with_the_same_provider_id_are_two_writes(call, memory, monkeypatch):
    monkeypatch.setattr("tests.unit.tool_calls.call_id", lambda _: "call_0")
    await call("store_memory", category="FACT", key="one", value="1")
    await call("store_memory", category="FACT", key="two", value="2")
    set_session_user(ALICE)
    assert {m.key for m in memory.list_facts()} == {"one", "two"}
