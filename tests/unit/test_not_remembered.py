"""Who does not want to be remembered, and sessions that do not know it yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.conversation import Conversation
from assistant.preparation import bind_later
from assistant.wishes import Wishes
from config import Settings
from memory import MemoryManager, NewMemory, SqliteMemoryStore
from people import People, SqlitePeopleStore
from profiles import ProfileManager, SqliteProfileStore
from session_context import (
    NoSessionUserError,
    get_session_remembered,
    set_session_remembered,
    set_session_user,
)
from storage import NotRememberedError, StorageUnavailableError, StoreThreads
from storage.person_file import PersonFiles

ALICE = "edabafbb-61ad-51d6-9fd8-e976c892a731"


@pytest.fixture
def files(data_dir: Path) -> Iterator[PersonFiles]:
    opened = PersonFiles(data_dir)
    yield opened
    opened.close()


@pytest.fixture
def people(files: PersonFiles) -> People:
    return People(SqlitePeopleStore(files))


@pytest.fixture
def memory(files: PersonFiles) -> MemoryManager:
    return MemoryManager(lambda: SqliteMemoryStore(files))


@pytest.fixture
def profiles(files: PersonFiles) -> ProfileManager:
    return ProfileManager(lambda: SqliteProfileStore(files))


class Unreachable(SqliteProfileStore):
    """A profile store that is away for its first calls."""

    def __init__(self, files: PersonFiles, away_for: int) -> None:
        super().__init__(files)
        self.away_for = away_for

    def bind_person(self, user, original_identity=None):
        if self.away_for > 0:
            self.away_for -= 1
            raise StorageUnavailableError("away")
        return super().bind_person(user, original_identity)


def conversation(memory: MemoryManager | None, profiles: ProfileManager | None) -> Conversation:
    return Conversation(
        Settings.from_environment({}),
        memory=memory,
        profiles=profiles,
        wishes=Wishes(session_id="s-1"),
    )


def tools_of(talk: Conversation) -> set[str]:
    return {tool.info.name for tool in talk._assistant().tools}  # type: ignore[union-attr]


async def test_nobody_is_bound_and_everybody_is_remembered_until_a_store_says_otherwise():
    assert get_session_remembered() is True
    with pytest.raises(NoSessionUserError):
        set_session_remembered(False)
    set_session_user("alice@example.com")
    assert get_session_remembered() is True


async def test_a_session_whose_person_is_not_remembered_finds_and_keeps_nothing(memory):
    set_session_user("alice@example.com")
    memory.store("FACT", "color", "blue")
    set_session_remembered(False)
    assert memory.retrieve("FACT", "color") is None
    assert memory.search("blue color") == []
    assert memory.list_memories() == []
    assert memory.history("FACT", "color") == []
    with pytest.raises(NotRememberedError):
        memory.store("FACT", "color", "red")
    assert memory.forget("FACT", "color") == 1, "to forget is never refused"


async def test_a_session_that_does_not_know_yet_keeps_but_recalls_nothing(memory):
    set_session_user("alice@example.com")
    set_session_remembered(None)
    memory.store("FACT", "color", "blue")
    assert memory.search("color") == []
    assert memory.retrieve("FACT", "color") == "blue"
    set_session_remembered(True)
    assert len(memory.search("color")) == 1


async def test_a_conversation_with_somebody_who_is_not_remembered_has_no_memory(
    people, memory, profiles
):
    set_session_user("alice@example.com")
    memory.store("FACT", "color", "blue")
    profiles.change_details(first_name="Anna")
    people.set_remembering(ALICE, False)
    talk = conversation(memory, profiles)
    assert await talk.prepare() is False
    assert talk._material.person.details.first_name is None
    assert tools_of(talk) == tools_of(conversation(None, None))
    assert talk._remembered is None
    await talk.aclose()
    assert get_session_remembered() is False


async def test_what_was_read_before_it_was_known_is_not_used(files, memory, profiles):
    set_session_user("alice@example.com")
    profiles.change_details(first_name="Anna")
    talk = conversation(memory, ProfileManager(lambda: Unreachable(files, away_for=1_000)))
    assert await talk.prepare() is False
    assert talk._material.person.details.first_name is None
    assert get_session_remembered() is None
    await talk.aclose()


@pytest.mark.parametrize("wish", [True, False])
async def test_what_was_not_known_in_time_is_asked_again_until_it_is(
    files, people, monkeypatch, wish
):
    monkeypatch.setattr("assistant.preparation._FIRST_RETRY_S", 0.001)
    people.set_remembering(ALICE, wish)
    set_session_user("alice@example.com")
    set_session_remembered(None)
    threads = StoreThreads(1)
    store = Unreachable(files, away_for=3)
    try:
        await bind_later(ProfileManager(lambda: store), threads)
    finally:
        threads.close()
    assert store.away_for == 0
    assert get_session_remembered() is wish


async def test_what_a_session_that_does_not_know_tells_is_dropped_by_the_store(people, files):
    people.set_remembering(ALICE, False)
    store = SqliteMemoryStore(files)
    assert store.store(ALICE, [NewMemory("FACT", "k", "v")]) == []  # type: ignore[arg-type]
    assert people.export(ALICE)["memories"] == []
