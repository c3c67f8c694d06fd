"""A whole store copied from one back end to the other, and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from config import PROJECT_ROOT, Settings
from devstack.servers.supabase import SupabaseProject
from memory import Category, NewMemory, open_memory_store
from memory.transcript import TranscriptTurn, open_transcript_store
from people import (
    ErasureUnfinishedError,
    People,
    PeopleStore,
    open_everything,
    open_people,
    open_people_store,
)
from people.copying import Copied, copy_people
from profiles import open_profile_store
from storage import Storage, StorageUnavailableError, open_storage

NOON = datetime(2026, 5, 8, 12, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Stores:
    sqlite: Storage
    supabase: Storage
    settings: dict[str, str]


@pytest.fixture
def stores(supabase: SupabaseProject, data_dir: Path) -> Iterator[Stores]:
    local = {"DATA_DIR": str(data_dir)}
    remote = {
        "SUPABASE_URL": supabase.info.url,
        "SUPABASE_SERVICE_ROLE_KEY": supabase.info.keys.service_role_key,
    }
    opened = [
        open_storage(Settings.from_environment(variables).store) for variables in (local, remote)
    ]
    yield Stores(opened[0], opened[1], {**local, **remote})
    for each in opened:
        each.close()


def told(key: str, value: str, minutes: int = 0, **fields: object) -> NewMemory:
    at = NOON + timedelta(minutes=minutes)
    return NewMemory(Category.FACT, key, value, created_at=at, **fields)  # type: ignore[arg-type]


def fill(storage: Storage, *, people: int = 3) -> list[str]:
    """Fill a store with people of every kind, and return their uuids in order."""
    users = sorted(str(uuid.uuid4()) for _ in range(people))
    memory, profiles, everything = (
        open_memory_store(storage),
        open_profile_store(storage),
        open_people(storage),
    )
    for number, user in enumerate(users):
        if number % 3 == 1:
            everything.erase(user)
        profiles.bind_person(user, f"{user}@example.com")
        profiles.update_user_profile(user, {"profile_text": f"person {number}"})
        profiles.update_onboarding_details(user, {"first_name": "Anna", "interests": ["books"]})
        memory.store(user, [told("color", "blue"), told("color", "green", 1, session_id="s")])
        memory.store(user, [told(f"k{n}", "v", 2, session_id="s") for n in range(250)])
        memory.forget(user, Category.FACT, "k3")
        said = [("user", "I like green"), ("assistant", "So do I")]
        open_transcript_store(storage).keep(
            user,
            [
                TranscriptTurn(str(uuid.uuid4()), "s", role, text, NOON + timedelta(minutes=n))  # type: ignore[arg-type]
                for n, (role, text) in enumerate(said)
            ],
        )
        if number % 3 == 2:
            everything.set_remembering(user, False)
    return users


def held(people: People, user: str) -> dict[str, object]:
    """What is held of a person, but for when it was written where it is."""
    document = people.export(user)
    del document["exported_at"]
    for part in ("user_profile", "onboarding_details"):
        document[part].pop("updated_at")
    return document


def only(store: PeopleStore, users: list[str], monkeypatch: pytest.MonkeyPatch) -> PeopleStore:
    """The store without the people of other tests."""
    monkeypatch.setattr(store, "everybody", lambda: iter(users))
    return store


def test_everybody_is_there_as_they_were_and_a_second_copy_changes_nothing(stores, monkeypatch):
    users = fill(stores.sqlite)
    source = open_people_store(stores.sqlite)
    target = open_people_store(stores.supabase)
    for _ in range(2):
        assert copy_people(source, target) == Copied(people=3, memories=3 * 251, turns=3 * 2)
        for user in users:
            expected = held(open_people(stores.sqlite), user)
            assert held(open_people(stores.supabase), user) == expected


def test_the_way_back_is_the_same(stores, monkeypatch):
    users = fill(stores.supabase)
    source = only(open_people_store(stores.supabase), users, monkeypatch)
    assert copy_people(source, open_people_store(stores.sqlite)).memories == 3 * 251
    for user in users:
        expected = held(open_people(stores.supabase), user)
        assert held(open_people(stores.sqlite), user) == expected


def test_a_copy_that_was_interrupted_goes_on_where_it_stopped(stores, monkeypatch):
    users = fill(stores.sqlite)
    source, target = open_people_store(stores.sqlite), open_people_store(stores.supabase)
    restore = target.restore_memories
    calls: list[str] = []
    done: list[str] = []

    def breaks(user, memories):
        calls.append(user)
        if len(calls) == 4:
            raise StorageUnavailableError("away")
        return restore(user, memories)

    with monkeypatch.context() as broken:
        broken.setattr(target, "restore_memories", breaks)
        with pytest.raises(StorageUnavailableError):
            copy_people(source, target, on_person=done.append)
    assert done == users[:1]
    assert copy_people(source, target, after=done[-1]).people == 2
    for user in users:
        expected = held(open_people(stores.sqlite), user)
        assert held(open_people(stores.supabase), user) == expected


def test_who_was_erased_there_stays_erased(stores):
    [user] = fill(stores.sqlite, people=1)
    people = open_people(stores.supabase)
    people.erase(user)
    copied = copy_people(open_people_store(stores.sqlite), open_people_store(stores.supabase))
    assert (copied.memories, copied.left_out, copied.turns) == (0, 251, 0)
    assert people.export(user)["memories"] == people.export(user)["turns"] == []
    assert people.export(user)["user_profile"] is None


def test_what_is_there_already_wins_and_the_histories_are_one(stores):
    [user] = fill(stores.sqlite, people=1)
    there = open_memory_store(stores.supabase)
    there.store(user, [told("color", "red", 5)])
    open_profile_store(stores.supabase).update_user_profile(user, {"profile_text": "mine"})
    copy_people(open_people_store(stores.sqlite), open_people_store(stores.supabase))
    history = there.history(user, Category.FACT, "color")
    assert [each.value for each in history] == ["red", "green", "blue"]
    assert open_profile_store(stores.supabase).get_person(user).about.profile_text == "mine"


def test_whom_the_target_refuses_is_named_and_the_others_are_copied(stores):
    users = fill(stores.sqlite)
    taken = open_people_store(stores.sqlite).memories(users[1])
    stranger = str(uuid.uuid4())
    open_people_store(stores.supabase).restore_memories(stranger, [next(taken)])
    copied = copy_people(open_people_store(stores.sqlite), open_people_store(stores.supabase))
    assert copied.people == 2
    assert list(copied.failed) == [users[1]]


@pytest.fixture
def copied(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> str:
    """Somebody who was copied to Supabase and whose file is still here."""
    for name, value in stores.settings.items():
        monkeypatch.setenv(name, value)
    [user] = fill(stores.sqlite, people=1)
    copy_people(open_people_store(stores.sqlite), open_people_store(stores.supabase))
    return user


def words_in(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if b"green" in path.read_bytes()]


def test_what_the_file_still_holds_of_whom_was_copied_is_exported_and_erased_too(
    stores, copied, data_dir
):
    people = open_everything(stores.supabase)
    left = people.export(copied)["elsewhere"]["person_file"]
    kinds = Counter(record["kind"] for record in left)
    rows = {"profile": 1, "user_profile": 1, "onboarding_details": 1}
    assert kinds == {**rows, "memory": 251, "turn": 2}
    assert words_in(data_dir) != []
    assert people.erase(copied).elsewhere["person_file"] == 251 + 3
    assert words_in(data_dir) == []
    assert people.export(copied)["elsewhere"]["person_file"] == []
    [file] = (data_dir / "people").glob("*.db")
    assert file.stem == copied


def test_what_is_told_to_the_file_after_an_erasure_can_be_copied_again(stores, copied):
    for _ in range(3):
        open_people(stores.supabase).erase(copied)
    assert open_everything(stores.supabase).erase(copied).generation == 4
    local = open_memory_store(stores.sqlite)
    local.store(
        copied, [told("since", "v", generation=open_people(stores.sqlite).generation(copied))]
    )
    again = copy_people(open_people_store(stores.sqlite), open_people_store(stores.supabase))
    assert (again.memories, again.left_out) == (1, 0)


def test_where_somebody_reads_the_file_all_else_is_erased_and_the_error_says_what_stays(
    stores, copied, data_dir, monkeypatch
):
    monkeypatch.setattr("people.sqlite_store.scrub", lambda *_: False)
    with pytest.raises(ErasureUnfinishedError, match="erase once more") as caught:
        open_everything(stores.supabase).erase(copied)
    assert caught.value.erasure.memories == 251
    assert set(caught.value.erasure.elsewhere) >= {"outbox", "conversation", "person_file"}
    assert open_people(stores.supabase).export(copied)["memories"] == []


def test_of_somebody_without_a_file_none_is_made(stores, data_dir, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    people, user = open_everything(stores.supabase), str(uuid.uuid4())
    assert people.export(user)["elsewhere"]["person_file"] == []
    assert people.erase(user).elsewhere["person_file"] == 0
    assert not (data_dir / "people").exists()


def test_where_the_files_are_the_store_an_erasure_is_one(stores, data_dir, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    [user] = fill(stores.sqlite, people=1)
    erasure = open_everything(stores.sqlite).erase(user)
    assert (erasure.generation, "person_file" in erasure.elsewhere) == (1, False)


def test_the_command_copies_and_says_how_much(stores):
    fill(stores.sqlite, people=1)
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **stores.settings,
        "ENV_FILE": os.devnull,
    }
    command = [sys.executable, "-m", "memory", "copy", "--from", "sqlite", "--to", "supabase"]
    done = subprocess.run(
        command, cwd=PROJECT_ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = {"people": 1, "memories": 251, "turns": 2, "left_out": 0, "failed": 0}
    assert json.loads(done.stdout) == expected
