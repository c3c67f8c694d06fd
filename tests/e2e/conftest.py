"""Workers as processes of their own, and a view of what they store."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from devstack.participant import Participant, access_token
from devstack.servers.livekit import LiveKitInfo, LiveKitServer
from devstack.servers.supabase import SupabaseProject
from devstack.servers.worker import Worker
from memory import MemoryStore, open_memory_store
from memory.model import TURN_KEY
from profiles import ProfileStore, open_profile_store
from session_context import livekit_identity_to_uuid
from storage import Storage, open_storage
from tests import leaks
from tests.services import started

PRODUCTION = {"ALLOW_SCRIPTED_MODEL": "true", "ENV_FILE": "/dev/null"}
"""The scripted model, as no provider is needed; everything else as in production."""

PATIENT = {"RECALL_DEADLINE_MS": "10000", "JOIN_DEADLINE_MS": "10000"}
"""Deadlines at which a reply goes on without the store, which a busy machine reaches by itself:
for workers whose tests are of what the store has, and not of how late it is."""


class Deployment:
    """A LiveKit server, a worker that gets all its rooms, and the store it writes to."""

    def __init__(
        self, livekit: LiveKitInfo, worker: Worker, storage: Storage, settings: dict[str, str]
    ) -> None:
        self.livekit = livekit
        self.settings = settings
        self.worker = worker
        self._storage = storage

    @property
    def memories(self) -> MemoryStore:
        return open_memory_store(self._storage)

    @property
    def profiles(self) -> ProfileStore:
        return open_profile_store(self._storage)

    def join(
        self, identity: str, room: str, *, publish_track: bool = True, **token: Any
    ) -> Participant:
        """Somebody about to enter a room; ``token`` is what `access_token` takes."""
        made = access_token(self.livekit, identity, room, **token)
        return Participant(self.livekit, made, publish_track=publish_track)

    def said(self, identity: str) -> list[str]:
        """What is kept of what somebody said, oldest first, without the facts in it."""
        user = livekit_identity_to_uuid(identity)
        kept = reversed(self.memories.list_memories(user, None, 200))
        return [m.value for m in kept if m.key.startswith(TURN_KEY)]

    def has_met(self, identity: str) -> bool:
        """Whether it is noted that a conversation with somebody has taken place.

        The recorder has that done some time after it has stored their first turn.
        """
        user = livekit_identity_to_uuid(identity)
        profile = self.profiles.get_person(user).profile
        return profile is not None and not profile.is_first_login

    def values(self, identity: str) -> list[str]:
        """What is currently kept of somebody, oldest first."""
        user = livekit_identity_to_uuid(identity)
        return [m.value for m in reversed(self.memories.list_memories(user, None, 200))]


@contextmanager
def deployment(
    settings: dict[str, str], *, seen_through: dict[str, str] | None = None, **options: Any
) -> Iterator[Deployment]:
    """Run a worker with these settings.

    Args:
        settings: the worker's.
        seen_through: the settings by which the test looks into the store; the same by default.
        options: what `Worker` takes.
    """
    with ExitStack() as running:
        storage = open_storage(Settings.from_environment(seen_through or settings).store)
        running.callback(storage.close)
        livekit = running.enter_context(started(LiveKitServer))
        worker = Worker(livekit.info, {**PRODUCTION, **settings}, **{"dev": False, **options})
        running.enter_context(worker)
        yield Deployment(livekit.info, worker, storage, settings)


@contextmanager
def shared_deployment(settings: dict[str, str], **options: Any) -> Iterator[Deployment]:
    """Run a worker for several tests; ``options`` is what `deployment` takes."""
    with ExitStack() as running:
        with leaks.shared():
            made = running.enter_context(deployment(settings, **options))
            made.values("nobody@example.com")  # opens the store's lasting connection
        yield made


@pytest.fixture(scope="session")
def sqlite_deployment(
    webrtc: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A worker on embedded defaults."""
    data_dir = tmp_path_factory.mktemp("worker") / "data"
    with shared_deployment({**PATIENT, "DATA_DIR": str(data_dir)}) as running:
        yield running


@pytest.fixture(scope="session")
def supabase_deployment(
    webrtc: None, supabase: SupabaseProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A worker whose store is Supabase, and which acts there as each person."""
    settings = {
        **PATIENT,
        "DATA_DIR": str(tmp_path_factory.mktemp("worker") / "data"),
        "SUPABASE_URL": supabase.info.url,
        "SUPABASE_SERVICE_ROLE_KEY": supabase.info.keys.secret_key,
        "SUPABASE_PUBLISHABLE_KEY": supabase.info.keys.publishable_key,
        "SUPABASE_JWT_SIGNING_KEY": supabase.info.keys.signing_key,
    }
    with shared_deployment(settings) as running:
        yield running


@pytest.fixture(params=["sqlite", "supabase"])
def any_deployment(request: pytest.FixtureRequest) -> Deployment:
    """The same worker over each back end."""
    found: Deployment = request.getfixturevalue(f"{request.param}_deployment")
    with leaks.shared():
        found.values("nobody@example.com")  # anew where it has been idle for too long
    return found


@pytest.fixture
def identity() -> str:
    """Somebody whom no other test knows."""
    return f"{uuid.uuid4().hex[:12]}@example.com"


@pytest.fixture
def new_room() -> Callable[[], str]:
    """Makes the names of rooms that nobody was in."""
    stem = uuid.uuid4().hex[:12]
    numbers = itertools.count(1)
    return lambda: f"test-{stem}-{next(numbers)}"


@pytest.fixture
def worker_settings(webrtc: None, data_dir: Path) -> dict[str, str]:
    """Settings for a worker that one test starts for itself."""
    return {"DATA_DIR": str(data_dir), "IDLE_PROCESSES": "1"}
