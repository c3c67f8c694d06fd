"""One suite for every back end that holds whole people."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from config import PROJECT_ROOT
from memory import Category, MemoryStore, NewMemory, open_memory_store
from memory.query import search_words
from people import People, open_people
from profiles import BoundPerson, ProfileStore, UserProfile, open_profile_store
from storage import PersonErasedError, Storage

FACT = Category.FACT
NOON = datetime(2026, 5, 8, 12, 0, 0, 123456, tzinfo=timezone.utc)
SCHEMA = json.loads((PROJECT_ROOT / "docs" / "export.schema.json").read_text())


@pytest.fixture
def people(storage: Storage) -> People:
    return open_people(storage)


@pytest.fixture
def memory(storage: Storage) -> MemoryStore:
    return open_memory_store(storage)


@pytest.fixture
def profiles(storage: Storage) -> ProfileStore:
    return open_profile_store(storage)


def told(value: str, key: str = "color", minutes: int = 0, **fields: object) -> NewMemory:
    at = NOON + timedelta(minutes=minutes)
    return NewMemory(FACT, key, value, created_at=at, **fields)  # type: ignore[arg-type]


def values(memories) -> list[str]:
    return [each.value for each in memories]


def fill(person: str, memory: MemoryStore, profiles: ProfileStore) -> None:
    profiles.bind_person(person, "alice@example.com")
    profiles.update_user_profile(person, {"profile_text": "Has two cats.", "language": "de"})
    profiles.update_onboarding_details(person, {"first_name": "Anna", "interests": ["books"]})
    memory.store(person, [told("blue"), told("red", minutes=1), told("Oslo", "home")])


def test_nobody_was_erased_and_everybody_is_remembered_at_first(people, user):
    assert people.generation(user) == 0
    assert people.is_remembered(user) is True


def test_an_erasure_leaves_nothing_but_a_raised_fence(people, memory, profiles, user, other_user):
    fill(user, memory, profiles)
    fill(other_user, memory, profiles)
    erasure = people.erase(user)
    assert (erasure.generation, erasure.memories) == (1, 3)
    assert (erasure.profile, erasure.user_profile, erasure.onboarding_details) == (True,) * 3
    assert memory.history(user, FACT, "color") == []
    assert memory.search(user, search_words("blue red Oslo"), 10) == []
    assert profiles.get_person(user).profile is None
    assert profiles.get_person(user).about == UserProfile()
    held = people.export(user)
    assert (held["generation"], held["memories"], held["profile"]) == (1, [], None)
    assert len(people.export(other_user)["memories"]) == 3
    assert people.generation(other_user) == 0


def test_a_write_from_before_the_erasure_is_dropped_and_one_from_after_is_kept(
    people, memory, profiles, user
):
    before = profiles.bind_person(user).generation
    people.erase(user)
    late = told("blue", minutes=1_000_000, generation=before)
    assert memory.store(user, [late]) == []
    with pytest.raises(PersonErasedError):
        profiles.update_user_profile(user, {"profile_text": "late"}, before)
    bound = profiles.bind_person(user)
    assert bound == BoundPerson(created=True, generation=1)
    assert values(memory.store(user, [told("red", generation=bound.generation)])) == ["red"]
    assert values(memory.search(user, ["red"], 10)) == ["red"]


def test_erasing_again_raises_the_fence_again(people, user):
    assert [people.erase(user).generation for _ in range(3)] == [1, 2, 3]


def test_other_places_are_erased_and_exported_too(storage, memory, user):
    waiting = {user: ["one", "two"]}
    people = open_people(
        storage,
        also_erase={"outbox": lambda person: len(waiting.pop(person, []))},
        also_export={"outbox": lambda person: [{"value": v} for v in waiting.get(person, [])]},
    )
    assert people.export(user)["elsewhere"] == {"outbox": [{"value": "one"}, {"value": "two"}]}
    assert people.erase(user).elsewhere == {"outbox": 2}
    assert people.export(user)["elsewhere"] == {"outbox": []}


def test_the_export_holds_everything_in_the_form_of_its_schema(people, memory, profiles, user):
    fill(user, memory, profiles)
    sure = told("Rome", "trip", 2, session_id="s-1", confidence=0.5, source_id=str(uuid.uuid4()))
    gone = told("Paris", "plan", 3, expires_at=NOON)
    memory.store(user, [sure, gone])
    document = people.export(user)
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
        document
    )
    assert values_of(document) == ["blue", "Oslo", "red", "Rome", "Paris"] or values_of(
        document
    ) == ["Oslo", "blue", "red", "Rome", "Paris"]
    trip = next(each for each in document["memories"] if each["key"] == "trip")
    assert (trip["session_id"], trip["place"], trip["confidence"]) == ("s-1", 1, 0.5)
    assert (trip["id"], trip["source_id"]) == (sure.id, sure.source_id)
    assert document["profile"]["email"] == "alice@example.com"
    assert document["user_profile"]["profile_text"] == "Has two cats."
    assert document["onboarding_details"]["interests"] == ["books"]


def values_of(document) -> list[str]:
    return [each["value"] for each in document["memories"]]


def test_the_schema_refuses_what_is_no_export(people, user):
    validator = Draft202012Validator(SCHEMA)
    document = people.export(user)
    assert validator.is_valid(document)
    assert not validator.is_valid({**document, "surprise": 1})
    assert not validator.is_valid({**document, "generation": -1})
    assert not validator.is_valid({name: document[name] for name in document if name != "memories"})


def test_more_memories_than_a_page_holds_are_all_exported_once(people, memory, user):
    # Many were told in the same microsecond: a page may end between two of them.
    for start in range(0, 1300, 650):
        memory.store(user, [told("v", f"k{n}") for n in range(start, start + 650)])
    keys = [each["key"] for each in people.export(user)["memories"]]
    assert len(keys) == 1300
    assert len(set(keys)) == 1300


@settings(max_examples=15)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_any_text_is_exported_as_it_was(people, memory, user, text):
    if text.strip():
        memory.store(user, [told(text, f"k-{uuid.uuid4()}", session_id=text)])
        assert text in values_of(people.export(user))


# --- who does not want to be remembered --------------------------------------------------------


def test_of_who_is_not_remembered_nothing_is_written(people, memory, profiles, user):
    fill(user, memory, profiles)
    generation = people.set_remembering(user, False)
    assert people.is_remembered(user) is False
    assert profiles.bind_person(user, "a@example.com") == BoundPerson(False, generation, False)
    for write_generation in (None, 0, generation):
        assert memory.store(user, [told("new", "new", generation=write_generation)]) == []
        with pytest.raises(PersonErasedError):
            profiles.update_user_profile(user, {"language": "fr"}, write_generation)
        with pytest.raises(PersonErasedError):
            profiles.update_onboarding_details(user, {"first_name": "B"}, write_generation)
    profiles.complete_first_login(user)
    assert profiles.get_person(user).profile.is_first_login is True
    assert sorted(values_of(people.export(user))) == ["Oslo", "blue", "red"]


def test_of_who_was_never_there_and_is_not_remembered_no_row_is_made(
    people, memory, profiles, user
):
    people.set_remembering(user, False)
    assert profiles.bind_person(user).created is False
    memory.store(user, [told("x")])
    profiles.complete_first_login(user)
    assert profiles.get_person(user).profile is None


def test_what_was_told_before_and_meanwhile_stays_away_when_it_is_turned_on_again(
    people, memory, profiles, user
):
    before = profiles.bind_person(user).generation
    people.set_remembering(user, False)
    on = people.set_remembering(user, True)
    assert memory.store(user, [told("said before", generation=before)]) == []
    assert values(memory.store(user, [told("said since", generation=on)])) == ["said since"]
    assert profiles.bind_person(user) == BoundPerson(False, on, True)


def test_saying_the_same_again_changes_nothing(people, user):
    assert people.set_remembering(user, True) == people.set_remembering(user, True) == 0
    assert people.set_remembering(user, False) == people.set_remembering(user, False) == 1


def test_an_erasure_leaves_the_wish_not_to_be_remembered(people, memory, user):
    people.set_remembering(user, False)
    people.erase(user)
    assert people.is_remembered(user) is False
    assert memory.store(user, [told("x")]) == []
