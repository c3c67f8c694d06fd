"""The back ends that the contract suites run over."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
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
def user() -> str:
    """Somebody whom no other test knows."""
    return str(uuid.uuid4())


@pytest.fixture
def other_user() -> str:
    """Somebody else."""
    return str(uuid.uuid4())
