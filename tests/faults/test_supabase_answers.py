"""An answer that is not the database's becomes an error that says what to check."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from config import Settings
from memory import MemoryStore, open_memory_store
from memory.model import Category, NewMemory
from profiles import ProfileStore, open_profile_store
from storage import StorageError, open_storage
from storage.errors import StorageRefusedError, StorageUnavailableError
from tests.faults.proxy import FaultyProxy, Mode

USER = "edabafbb-61ad-51d6-9fd8-e976c892a731"
Call = Callable[[MemoryStore, ProfileStore], object]

CALLS: dict[str, Call] = {
    "store": lambda m, _: m.store(USER, [NewMemory(Category.FACT, "color", "blue")]),
    "retrieve": lambda m, _: m.retrieve(USER, Category.FACT, "color"),
    "search": lambda m, _: m.candidates(USER, [["blue"]], 5),
    "list": lambda m, _: m.list_memories(USER, None, 5),
    "history": lambda m, _: m.history(USER, Category.FACT, "color"),
    "forget": lambda m, _: m.forget(USER, None, "color"),
    "ensure profile": lambda _, p: p.ensure_profile_exists(USER, "alice@example.com"),
    "get person": lambda _, p: p.get_person(USER),
    "complete first login": lambda _, p: p.complete_first_login(USER),
    "update profile": lambda _, p: p.update_user_profile(USER, {"language": "de"}),
    "forget profile": lambda _, p: p.forget_user_profile(USER),
    "update details": lambda _, p: p.update_onboarding_details(USER, {"first_name": "Al"}),
    "forget details": lambda _, p: p.forget_onboarding_details(USER),
}

ERRORS: dict[Mode, tuple[type[StorageError], str]] = {
    Mode.HTML: (StorageUnavailableError, "SUPABASE_URL"),
    Mode.OBJECT: (StorageUnavailableError, "SUPABASE_URL"),
    Mode.WRONG_KEY: (StorageRefusedError, "SUPABASE_SERVICE_ROLE_KEY"),
}


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    with FaultyProxy("http://127.0.0.1:9") as running:
        yield running


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("mode", ERRORS, ids=lambda mode: mode.name)
def test_every_call_says_which_setting_to_check(mode, call, proxy):
    proxy.set(mode)
    error, setting = ERRORS[mode]
    variables = {"SUPABASE_URL": proxy.url, "SUPABASE_SERVICE_ROLE_KEY": "wrong"}
    storage = open_storage(Settings.from_environment(variables).store)
    try:
        with pytest.raises(error, match=setting):
            call(open_memory_store(storage), open_profile_store(storage))
    finally:
        storage.close()
