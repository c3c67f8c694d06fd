"""A person's memory, and the threads in which it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory import MemoryManager, SqliteMemoryStore
from session_context import set_session_user
from storage import StoreThreads
from storage.person_file import PersonFiles


@pytest.fixture
def threads():
    made = StoreThreads(2)
    yield made
    made.close()


@pytest.fixture
def memory(tmp_path: Path):
    set_session_user("alice@example.com")
    people = PersonFiles(tmp_path)
    store = SqliteMemoryStore(people)
    yield MemoryManager(lambda: store)
    people.close()
