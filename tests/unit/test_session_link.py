"""A job finds its session, takes it from Redis, and leaves when it is not its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from livekit import rtc
from livekit.agents import JobExecutorType

from config import Settings
from sessions import AgentProcess, SessionRecord, SessionState
from sessions.in_redis import RedisSessionState
from sessions.naming import dispatch_metadata, new_session_id, now_ms, room_metadata
from worker.dispatch import DispatchMetadata
from worker.registry import Registry
from worker.session_link import SessionLink


class Job:
    """A job whose room and end are noted instead of brought about."""

    def __init__(self, room: str, metadata: str = "", creation_time: int = 0) -> None:
        self.job = SimpleNamespace(
            id="AJ_1",
            room=SimpleNamespace(
                name=room, metadata=metadata, sid="RM_1", creation_time=creation_time
            ),
        )
        self.proc = SimpleNamespace(executor_type=JobExecutorType.PROCESS)
        self.room: rtc.EventEmitter[str] = rtc.EventEmitter()
        self.api = SimpleNamespace(room=self)
        self.done: list[str] = []
        self.left = asyncio.Event()

    def is_fake_job(self) -> bool:
        return False

    async def delete_room(self, request: object) -> None:
        self.done.append("room deleted")

    def shutdown(self, reason: str) -> None:
        self.done.append("left")
        self.left.set()


@pytest.fixture(autouse=True)
def _redis_answers_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is; a Redis that is away refuses at once."""
    monkeypatch.setattr("worker.session_link._ADMISSION_DEADLINE_S", 60)


@pytest.fixture
async def state(redis: str) -> AsyncIterator[SessionState]:
    made = RedisSessionState(redis, fence_s=60)
    yield made
    await made.aclose()


@pytest.fixture
def settings(redis: str, data_dir: Path) -> Settings:
    """A heart that beats only when it is woken."""
    given = {"REDIS_URL": redis, "DATA_DIR": str(data_dir), "HEARTBEAT_S": "60"}
    return Settings.from_environment(given)


@pytest.fixture
def record() -> SessionRecord:
    session_id = new_session_id()
    return SessionRecord(
        id=session_id,
        room=session_id,
        identity="alice@example.com",
        user_id="a-user",
        creator="somebody",
        start_time=now_ms(),
        voice_id="nova",
        opening_line="Hello Alice!",
        dispatches=1,
    )


def link_of(job: Job, settings: Settings, metadata: str = "") -> SessionLink:
    return SessionLink(job, DispatchMetadata.parse(metadata), settings)  # type: ignore[arg-type]


async def test_a_job_that_was_told_nothing_learns_from_the_record(state, settings, record):
    await state.records.add(record, ttl_s=60)
    link = link_of(Job(record.room), settings)
    assert await link.admit()
    told = link.metadata
    assert (told.session_id, told.identity) == (record.id, "alice@example.com")
    assert (told.voice_id, told.opening_line) == ("nova", "Hello Alice!")
    (entry,) = Registry(settings.store.data_dir).entries()
    assert (entry.pid, entry.attempt, entry.ending) == (os.getpid(), 1, False)
    await link.aclose()
    (entry,) = Registry(settings.store.data_dir).entries()
    assert entry.ending


async def test_the_mark_of_a_room_with_another_name_says_whose_it_is(state, settings, record):
    await state.records.add(replace(record, room="parlour"), ttl_s=60)
    link = link_of(Job("parlour", room_metadata(record)), settings)
    assert link.session_id == record.id
    assert await link.admit()
    await link.aclose()


@pytest.mark.parametrize("url", [True, False], ids=["with redis", "without"])
async def test_a_room_of_no_session_is_as_it_was(settings, record, url):
    if not url:
        settings = Settings.from_environment({"DATA_DIR": str(settings.store.data_dir)})
    job = Job("parlour" if url else record.room)
    link = link_of(job, settings, '{"voiceId": "alloy"}')
    assert await link.admit()
    assert link.metadata.voice_id == "alloy"
    link.joined("alice@example.com")
    await link.hand_over()
    await link.end()
    await link.aclose()
    assert (link.age_s, job.done) == (0.0, [])
    assert Registry(settings.store.data_dir).entries() == []


