"""One suite for every back end that holds whole people."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from config import PROJECT_ROOT
from memory import Category, Memory, MemoryStore, NewMemory, open_memory_store
from memory.search import search
from people import People, Standing, open_people, open_people_store
from profiles import BoundPerson, ProfileStore, UserProfile, open_profile_store
from storage import NotRememberedError, PersonErasedError, Storage, StorageRejectedError

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


def found(store: MemoryStore, person: str, text: str) -> list[Memory]:
    return search(store, person, text, 10, now=datetime.now(timezone.utc))


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
    assert found(memory, user, "blue red Oslo") == []
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
    assert values(found(memory, user, "red")) == ["red"]


def test_erasing_again_raises_the_fence_again(people, user):
    assert [people.erase(user).generation for _ in range(3)] == [1, 2, 3]


def test_other_places_are_erased_and_exported_too(storage, memory, user):
    waiting = {user: ["one", "two"]}
    people = open_people(
        storage,
        also_erase={"outbox": lambda person, generation: len(waiting.pop(person)) + generation},
        also_export={"outbox": lambda person: [{"value": v} for v in waiting.get(person, [])]},
    )
    assert people.export(user)["elsewhere"] == {"outbox": [{"value": "one"}, {"value": "two"}]}
    assert people.erase(user).elsewhere == {"outbox": 2 + 1}, "the new generation is told"
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
    assert values_of(document)[2:] == ["red", "Rome", "Paris"]
    assert set(values_of(document)[:2]) == {"blue", "Oslo"}
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
        with pytest.raises((PersonErasedError, NotRememberedError)):
            profiles.update_user_profile(user, {"language": "fr"}, write_generation)
        with pytest.raises((PersonErasedError, NotRememberedError)):
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


# --- moving ------------------------------------------------------------------------------------


def test_a_move_makes_everything_another_persons_and_erases_the_source(
    people, memory, profiles, user, other_user
):
    fill(user, memory, profiles)
    held = people.export(user)
    move = people.move(user, other_user, "anna@example.com")
    assert (move.moved, move.memories, move.merged_keys, move.generation) == (True, 3, 0, 1)
    moved = people.export(other_user)
    assert moved["memories"] == held["memories"]
    assert moved["profile"]["email"] == "anna@example.com"
    assert moved["user_profile"]["profile_text"] == "Has two cats."
    assert moved["onboarding_details"]["first_name"] == "Anna"
    assert moved["profile"]["created_at"] == held["profile"]["created_at"]
    assert values(found(memory, other_user, "red")) == ["red"]
    assert people.export(user)["memories"] == []
    assert memory.store(user, [told("late", generation=0)]) == []


def test_of_two_current_values_the_newer_one_stays_and_all_are_history(
    people, memory, user, other_user
):
    memory.store(user, [told("green", minutes=0), told("red", minutes=2), told("cat", "pet", 1)])
    memory.store(other_user, [told("blue", minutes=1), told("dog", "pet", 2), told("x", "only")])
    assert people.move(user, other_user).merged_keys == 2
    history = memory.history(other_user, FACT, "color")
    assert values(history) == ["red", "blue", "green"]
    assert [m.superseded_at for m in history] == [None, *(m.created_at for m in history[:-1])]
    assert memory.retrieve(other_user, FACT, "pet").value == "dog"
    assert values(found(memory, other_user, "red blue dog cat")) in (
        ["red", "dog"],
        ["dog", "red"],
    )


def test_in_the_profile_what_the_target_said_itself_wins(people, profiles, user, other_user):
    profiles.bind_person(user, "old@example.com")
    profiles.update_user_profile(user, {"profile_text": "old", "language": "de"})
    profiles.update_onboarding_details(user, {"first_name": "Old", "interests": ["books"]})
    profiles.complete_first_login(user)
    profiles.bind_person(other_user, "new@example.com")
    profiles.update_user_profile(other_user, {"profile_text": "new", "time_zone": "Europe/Oslo"})
    profiles.update_onboarding_details(other_user, {"occupation": "nurse"})
    people.move(user, other_user, "ignored@example.com")
    person = profiles.get_person(other_user)
    assert person.about == UserProfile("new", "de", "Europe/Oslo")
    assert (person.details.first_name, person.details.occupation) == ("Old", "nurse")
    assert person.details.interests == ("books",)
    assert (person.profile.email, person.profile.is_first_login) == ("new@example.com", False)


def test_moving_again_changes_nothing(people, memory, profiles, user, other_user):
    fill(user, memory, profiles)
    people.move(user, other_user)
    before = people.export(other_user)
    move = people.move(user, other_user)
    assert (move.moved, move.memories, move.generation) == (False, 0, 1)
    assert {**people.export(other_user), "exported_at": ""} == {**before, "exported_at": ""}


def test_very_many_memories_are_moved_in_several_steps(
    people, memory, user, other_user, monkeypatch
):
    monkeypatch.setattr("people.supabase_store._MOVED_AT_ONCE", 2)
    memory.store(user, [told(f"{n}", f"k{n // 2}", n) for n in range(7)])
    memory.store(other_user, [told("theirs", "k1", 100)])
    people.set_remembering(user, False)
    move = people.move(user, other_user)
    assert (move.moved, move.memories, move.merged_keys, move.generation) == (True, 7, 1, 2)
    assert len(people.export(other_user)["memories"]) == 8
    assert memory.retrieve(other_user, FACT, "k1").value == "theirs"
    assert memory.retrieve(other_user, FACT, "k3").value == "6"
    assert people.is_remembered(other_user) is False


def test_nobody_is_moved_onto_themselves(people, memory, user):
    memory.store(user, [told("blue")])
    with pytest.raises(StorageRejectedError):
        people.move(user, user)
    assert len(people.export(user)["memories"]) == 1


@pytest.mark.parametrize("who", ["source", "target"])
def test_who_is_not_remembered_under_one_name_is_not_under_the_other(
    people, memory, user, other_user, who
):
    memory.store(user, [told("blue")])
    people.set_remembering(user if who == "source" else other_user, False)
    people.move(user, other_user)
    assert people.is_remembered(other_user) is False
    assert values_of(people.export(other_user)) == ["blue"]
    assert memory.store(other_user, [told("red", minutes=1)]) == []


def test_a_target_that_was_erased_before_takes_what_is_moved_to_it(
    people, memory, user, other_user
):
    people.erase(other_user)
    memory.store(user, [told("blue")])
    people.move(user, other_user)
    assert memory.retrieve(other_user, FACT, "color").generation == 1


# --- writing what another store holds ----------------------------------------------------------


def copy(storage: Storage, source: str, target: str) -> int:
    """Give one person what another one has, as a copy between two stores does."""
    store = open_people_store(storage)
    memories = [replace(m, id=copied_id(m.id)) for m in store.memories(source)]
    store.restore_records(target, store.records(source), store.standing(source).generation)
    return store.restore_memories(target, memories)


def copied_id(write_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, write_id))


def test_what_is_restored_is_as_it_was(storage, people, memory, profiles, user, other_user):
    fill(user, memory, profiles)
    memory.store(user, [told("a", "a", session_id="s"), told("b", "b", session_id="s")])
    memory.forget(user, FACT, "a")
    for _ in range(2):
        assert copy(storage, user, other_user) == 4
        original, restored = people.export(user), people.export(other_user)
        for each in (*original["memories"], *restored["memories"]):
            del each["id"]
        assert sorted(restored["memories"], key=str) == sorted(original["memories"], key=str)
        assert restored["profile"] == original["profile"]
        assert restored["onboarding_details"]["first_name"] == "Anna"
    assert next(m["place"] for m in restored["memories"] if m["key"] == "b") == 2


def test_a_value_that_had_ended_stays_ended(storage, people, memory, user, other_user):
    plan = told("Rome", "trip", 1, expires_at=NOON + timedelta(hours=1))
    memory.store(user, [told("Oslo", "trip"), plan])
    people.store.delete_expired()
    assert copy(storage, user, other_user) == 1
    assert memory.retrieve(other_user, FACT, "trip") is None
    assert len(memory.history(other_user, FACT, "trip")) == 1


def test_what_was_erased_here_is_not_restored_from_there(
    storage, people, memory, profiles, user, other_user
):
    fill(user, memory, profiles)
    people.erase(other_user)
    assert copy(storage, user, other_user) == 0
    assert people.export(other_user)["memories"] == []
    assert people.export(other_user)["profile"] is None


def test_a_fence_is_raised_and_never_lowered(people, user):
    store = people.store
    store.raise_fence(user, Standing(3, remembered=True))
    store.raise_fence(user, Standing(2, remembered=False))
    store.raise_fence(user, Standing(1, remembered=True))
    assert store.standing(user) == Standing(3, remembered=False)


def test_everybody_is_found_the_erased_too(people, memory, user, other_user):
    memory.store(user, [told("blue")])
    people.erase(other_user)
    found = list(people.store.everybody())
    assert {user, other_user} <= set(found)
    assert found == sorted(found)


# --- retention ---------------------------------------------------------------------------------


def test_who_did_not_come_back_is_idle_and_is_erased(people, memory, profiles, user, other_user):
    for person in (user, other_user):
        profiles.bind_person(person)
        memory.store(person, [told("blue")])
    future = datetime.now(timezone.utc) + timedelta(days=1)
    past = future - timedelta(days=2)
    assert {user, other_user} <= set(people.store.idle(future))
    assert not {user, other_user} & set(people.store.idle(past))
    assert people.erase_if_idle(user, past) is None
    assert people.erase_if_idle(user, future).memories == 1
    assert user not in set(people.store.idle(future))
    assert people.erase_if_idle(user, future) is None
    assert people.generation(user) == 1


def test_a_memory_is_activity_even_where_the_person_was_bound_long_ago(
    people, memory, profiles, user
):
    profiles.bind_person(user)
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    memory.store(user, [NewMemory(FACT, "k", "v", created_at=tomorrow + timedelta(days=1))])
    assert user not in set(people.store.idle(tomorrow))
    assert people.erase_if_idle(user, tomorrow) is None


def test_what_has_expired_is_deleted_for_good_and_nothing_else(people, memory, user):
    later = datetime.now(timezone.utc) + timedelta(days=1)
    memory.store(user, [told("a", "a", expires_at=NOON), told("b", "b", expires_at=later)])
    memory.store(user, [told("c", "c")])
    assert people.store.delete_expired() >= 1
    assert sorted(values_of(people.export(user))) == ["b", "c"]
    assert people.store.delete_expired() == 0


# --- at once -----------------------------------------------------------------------------------


def test_nothing_told_before_an_erasure_is_there_however_many_write_meanwhile(
    people, memory, profiles, user
):
    before = profiles.bind_person(user).generation
    erased = threading.Event()
    begun = threading.Barrier(5)

    def write(writer: int) -> int:
        begun.wait()
        number = 0
        while not (erased.is_set() and number >= 5):
            memory.store(user, [told("v", f"{writer}-{number}", generation=before)])
            number += 1
        return number

    with ThreadPoolExecutor(4) as executor:
        writers = [executor.submit(write, n) for n in range(4)]
        try:
            begun.wait()
            erasure = people.erase(user)
        finally:
            erased.set()
        assert all(writer.result() >= 5 for writer in writers)
    assert erasure.generation == before + 1
    assert people.export(user)["memories"] == []
    assert people.export(user)["profile"] is None
