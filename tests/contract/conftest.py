"""The back ends that the contract suites run over."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import Settings
from devstack.servers.supabase import SupabaseProject
from storage import Storage, open_storage


@pytest.fixture(params=["sqlite", "supabase"])
def storage(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Storage]:
    """An open back end that knows nothing of `user` and `other_user`."""
    variables = {"DATA_DIR": str(data_dir)}
    if request.param == "supabase":
        project: SupabaseProject = request.getfixturevalue("supabase")
        variables["SUPABASE_URL"] = project.info.url
        variables["SUPABASE_SERVICE_ROLE_KEY"] = project.info.keys.service_role_key
    opened = open_storage(Settings.from_environment(variables).store)
    yield opened
    opened.close()


@pytest.fixture
def raise_fence(storage: Storage) -> Callable[[str, int], None]:
    """Set a person's generation as an erasure does, and nothing else of it."""

    def raise_to(person: str, generation: int) -> None:
        if storage.supabase is not None:
            table = storage.supabase.client_for(person).table("person_fences")
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
