"""With a token of Alice's nothing reaches Bob's rows: no store call that names him by mistake,
and no request that somebody crafts."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import httpx
import pytest

from config import Settings
from devstack.servers.supabase import SupabaseProject
from devstack.waiting import eventually
from memory import Category, Memory, NewMemory, SupabaseMemoryStore
from migrations.apply import apply
from profiles import SupabaseProfileStore
from storage import Storage, StorageRefusedError, StorageRejectedError, open_storage
from storage.signing_key import SigningKey
from storage.supabase_clients import SupabaseClients, execute, rows
from storage.user_tokens import UserTokens
from tests.services import started

SECRET = "Xylophone"
TABLES = ("memory", "user_profiles", "onboarding_details", "person_fences")


class World(NamedTuple):
    """A project in which Alice and Bob are known.

    Attributes:
        project: the project.
        storage: the product's storage, which mints tokens.
        alice: her uuid.
        bob: his.
        bobs_memory: the id of what he told, which holds the secret.
    """

    project: SupabaseProject
    storage: Storage
    alice: str
    bob: str
    bobs_memory: str

    @property
    def clients(self) -> SupabaseClients:
        assert self.storage.supabase is not None
        return self.storage.supabase

    def ask(
        self, person: str, method: str, path: str, body: object = None, prefer: str = ""
    ) -> httpx.Response:
        """Send what the person may craft, with their own token."""
        sent = self.clients.client_for(person).postgrest.headers
        headers = {"apikey": sent["apikey"], "Authorization": sent["Authorization"]}
        url = f"{self.project.info.url}/rest/v1{self.filled(path)}"
        return httpx.request(
            method, url, headers={**headers, "Prefer": prefer}, json=self.filled(body)
        )

    def filled(self, template: Any) -> Any:
        if isinstance(template, str):
            for name, value in (("ALICE", self.alice), ("MEM", self.bobs_memory)):
                template = template.replace(name, value)
            return template.replace("BOB", self.bob).replace("NEW", str(uuid.uuid4()))
        if isinstance(template, dict):
            return {name: self.filled(value) for name, value in template.items()}
        if isinstance(template, list):
            return [self.filled(value) for value in template]
        return template

    def all_of(self, person: str) -> dict[str, Any]:
        """Everything there is of a person, as the service role sees it."""
        service = self.clients.service_client()
        kept = {
            name: service.table(name).select("*").eq("user_id", person).execute().data
            for name in TABLES
        }
        profile = service.table("profiles").select("*").eq("id", person).execute().data
        return {**kept, "profiles": profile}


def minting(project: SupabaseProject) -> Storage:
    keys = project.info.keys
    variables = {
        "SUPABASE_URL": project.info.url,
        "SUPABASE_SERVICE_ROLE_KEY": keys.service_role_key,
        "SUPABASE_ANON_KEY": keys.publishable_key,
        "SUPABASE_JWT_SIGNING_KEY": keys.signing_key,
    }
    return open_storage(Settings.from_environment(variables).store)


@pytest.fixture(scope="module")
def wide_open(postgres) -> Iterator[SupabaseProject]:
    """A project whose owner granted authenticated everything: the policies stand alone."""
    database = postgres.create_supabase_database()
    apply(database.url)
    database.execute("grant all on all tables in schema public to authenticated")
    database.execute("grant all on all functions in schema public, voice_agent to authenticated")
    project = started(lambda: SupabaseProject(database))
    yield project
    project.stop()
    postgres.drop_database(database)


@pytest.fixture(params=["as migrated", "all granted"])
def world(request, supabase) -> Iterator[World]:
    """The rights as the migrations give them, and the policies without their help."""
    wide = request.param == "all granted"
    project = request.getfixturevalue("wide_open") if wide else supabase
    storage = minting(project)
    people = [str(uuid.uuid4()) for _ in range(2)]
    assert storage.supabase is not None
    memories, profiles = stores(storage.supabase)
    fences = storage.supabase.service_client().table("person_fences")
    kept = []
    for person, value in zip(people, ("Accordion", SECRET), strict=True):
        fences.insert({"user_id": person, "generation": 1}).execute()
        profiles.bind_person(person, f"{value}@example.com")
        kept += memories.store(person, [NewMemory(Category.FACT, "instrument", value)])
        profiles.update_user_profile(person, {"profile_text": f"plays the {value}"})
        profiles.update_onboarding_details(person, {"first_name": value, "interests": [value]})
    alice, bob = people
    yield World(project, storage, alice, bob, bobs_memory=kept[1].id)
    storage.close()


def stores(clients: SupabaseClients) -> tuple[SupabaseMemoryStore, SupabaseProfileStore]:
    return SupabaseMemoryStore(clients), SupabaseProfileStore(clients)


def values(memories: list[Memory]) -> list[str]:
    return [memory.value for memory in memories]


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
        found = memories.search(world.bob, ["instrument"], 10)
    assert found == []
    assert memories.search(world.alice, ["instrument"], 10) != []


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


# --- crafted requests

READS = [
    "/memory",
    "/memory?user_id=eq.BOB",
    "/memory?user_id=neq.ALICE",
    "/memory?user_id=not.is.null",
    "/memory?or=(user_id.eq.BOB,user_id.eq.ALICE)",
    "/memory?and=(user_id.eq.BOB,or(id.eq.MEM,value.ilike.*))",
    "/memory?id=eq.MEM",
    "/memory?id=in.(MEM)",
    "/memory?value=ilike.*Xylo*",
    "/memory?select=value,profiles(*)",
    "/memory?select=value,profiles!inner(email,user_profiles(*))&profiles.id=eq.BOB",
    "/profiles?id=eq.BOB",
    "/profiles?select=*,memory(*),user_profiles(*),onboarding_details(*)",
    "/profiles?select=id,memory!inner(*)&memory.user_id=eq.BOB",
    "/user_profiles?user_id=eq.BOB",
    "/user_profiles?select=*,profiles(*,memory(*))",
    "/onboarding_details?user_id=eq.BOB",
    "/onboarding_details?interests=cs.{Xylophone}",
    "/rpc/search_memory?p_user=BOB&p_words={instrument}&p_limit=10",
]

OLDER = {"id": "NEW", "user_id": "BOB", "category": "FACT", "key": "k", "value": "v"}
MEMORY = {**OLDER, "generation": 1}
TOLD = {**MEMORY, "created_at": "2026-01-01"}
OVER_BOBS = {**MEMORY, "id": "MEM", "key": "instrument"}
HIS_TO_HER = {**OVER_BOBS, "user_id": "ALICE"}
MERGE = "resolution=merge-duplicates,return=representation"
BACK = "return=representation"

WRITES: list[tuple[str, str, Any, str]] = [
    ("POST", "/memory", MEMORY, BACK),
    ("POST", "/memory", [{**MEMORY, "user_id": "ALICE"}, MEMORY], BACK),
    ("POST", "/memory", OLDER, BACK),
    ("POST", "/memory", OVER_BOBS, MERGE),
    ("POST", "/memory", HIS_TO_HER, MERGE),
    ("POST", "/memory?on_conflict=id", HIS_TO_HER, "resolution=ignore-duplicates"),
    ("PUT", "/memory?id=eq.MEM", HIS_TO_HER, BACK),
    ("PATCH", "/memory?user_id=eq.BOB", {"superseded_at": "2020-01-01"}, BACK),
    ("PATCH", "/memory?id=eq.MEM", {"user_id": "ALICE"}, BACK),
    ("PATCH", "/memory?user_id=eq.ALICE", {"user_id": "BOB"}, BACK),
    ("PATCH", "/memory?or=(user_id.eq.BOB,id.eq.MEM)", {"superseded_at": None}, BACK),
    ("DELETE", "/memory?user_id=eq.BOB", None, BACK),
    ("DELETE", "/memory?or=(id.eq.MEM,user_id.eq.BOB)", None, BACK),
    ("POST", "/profiles", {"id": "BOB", "is_first_login": False}, MERGE),
    ("PATCH", "/profiles?id=eq.BOB", {"is_first_login": False}, BACK),
    ("PATCH", "/profiles?id=eq.ALICE", {"id": "BOB"}, BACK),
    ("DELETE", "/profiles?id=eq.BOB", None, BACK),
    ("POST", "/user_profiles", {"user_id": "BOB", "profile_text": "x"}, MERGE),
    ("PATCH", "/user_profiles?user_id=eq.ALICE", {"user_id": "BOB"}, BACK),
    ("DELETE", "/user_profiles?user_id=eq.BOB", None, BACK),
    ("POST", "/onboarding_details", {"user_id": "BOB", "first_name": "x"}, MERGE),
    ("PATCH", "/onboarding_details?user_id=eq.ALICE", {"user_id": "BOB"}, BACK),
    ("DELETE", "/onboarding_details?user_id=eq.BOB", None, BACK),
    ("POST", "/person_fences", {"user_id": "BOB", "generation": 9}, MERGE),
    ("PATCH", "/person_fences?user_id=eq.BOB", {"generation": 1}, BACK),
    ("DELETE", "/person_fences?user_id=eq.BOB", None, BACK),
    (
        "POST",
        "/rpc/remember",
        {"p_user": "BOB", "p_memories": [{**MEMORY, "created_at": "now"}]},
        "",
    ),
    ("POST", "/rpc/remember", {"p_user": "BOB", "p_memories": [{"id": "MEM"}]}, ""),
    ("POST", "/rpc/remember", {"p_user": "BOB", "p_memories": []}, ""),
    ("POST", "/rpc/search_memory", {"p_user": "BOB", "p_words": ["instrument"], "p_limit": 9}, ""),
    ("POST", "/rpc/update_user_profile", {"p_user": "BOB", "p_changes": {"language": "de"}}, ""),
    ("POST", "/rpc/update_onboarding_details", {"p_user": "BOB", "p_changes": {}}, ""),
    ("POST", "/rpc/ensure_profile", {"p_user": "BOB", "p_email": "m@example.com"}, ""),
    ("POST", "/rpc/bind_person", {"p_user": "BOB", "p_email": "m@example.com"}, ""),
]


@pytest.mark.parametrize("path", READS)
def test_no_filter_shows_alice_what_is_bobs(world, path):
    before = world.all_of(world.bob)
    answer = world.ask(world.alice, "GET", path, prefer="count=exact")
    assert answer.status_code in (200, 206, 400, 401, 403, 404), answer.text
    assert SECRET not in answer.text
    assert world.bob not in answer.text
    if answer.is_success:
        assert len(answer.json()) <= 1, "her own row at most"
        assert answer.headers["Content-Range"].split("/")[-1] in ("0", "1"), "nor are his counted"
    assert world.all_of(world.bob) == before


@pytest.mark.parametrize("path", [path for path in READS if "ALICE" not in path])
def test_the_same_request_shows_bob_what_is_his(world, path):
    """Else the test above would prove nothing."""
    assert SECRET in world.ask(world.bob, "GET", path).text


@pytest.mark.parametrize(("method", "path", "body", "prefer"), WRITES)
def test_no_write_of_alices_touches_what_is_bobs(world, method, path, body, prefer):
    before = world.all_of(world.bob)
    answer = world.ask(world.alice, method, path, body, prefer)
    assert SECRET not in answer.text
    assert answer.status_code < 500, answer.text
    if answer.is_success and answer.content:
        assert answer.json() == [], "nothing that it could have changed"
    assert world.all_of(world.bob) == before


def test_a_write_for_somebody_else_does_not_tell_whether_they_were_erased(world):
    answer = world.ask(world.alice, "POST", "/memory", OLDER)
    assert (answer.status_code, answer.json()["code"]) == (403, "42501")
    nobody = {**OLDER, "user_id": str(uuid.uuid4())}
    assert world.ask(world.alice, "POST", "/memory", nobody).json() == answer.json()


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"generation": 9}), ("DELETE", None)])
def test_not_even_the_person_whom_it_stands_for_moves_the_fence(world, method, body):
    before = world.all_of(world.bob)
    assert before["person_fences"] == [{"user_id": world.bob, "generation": 1}]
    world.ask(world.bob, method, "/person_fences?user_id=eq.BOB", body)
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
    people = [str(uuid.uuid4()) for _ in range(100)]
    together = threading.Barrier(100)

    def live(person: str) -> set[str]:
        together.wait()
        memories.store(person, [NewMemory(Category.FACT, "me", person)])
        seen = set()
        for _ in range(4):
            client = clients.client_for(person)
            # No filter at all: the token alone decides.
            for table, column in (("memory", "user_id"), ("profiles", "id")):
                found = execute(client.table(table).select(column), rows)
                seen |= {row[column] for row in found}
            seen |= {memory.value for memory in memories.search(person, ["me", person], 10)}
        return seen

    with ThreadPoolExecutor(100) as executor:
        for person, seen in zip(people, executor.map(live, people), strict=True):
            assert seen == {person}
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
