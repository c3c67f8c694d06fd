"""Alice and Bob in a project that keeps people apart by their tokens."""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple

import httpx
import pytest

from config import Settings
from devstack.servers.supabase import SupabaseProject
from memory import Category, Memory, MemoryManager, MemoryStore, NewMemory, SupabaseMemoryStore
from memory.transcript import TranscriptTurn, open_transcript_store
from migrations.apply import apply
from profiles import SupabaseProfileStore
from session_context import livekit_identity_to_uuid, set_session_user
from storage import Storage, open_storage
from storage.supabase_clients import SupabaseClients
from tests.services import started

SECRET = "Xylophone"
TABLES = ("memory", "turns", "user_profiles", "onboarding_details", "person_fences")


class World(NamedTuple):
    """A project in which Alice and Bob are known.

    Attributes:
        project: the project.
        storage: the product's storage, which mints tokens.
        alices_identity: as LiveKit gives it.
        bobs_identity: his.
        alice: her uuid.
        bob: his.
        bobs_memory: the id of what he told, which holds the secret.
    """

    project: SupabaseProject
    storage: Storage
    alices_identity: str
    bobs_identity: str
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
        "STORE_TIMEOUT_S": "60",  # of a hundred threads at once each gets its answer
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
    people = [new_person() for _ in range(2)]
    assert storage.supabase is not None
    memories, profiles = stores(storage.supabase)
    fences = storage.supabase.service_client().table("person_fences")
    kept = []
    for identity, value in zip(people, ("Accordion", SECRET), strict=True):
        person = livekit_identity_to_uuid(identity)
        fences.insert({"user_id": person, "generation": 1}).execute()
        profiles.bind_person(person, f"{value}@example.com")
        kept += memories.store(person, [NewMemory(Category.FACT, "instrument", value)])
        said = TranscriptTurn(
            str(uuid.uuid4()), "s", "user", f"I play the {value}", datetime.now(timezone.utc)
        )
        open_transcript_store(storage).keep(person, [said])
        profiles.update_user_profile(person, {"profile_text": f"plays the {value}"})
        profiles.update_onboarding_details(person, {"first_name": value, "interests": [value]})
    alice, bob = kept
    yield World(project, storage, people[0], people[1], alice.user, bob.user, bob.id)
    storage.close()


def stores(clients: SupabaseClients) -> tuple[SupabaseMemoryStore, SupabaseProfileStore]:
    return SupabaseMemoryStore(clients), SupabaseProfileStore(clients)


def new_person() -> str:
    """The identity of somebody whom no other test knows."""
    return f"{uuid.uuid4().hex}@example.com"


def searched(store: MemoryStore, identity: str, query: str) -> list[Memory]:
    """What a session of that person finds."""

    def search() -> list[Memory]:
        set_session_user(identity)
        return MemoryManager(lambda: store).search(query)

    return contextvars.copy_context().run(search)


def values(memories: list[Memory]) -> list[str]:
    return [memory.value for memory in memories]