@pytest.mark.parametrize(("created_s_ago", "at_least", "below"), [(100, 99, 160), (None, 0, 1)])
async def test_without_redis_a_session_is_as_old_as_its_room(
    data_dir, record, created_s_ago, at_least, below
):
    created = int(now_ms() / 1000) - created_s_ago if created_s_ago is not None else 0
    settings = Settings.from_environment({"DATA_DIR": str(data_dir)})
    link = link_of(Job(record.room, room_metadata(record), created), settings)
    assert at_least <= link.age_s < below
    strangers = link_of(Job(record.room, "", created), settings)
    assert strangers.age_s == 0


async def test_a_job_of_an_ended_session_deletes_the_room_and_leaves(state, settings, record):
    await state.records.fence(record.id)
    job = Job(record.room)
    link = link_of(job, settings)
    assert not await link.admit()
    assert job.done == ["room deleted", "left"]
    await link.aclose()


async def test_a_person_who_comes_later_gives_a_session_of_a_token_its_identity(
    state, settings, record
):
    job = Job(record.room)
    metadata = dispatch_metadata(replace(record, identity=""), attempt=1)
    link = link_of(job, settings, metadata)
    assert await link.admit()
    assert await state.records.get(record.id) is None
    link.joined("bob@example.com")
    for _ in range(500):
        found = await state.records.get(record.id)
        if found is not None and found.connected_at:
            break
        await asyncio.sleep(0.01)
    assert found is not None
    assert (found.identity, found.agent_pid) == ("bob@example.com", os.getpid())
    assert found.connected_at
    # Its agent says goodbye first.
    longest_ms = settings.sessions.max_session_s * 1000
    assert found.expires_at >= found.start_time + longest_ms + 20_000
    await link.aclose()


async def test_a_job_that_takes_its_session_late_is_registered_with_the_dispatch_it_answers(
    state, settings, record
):
    link = link_of(Job(record.room), settings, '{"creator": "somebody"}')
    assert await link.admit()
    (entry,) = Registry(settings.store.data_dir).entries()
    assert entry.attempt == 0
    link.joined("bob@example.com")
    for _ in range(500):
        found = await state.records.get(record.id)
        if found is not None and found.connected_at:
            break
        await asyncio.sleep(0.01)
    assert found is not None
    (entry,) = Registry(settings.store.data_dir).entries()
    assert (found.dispatches, entry.attempt) == (1, 1)
    await link.aclose()


async def test_an_agent_leaves_as_soon_as_another_that_took_its_session_enters(
    state, settings, record
):
    await state.records.add(record, ttl_s=60)
    job = Job(record.room)
    link = link_of(job, settings, dispatch_metadata(record, attempt=1))
    assert await link.admit()
    await state.records.update(record.id, dispatches=2)
    other = AgentProcess(1, "elsewhere", 1.0)
    assert await state.agents.started(record.id, other, attempt=2, ttl_s=60)
    agent = SimpleNamespace(kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
    job.room.emit("participant_connected", agent)
    await asyncio.wait_for(job.left.wait(), 5)
    assert job.done == ["left"]
    await link.aclose()


async def test_a_session_that_is_handed_over_is_free_for_the_next_job(state, settings, record):
    await state.records.add(record, ttl_s=60)
    link = link_of(Job(record.room), settings, dispatch_metadata(record, attempt=1))
    assert await link.admit()
    other = AgentProcess(1, "elsewhere", 1.0)
    assert not await state.agents.started(record.id, other, attempt=1, ttl_s=60)
    await link.hand_over()
    assert await state.agents.started(record.id, other, attempt=1, ttl_s=60)
    await link.aclose()


async def test_a_session_whose_time_is_over_is_fenced(state, settings, record):
    await state.records.add(record, ttl_s=60)
    link = link_of(Job(record.room), settings, dispatch_metadata(record, attempt=1))
    assert await link.admit()
    assert 0 < link.age_s < 10
    await link.end()
    assert await state.records.has_ended(record.id)
    await link.aclose()


async def test_redis_out_of_reach_and_a_folder_that_cannot_be_made_cost_no_conversation(
    record, tmp_path, caplog
):
    (tmp_path / "file").write_text("")
    given = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATA_DIR": str(tmp_path / "file")}
    job = Job(record.room)
    link = link_of(job, Settings.from_environment(given))
    assert await link.admit()
    await link.aclose()
    assert job.done == []
    assert "DATA_DIR cannot be written" in caplog.text
