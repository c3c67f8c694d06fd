"""The worker's own load: below what turns jobs away until there is truly no room."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import JobContext

from worker.server import Worker


def worker(max_jobs: int, running: int = 0) -> Worker:
    made = Worker(setup_fnc=lambda _: None, preflight=lambda *_: None, preload=[])
    made._max_jobs = max_jobs
    jobs = [SimpleNamespace(running_job=object()) for _ in range(running)]
    made._proc_pool = SimpleNamespace(processes=jobs)  # type: ignore[assignment]
    return made


class Request:
    """A job request that notes its answer, and is assigned when the gate opens."""

    def __init__(self) -> None:
        self.answer: str | None = None
        self.gate = asyncio.Event()

    async def accept(self) -> None:
        self.answer = "accepted"
        await self.gate.wait()

    async def reject(self, *, terminate: bool) -> None:
        self.answer = "ended" if terminate else "left to another worker"


@given(max_jobs=st.integers(1, 500), running=st.integers(0, 600))
def test_the_load_is_under_what_turns_jobs_away_until_no_job_fits(max_jobs, running):
    load = worker(max_jobs, running).load()
    assert (load < 0.7) if running < max_jobs else (load == 1.0)


async def test_jobs_that_were_accepted_count_before_they_run():
    made = worker(max_jobs=3, running=1)
    requests = [Request() for _ in range(3)]
    admissions = [asyncio.create_task(made.admit(request)) for request in requests]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert [r.answer for r in requests] == ["accepted", "accepted", "left to another worker"]
    assert made.load() == 1.0
    for request in requests:
        request.gate.set()
    await asyncio.gather(*admissions)
    assert made.load() < 0.7


async def test_a_job_that_could_not_be_started_frees_its_place():
    made = worker(max_jobs=1)

    class Failing(Request):
        async def accept(self) -> None:
            raise RuntimeError("no assignment")

    with pytest.raises(RuntimeError):
        await made.admit(Failing())  # type: ignore[arg-type]
    assert made.load() == 0.0


async def _serve(_: JobContext) -> None:
    """No job ever comes."""


async def test_a_worker_that_never_reached_livekit_fails_with_a_sentence(monkeypatch):
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:1")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "secret")
    monkeypatch.setenv("LOG_PERSONAL_DATA", "false")
    made = Worker(setup_fnc=lambda _: None, preflight=lambda *_: None, preload=[])
    made.rtc_session(_serve)
    made.update_options(max_retry=0)
    with pytest.raises(SystemExit, match=r"^LIVEKIT_URL: failed to connect"):
        await made.run(devmode=True)


async def test_a_worker_without_an_entrypoint_says_what_the_framework_says(monkeypatch):
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:1")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "secret")
    monkeypatch.setenv("LOG_PERSONAL_DATA", "false")
    made = Worker(setup_fnc=lambda _: None, preflight=lambda *_: None, preload=[])
    with pytest.raises(RuntimeError, match="No RTC session entrypoint"):
        await made.run(devmode=True)
