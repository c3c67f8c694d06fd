"""The back ends that the contract suites run over."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import Settings
from devstack.servers.supabase import SupabaseProject
from storage import Storage, open_storage


@pytest.fixture(params=["sqlite", "supabase", "supabase-hs256", "supabase-es256"])
def storage(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Storage]:
    """An open back end that knows nothing of `user` and `other_user`."""
    variables = {"DATA_DIR": str(data_dir)}
    if request.param != "sqlite":
        project: SupabaseProject = request.getfixturevalue("supabase")
        keys = project.info.keys
        variables["SUPABASE_URL"] = project.info.url
        variables["SUPABASE_SERVICE_ROLE_KEY"] = keys.service_role_key
        if request.param == "supabase-hs256":
            variables["SUPABASE_JWT_SECRET"] = keys.jwt_secret
        elif request.param == "supabase-es256":
            variables["SUPABASE_ANON_KEY"] = keys.publishable_key
            variables["SUPABASE_JWT_SIGNING_KEY"] = keys.signing_key
    opened = open_storage(Settings.from_environment(variables).store)
    yield opened
    opened.close()


@pytest.fixture
def raise_fence(storage: Storage) -> Callable[[str, int], None]:
    """Set a person's generation as an erasure does, and nothing else of it."""

    def raise_to(person: str, generation: int) -> None:
        if storage.supabase is not None:
            table = storage.supabase.service_client().table("person_fences")
            table.upsert({"user_id": person, "generation": generation}).execute()
        elif storage.people is not None:
            with storage.people.writing(person) as file:
                file.execute("UPDATE fence SET generation = ?", (generation,))

    return raise_to


@pytest.fixture
def user() -> str:
    """Somebody whom no other test knows."""
    return str(uuid.uuid4())


@pytest.fixture
def other_user() -> str:
    """Somebody else."""
    return str(uuid.uuid4())
