"""The back ends that the contract suites run over."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import Settings
from storage import Storage, open_storage


@pytest.fixture(params=["sqlite"])
def storage(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Storage]:
    """An open, empty back end."""
    opened = open_storage(Settings.from_environment({"DATA_DIR": str(data_dir)}).store)
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
