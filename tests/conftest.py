"""Fixtures for every test: nothing may leak, and no test sees the developer's settings."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import session_context
from config import variables
from tests import leaks

settings.register_profile(
    "project", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("project")

pytest_plugins = ["tests.services"]


def pytest_configure() -> None:
    """Take SIGINT as a terminal's programs do, for the processes that tests start and end by it.

    A shell without job control starts what runs in the background with SIGINT ignored, and
    children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_OURS = {*variables(), "DATABASE_URL", "REDIS_URL", "OPENAI_BASE_URL", "LIVEKIT_DEV_MODE"}


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_developer() -> Iterator[None]:
    saved = dict(os.environ)
    for name in list(os.environ):
        if name in _OURS:
            del os.environ[name]
    os.environ["ENV_FILE"] = os.devnull
    yield
    os.environ.clear()
    os.environ.update(saved)


@pytest.fixture(autouse=True)
def _nobody_is_bound(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(session_context, "_process_binding", None)
    user = session_context._context_user.set(None)
    binding = session_context._context_binding.set(None)
    yield
    session_context._context_user.reset(user)
    session_context._context_binding.reset(binding)


@pytest.fixture(autouse=True)
def _nothing_leaks(_no_settings_of_the_developer: None) -> Iterator[None]:
    before = leaks.threads(), leaks.processes(), leaks.sockets()
    yield
    for name, was, now in zip(
        ("threads", "processes", "sockets"),
        before,
        (leaks.threads, leaks.processes, leaks.sockets),
        strict=True,
    ):
        surplus = leaks.left_over(was, now)
        assert not surplus, f"the test leaked {name}: {sorted(surplus)}"


@pytest.fixture(autouse=True)
async def _no_task_leaks(_nothing_leaks: None) -> AsyncIterator[None]:
    yield
    for _ in range(100):
        surplus = leaks.tasks()
        if not surplus:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"the test leaked tasks: {sorted(surplus)}")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder for people's files that does not exist yet."""
    return tmp_path / "data"
