"""Who the current user is, in every place where code can run."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_context import (
    DEFAULT_USER_UUID,
    IdentityError,
    JobBinding,
    NoSessionUserError,
    SessionUser,
    SessionUserConflictError,
    bind_job,
    get_current_user,
    get_or_create_default_user,
    get_session_generation,
    get_session_identity,
    get_session_user_uuid,
    livekit_identity_to_uuid,
    set_session_generation,
    set_session_user,
)

VECTORS = {
    "alice@example.com": "edabafbb-61ad-51d6-9fd8-e976c892a731",
    "bob@example.com": "1bbc064c-d74a-56e6-a2b9-009139975e85",
    "user-abc-123": "6f840c3a-5446-51bc-99b0-e0d11d172cef",
}

identities = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.mark.parametrize(("identity", "expected"), VECTORS.items())
def test_a_known_identity_has_the_uuid_that_existing_deployments_know(identity, expected):
    assert expected == livekit_identity_to_uuid(identity)


@given(identities)
def test_an_identity_always_has_the_same_version_5_uuid(identity):
    first = livekit_identity_to_uuid(identity)
    assert first == livekit_identity_to_uuid(identity)
    assert uuid.UUID(first).version == 5


@given(identities, identities)
def test_two_identities_that_differ_in_anything_have_two_uuids(one, other):
    same = livekit_identity_to_uuid(one) == livekit_identity_to_uuid(other)
    assert (one == other) == same


@pytest.mark.parametrize("nothing", ["", None, 7, b"alice", "\ud800"])
def test_what_is_no_identity_is_refused_and_binds_nobody(nothing):
    with pytest.raises(IdentityError):
        set_session_user(nothing)
    assert get_session_user_uuid() is None


def test_with_nobody_bound_the_current_user_is_the_one_default_user():
    assert get_session_user_uuid() is None
    assert get_session_identity() is None
    assert get_current_user() == get_or_create_default_user() == DEFAULT_USER_UUID


@given(identities)
def test_the_default_user_is_no_identitys_user(identity):
    assert livekit_identity_to_uuid(identity) != DEFAULT_USER_UUID
    assert uuid.UUID(DEFAULT_USER_UUID).version != 5


def test_outside_of_a_job_the_user_can_change():
    assert set_session_user("alice@example.com") == get_current_user()
    assert set_session_user("bob@example.com") == get_current_user()
    assert get_session_identity() == "bob@example.com"


async def _speaks_as(identity: str, pauses: list[int]) -> bool:
    expected = set_session_user(identity)
    for pause in pauses:
        for _ in range(pause):
            await asyncio.sleep(0)
        in_thread = await asyncio.to_thread(get_current_user)
        if not expected == get_current_user() == in_thread or get_session_identity() != identity:
            return False
    return True


@given(st.lists(st.tuples(identities, st.lists(st.integers(0, 3), max_size=4)), max_size=12))
async def test_interleaved_tasks_never_see_each_others_user(scripts):
    answers = await asyncio.gather(*(_speaks_as(who, pauses) for who, pauses in scripts))
    assert all(answers)
    assert get_session_user_uuid() is None


@given(st.lists(identities, min_size=1, max_size=8))
def test_threads_never_see_each_others_user(people):
    barrier = threading.Barrier(len(people))
    seen: dict[int, bool] = {}

    def speak(number: int, identity: str) -> None:
        expected = set_session_user(identity)
        barrier.wait(10)
        seen[number] = expected == get_current_user() and identity == get_session_identity()

    threads = [threading.Thread(target=speak, args=each) for each in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == dict.fromkeys(range(len(people)), True)


class TestInAJob:
    """A job binds one person, and every path of it sees that person and nobody else."""

    def test_before_anybody_is_bound_there_is_no_current_user_and_never_the_default(self):
        bind_job()
        assert get_session_user_uuid() is None
        with pytest.raises(NoSessionUserError, match="set_session_user"):
            get_current_user()

    def test_setting_the_user_fills_the_binding_once(self):
        binding = bind_job()
        alice = set_session_user("alice@example.com")
        assert binding.user is not None
        assert alice == binding.user.uuid == set_session_user("alice@example.com")
        with pytest.raises(SessionUserConflictError):
            set_session_user("bob@example.com")
        assert alice == get_current_user()

    async def test_a_context_copied_before_the_user_was_bound_sees_the_user(self):
        bind_job()
        before = contextvars.copy_context()
        alice = set_session_user("alice@example.com")
        assert alice == before.run(get_current_user)

    def test_a_binding_beats_a_user_set_before_the_job(self):
        set_session_user("bob@example.com")
        bind_job()
        assert get_session_user_uuid() is None

    def test_raw_threads_and_executors_of_a_job_process_see_its_user(self):
        bind_job()
        alice = set_session_user("alice@example.com")
        with ThreadPoolExecutor(1) as executor:
            assert alice == executor.submit(get_current_user).result()
            with pytest.raises(SessionUserConflictError):
                executor.submit(set_session_user, "bob@example.com").result()

    def test_a_raw_thread_of_a_process_with_several_jobs_is_told_that_nobody_knows(self):
        def job(identity: str) -> None:
            bind_job()
            set_session_user(identity)

        for identity in VECTORS:
            contextvars.copy_context().run(job, identity)
        with ThreadPoolExecutor(1) as executor, pytest.raises(NoSessionUserError):
            executor.submit(get_current_user).result()

    def test_a_raw_thread_of_an_unbound_job_process_does_not_become_the_default_user(self):
        bind_job()
        with ThreadPoolExecutor(1) as executor, pytest.raises(NoSessionUserError):
            executor.submit(get_current_user).result()

    async def test_two_jobs_in_one_process_keep_their_users_apart(self):
        async def job(identity: str) -> tuple[str, str]:
            bind_job()
            mine = set_session_user(identity)
            await asyncio.sleep(0)
            return mine, await asyncio.to_thread(get_current_user)

        for mine, seen in await asyncio.gather(*(job(who) for who in VECTORS)):
            assert mine == seen


def test_the_generation_belongs_to_the_bound_user():
    def run() -> None:
        with pytest.raises(NoSessionUserError):
            set_session_generation(1)
        set_session_user("alice@example.com")
        assert get_session_generation() is None
        set_session_generation(2)
        assert get_session_generation() == 2
        set_session_user("bob@example.com")
        assert get_session_generation() is None

    contextvars.Context().run(run)


def test_a_job_learns_the_generation_anew_and_keeps_its_user():
    def run() -> None:
        binding = JobBinding()
        with pytest.raises(NoSessionUserError):
            binding.set_generation(1)
        alice = SessionUser("alice@example.com", livekit_identity_to_uuid("alice@example.com"))
        binding.fill(alice)
        binding.set_generation(1)
        binding.fill(alice)
        assert binding.user == SessionUser(alice.identity, alice.uuid, generation=1)

    contextvars.Context().run(run)
