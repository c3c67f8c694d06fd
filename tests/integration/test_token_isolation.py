"""With a token of Alice's no bug of ours reaches Bob's rows, however many people there are and
however long a call lasts."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from devstack.waiting import eventually
from memory import Category, NewMemory
from session_context import livekit_identity_to_uuid
from storage import StorageRefusedError, StorageRejectedError
from storage.signing_key import SigningKey
from storage.supabase_clients import SupabaseClients, execute, rows
from storage.user_tokens import UserTokens
from tests.integration.token_world import (
    SECRET,
    World,
    minting,
    new_person,
    searched,
    stores,
    values,
    wide_open,
    world,
)

__all__ = ["wide_open", "world"]


# --- a bug of ours: Alice's client, Bob's name


class AlwaysAlices:
    """The clients of a worker that mixes people up: everybody gets Alice's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def client_for(self, _: str) -> Any:
        return self._world.clients.client_for(self._world.alice)

    service_client = None


def test_a_store_that_asks_with_the_wrong_persons_client_finds_nothing(world):
    memories, profiles = stores(AlwaysAlices(world))  # type: ignore[arg-type]
    assert memories.retrieve(world.bob, Category.FACT, "instrument") is None
    assert memories.list_memories(world.bob, None, 10) == []
    assert memories.history(world.bob, Category.FACT, "instrument") == []
    assert profiles.get_person(world.bob).profile is None
    assert values(memories.list_memories(world.alice, None, 10)) == ["Accordion"]


def test_a_search_with_the_wrong_persons_client_finds_nothing(world):
    memories, _ = stores(AlwaysAlices(world))  # type: ignore[arg-type]
    found = []
    with suppress(StorageRefusedError):  # which it may be as well
        found = searched(memories, world.bobs_identity, "instrument")
    assert found == []
    assert values(searched(memories, world.alices_identity, "instrument")) == ["Accordion"]


def test_a_store_that_writes_with_the_wrong_persons_client_changes_nothing(world):
    memories, profiles = stores(AlwaysAlices(world))  # type: ignore[arg-type]
    before = world.all_of(world.bob)
    assert memories.forget(world.bob, Category.FACT, "instrument") == 0
    assert profiles.forget_user_profile(world.bob) is False
    assert profiles.forget_onboarding_details(world.bob) is False
    for write in (
        lambda: memories.store(world.bob, [NewMemory(Category.FACT, "instrument", "drum")]),
        lambda: profiles.update_user_profile(world.bob, {"language": "de"}),
        lambda: profiles.update_onboarding_details(world.bob, {"first_name": "Mallory"}),
        lambda: profiles.complete_first_login(world.bob),
    ):
        with pytest.raises(StorageRefusedError):
            write()
    assert world.all_of(world.bob) == before


def test_a_write_id_of_somebody_else_is_refused_and_tells_nothing_of_them(world):
    memories, _ = stores(world.clients)
    before = world.all_of(world.bob)
    stolen = NewMemory(Category.FACT, "instrument", "drum", id=world.bobs_memory)
    with pytest.raises(StorageRejectedError) as refused:
        memories.store(world.alice, [stolen])
    assert SECRET not in str(refused.value.__cause__)
    assert world.all_of(world.bob) == before


def test_a_persons_email_address_is_not_theirs_to_change(supabase):
    storage = minting(supabase)
    person = str(uuid.uuid4())
    assert storage.supabase is not None
    _, profiles = stores(storage.supabase)
    profiles.bind_person(person, "alice@example.com")
    table = storage.supabase.client_for(person).table("profiles")
    for write in (
        table.update({"email": "mallory@example.com"}).eq("id", person),
        table.upsert({"id": person, "email": "mallory@example.com"}),
    ):
        with pytest.raises(StorageRefusedError, match="migrat"):
            write.execute()
    profile = profiles.get_person(person).profile
    assert profile is not None
    assert profile.email == "alice@example.com"
    storage.close()


# --- many people over one connection pool


def test_a_hundred_threads_with_people_of_their_own_never_see_each_others_rows(supabase):
    storage = minting(supabase)
    clients = storage.supabase
    assert clients is not None
    memories, _ = stores(clients)
    people = [new_person() for _ in range(100)]
    together = threading.Barrier(100)

    def live(identity: str) -> set[str]:
        person = livekit_identity_to_uuid(identity)
        together.wait()
        memories.store(person, [NewMemory(Category.FACT, "keepsake", person)])
        seen = set()
        for _ in range(4):
            client = clients.client_for(person)
            # No filter at all: the token alone decides.
            for table, column in (("memory", "user_id"), ("profiles", "id")):
                found = execute(client.table(table).select(column), rows)
                seen |= {row[column] for row in found}
            seen |= set(values(searched(memories, identity, "keepsake")))
        return seen

    with ThreadPoolExecutor(100) as executor:
        for identity, seen in zip(people, executor.map(live, people), strict=True):
            assert seen == {livekit_identity_to_uuid(identity)}
    storage.close()


# --- renewal


async def test_a_call_that_outlives_its_token_goes_on_with_a_new_one(supabase):
    keys = supabase.info.keys
    key = SigningKey("SUPABASE_JWT_SECRET", "HS256", keys.jwt_secret)
    clients = SupabaseClients(
        supabase.info.url,
        keys.service_role_key,
        timeout_s=5,
        # PostgREST forgives 30 s of lag: with most of it used up the wait is short.
        tokens=UserTokens(key, lifetime_s=2, clock=lambda: time.time() - 25),
    )
    memories, _ = stores(clients)
    person = str(uuid.uuid4())
    memories.store(person, [NewMemory(Category.FACT, "color", "blue")])
    query_of_the_first_token = clients.client_for(person).table("memory").select("value")

    def first_token_is_refused() -> bool:
        # Whenever its end comes, the call itself goes on.
        [told] = memories.list_memories(person, None, 10)
        assert told.value == "blue"
        try:
            query_of_the_first_token.execute()
        except StorageRefusedError:
            return True
        return False

    await eventually(first_token_is_refused, 60)
    with pytest.raises(StorageRefusedError, match=r"SUPABASE_JWT_SECRET.*clock"):
        query_of_the_first_token.execute()
    [told] = memories.list_memories(person, None, 10)
    assert told.value == "blue"
    clients.close()
