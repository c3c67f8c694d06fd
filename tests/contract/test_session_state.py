"""One contract for the state of sessions: in Redis, and in this process."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest
from redis import asyncio as aioredis

from sessions import (
    AgentProcess,
    ClaimResult,
    Gone,
    KeptHistories,
    LiveSessions,
    SessionEndedError,
    SessionExistsError,
    SessionRecord,
    SessionState,
    SessionStatus,
    StateUnreachableError,
    Task,
    TaskState,
    TooManySessionsError,
)
from sessions.in_process import ProcessSessionState
from sessions.in_redis import RedisSessionState
from sessions.naming import new_session_id, now_ms

TTL_S = 60


@pytest.fixture(params=["process", "redis"])
async def state(request: pytest.FixtureRequest) -> AsyncIterator[SessionState]:
    if request.param == "process":
        made: SessionState = ProcessSessionState(fence_s=60)
    else:
        made = RedisSessionState(request.getfixturevalue("redis"), fence_s=60)
    yield made
    await made.aclose()


def a_session(**fields) -> SessionRecord:
    session_id = fields.pop("id", None) or new_session_id()
    given = {
        "room": session_id,
        "identity": "alice@example.com",
        "user_id": str(uuid.uuid4()),
        "creator": uuid.uuid4().hex,
        "start_time": now_ms(),
        **fields,
    }
    return SessionRecord(id=session_id, **given)


AGENT = AgentProcess(pid=4711, host="here", started=12.5)
OTHER = AgentProcess(pid=4712, host="here", started=13.5)


async def test_a_session_is_found_as_it_was_added(state):
    record = a_session(user_name="Alice", voice_id="alloy", opening_line="Hi: you")
    await state.records.add(record, ttl_s=TTL_S)
    assert await state.records.get(record.id) == record
    assert await state.records.of_room(record.room) == record
    assert await state.records.newest_of(record.user_id) == record.id


async def test_an_unknown_session_is_none(state):
    assert await state.records.get("session_0_none") is None
    assert await state.records.of_room("session_0_none") is None
    assert await state.records.newest_of(str(uuid.uuid4())) is None


async def test_an_id_is_taken_once(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    with pytest.raises(SessionExistsError):
        await state.records.add(a_session(id=record.id, room="another"), ttl_s=TTL_S)


async def test_fifty_creates_at_once_never_exceed_the_maximum(state):
    creator = uuid.uuid4().hex

    async def create() -> bool:
        try:
            await state.records.add(a_session(creator=creator), ttl_s=TTL_S, most=5)
        except TooManySessionsError:
            return False
        return True

    made = await asyncio.gather(*(create() for _ in range(50)))
    assert sum(made) == 5


async def test_a_session_that_ended_makes_room_for_another_of_its_creator(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S, most=1)
    await state.cleanups.claim(record.id, owner="me", reason="end", lease_s=5)
    await state.cleanups.finish(record.id, owner="me", report={})
    await state.records.add(a_session(creator=record.creator), ttl_s=TTL_S, most=1)


async def test_a_new_status_moves_a_session_between_the_sets(state):
    before = await state.records.count()
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    assert await state.records.update(record.id, status=SessionStatus.READY)
    after = await state.records.count()
    assert after[SessionStatus.READY] == before[SessionStatus.READY] + 1
    assert after[SessionStatus.STARTING] == before[SessionStatus.STARTING]
    found = await state.records.get(record.id)
    assert found is not None
    assert found.status is SessionStatus.READY


async def test_changes_to_what_does_not_live_change_nothing(state):
    assert not await state.records.update("session_0_none", connected_at=5)
    assert await state.records.get("session_0_none") is None


async def test_a_fenced_session_is_not_changed_and_not_added_again(state):
    record = a_session()
    await state.records.fence(record.id)
    assert await state.records.has_ended(record.id)
    with pytest.raises(SessionEndedError):
        await state.records.add(record, ttl_s=TTL_S)


async def test_pages_follow_each_other_without_gap_or_repetition(state):
    records = [a_session(start_time=now_ms() + n) for n in range(7)]
    for record in records:
        await state.records.add(record, ttl_s=TTL_S)
    seen: list[str] = []
    after = None
    while page := await state.records.page(after, 3):
        seen += [record.id for record in page]
        after = page[-1].id
    ours = {record.id for record in records}
    assert [each for each in seen if each in ours] == [record.id for record in records]


async def test_one_of_many_claims_a_clean_up_and_the_others_join(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    claims = await asyncio.gather(
        *(
            state.cleanups.claim(record.id, owner=f"o{n}", reason="end", lease_s=30)
            for n in range(10)
        )
    )
    results = [claim.result for claim in claims]
    assert results.count(ClaimResult.CLAIMED) == 1
    assert results.count(ClaimResult.JOINED) == 9
    assert all(claim.record == record for claim in claims)
    assert await state.records.has_ended(record.id)


async def test_what_was_never_there_cannot_be_claimed_but_an_orphan_can(state):
    orphan = a_session()
    unknown = await state.cleanups.claim(orphan.id, owner="me", reason="end", lease_s=5)
    assert unknown.result is ClaimResult.UNKNOWN
    claim = await state.cleanups.claim(
        orphan.id, owner="me", reason="orphan", lease_s=5, orphan=orphan
    )
    assert claim.result is ClaimResult.CLAIMED
    assert claim.record == orphan


async def test_a_clean_up_whose_owner_is_gone_is_resumed_with_what_was_known(state):
    record = a_session(user_name="Alice")
    await state.records.add(record, ttl_s=TTL_S)
    await state.cleanups.claim(record.id, owner="gone", reason="timeout", lease_s=0.05)
    with anyio.fail_after(5):
        while record.id not in await state.cleanups.abandoned():  # noqa: ASYNC110 - a remote state
            await asyncio.sleep(0.01)
    claim = await state.cleanups.claim(record.id, owner="me", reason="again", lease_s=5)
    assert claim.result is ClaimResult.CLAIMED
    assert claim.resumed
    assert claim.reason == "timeout"
    assert claim.record == record
    assert not await state.cleanups.renew(record.id, owner="gone", lease_s=5)
    assert await state.cleanups.renew(record.id, owner="me", lease_s=5)


async def test_the_clean_ups_of_an_owner_who_is_known_to_be_gone_are_abandoned_at_once(state):
    gone, living = a_session(), a_session()
    for record, owner in ((gone, "gone"), (living, "me")):
        await state.records.add(record, ttl_s=TTL_S)
        await state.cleanups.claim(record.id, owner=owner, reason="end", lease_s=60)
    assert {"gone", "me"} <= set(await state.cleanups.owners())
    await state.cleanups.let_go("gone")
    abandoned = await state.cleanups.abandoned()
    assert gone.id in abandoned
    assert living.id not in abandoned
    again = await state.cleanups.claim(gone.id, owner="me", reason="again", lease_s=60)
    assert again.record == gone


async def test_after_a_clean_up_nothing_is_left_but_the_fence_and_the_report(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    assert await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    await state.agents.beat(record.id, {"state": "listening"}, lives_s=5, ttl_s=TTL_S)
    await state.agents.log(record.id, ["a line"], ttl_s=TTL_S)
    await state.agents.add_counts(record.id, ttl_s=TTL_S, messages=1)
    await state.cleanups.claim(record.id, owner="me", reason="end", lease_s=5)
    assert await state.cleanups.is_pending(record.id)
    removed = await state.cleanups.finish(record.id, owner="me", report={"room_deleted": True})
    assert removed >= 5
    assert not await state.cleanups.is_pending(record.id)
    assert await state.cleanups.report(record.id) == {"room_deleted": True}
    assert await state.records.get(record.id) is None
    assert await state.records.of_room(record.room) is None
    assert await state.records.newest_of(record.user_id) is None
    assert await state.agents.health(record.id) is None
    assert await state.agents.logs(record.id) == []
    assert await state.records.has_ended(record.id)


async def test_a_newer_session_of_the_person_stays_their_newest(state):
    older = a_session()
    newer = a_session(user_id=older.user_id)
    for record in (older, newer):
        await state.records.add(record, ttl_s=TTL_S)
    await state.cleanups.claim(older.id, owner="me", reason="end", lease_s=5)
    await state.cleanups.finish(older.id, owner="me", report={})
    assert await state.records.newest_of(older.user_id) == newer.id


async def test_only_the_owner_of_a_claim_finishes_it(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    await state.cleanups.claim(record.id, owner="me", reason="end", lease_s=30)
    assert await state.cleanups.finish(record.id, owner="you", report={}) == 0
    assert await state.records.get(record.id) == record


async def test_one_process_takes_an_attempt_and_a_newer_attempt_takes_over(state):
    record = a_session(dispatches=1)
    await state.records.add(record, ttl_s=TTL_S)
    assert await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    assert await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    assert not await state.agents.started(record.id, OTHER, attempt=1, ttl_s=TTL_S)
    await state.records.update(record.id, dispatches=2)
    assert not await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    assert await state.agents.started(record.id, OTHER, attempt=2, ttl_s=TTL_S)
    found = await state.records.get(record.id)
    assert found is not None
    assert (found.agent_pid, found.agent_host, found.agent_started) == (4712, "here", 13.5)


async def test_a_process_is_the_same_whoever_read_its_start_time(state):
    record = a_session(dispatches=1)
    await state.records.add(record, ttl_s=TTL_S)
    for_child = replace(AGENT, started=12.49999999)
    recycled = replace(AGENT, started=14.0)
    assert await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    assert await state.agents.started(record.id, for_child, attempt=1, ttl_s=TTL_S)
    assert not await state.agents.started(record.id, recycled, attempt=1, ttl_s=TTL_S)
    assert not await state.agents.gone(record.id, Gone.EXITED, process=recycled)
    assert await state.agents.gone(record.id, Gone.EXITED, process=AGENT)


async def test_no_process_takes_a_session_that_has_ended_or_never_was(state):
    record = a_session()
    assert not await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    await state.records.add(record, ttl_s=TTL_S)
    await state.records.fence(record.id)
    assert not await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    assert not await state.agents.beat(record.id, {"at": "1"}, lives_s=5, ttl_s=TTL_S)


async def test_a_process_that_is_gone_is_seen_in_the_record_and_a_new_one_takes_it_back(state):
    record = a_session(dispatches=1)
    await state.records.add(record, ttl_s=TTL_S)
    await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    assert await state.agents.how_gone(record.id) is None
    assert await state.agents.gone(record.id, Gone.KILLED, process=AGENT)
    found = await state.records.get(record.id)
    assert found is not None
    assert found.agent_gone == "killed"
    assert await state.agents.how_gone(record.id) is Gone.KILLED
    await state.records.update(record.id, dispatches=2)
    assert await state.agents.started(record.id, OTHER, attempt=2, ttl_s=TTL_S)
    assert await state.agents.how_gone(record.id) is None


async def test_an_attempt_whose_process_is_gone_is_free_for_another(state):
    record = a_session(dispatches=1)
    await state.records.add(record, ttl_s=TTL_S)
    await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    assert not await state.agents.started(record.id, OTHER, attempt=1, ttl_s=TTL_S)
    await state.agents.gone(record.id, Gone.EXITED, process=AGENT)
    assert await state.agents.started(record.id, OTHER, attempt=1, ttl_s=TTL_S)


async def test_an_older_process_that_is_gone_says_nothing_of_the_newer_one(state):
    record = a_session(dispatches=2)
    await state.records.add(record, ttl_s=TTL_S)
    await state.agents.started(record.id, OTHER, attempt=2, ttl_s=TTL_S)
    assert not await state.agents.gone(record.id, Gone.EXITED, process=AGENT)
    assert await state.agents.how_gone(record.id) is None


async def test_a_clean_up_sees_that_the_process_is_gone_until_it_has_finished(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    await state.agents.started(record.id, AGENT, attempt=1, ttl_s=TTL_S)
    await state.cleanups.claim(record.id, owner="me", reason="end", lease_s=5)
    assert await state.agents.gone(record.id, Gone.EXITED, process=AGENT)
    assert await state.agents.how_gone(record.id) is Gone.EXITED
    again = await state.cleanups.claim(record.id, owner="me", reason="end", lease_s=5)
    assert again.record is not None
    assert again.record.agent_gone == "exited"
    await state.cleanups.finish(record.id, owner="me", report={})
    assert not await state.agents.gone(record.id, Gone.EXITED, process=AGENT)
    assert await state.agents.how_gone(record.id) is None
    assert await state.records.get(record.id) is None


async def test_the_clean_up_of_an_orphan_sees_that_its_process_is_gone(state):
    orphan = a_session(agent_pid=4711, agent_host="here", agent_started=12.5)
    await state.cleanups.claim(orphan.id, owner="me", reason="orphan", lease_s=5, orphan=orphan)
    assert await state.agents.gone(orphan.id, Gone.KILLED, process=AGENT)
    assert await state.agents.how_gone(orphan.id) is Gone.KILLED
    assert await state.records.get(orphan.id) is None


async def test_only_the_last_log_lines_are_kept(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    for start in range(0, 500, 50):
        lines = [f"line {n}" for n in range(start, start + 50)]
        await state.agents.log(record.id, lines, ttl_s=TTL_S)
    kept = await state.agents.logs(record.id)
    assert len(kept) == 200
    assert kept[-1] == "line 499"


async def test_tasks_are_listed_by_state_oldest_first(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    for n, task_state in enumerate([TaskState.COMPLETED, TaskState.RUNNING, TaskState.FAILED]):
        task = Task(f"t{n}", record.id, "recall_memories", task_state, n, n)
        await state.agents.put_task(task, ttl_s=TTL_S)
    assert [task.id for task in await state.agents.tasks(record.id)] == ["t0", "t1", "t2"]
    running = await state.agents.tasks(record.id, [TaskState.RUNNING])
    assert [task.id for task in running] == ["t1"]


async def test_counts_add_up_and_count_nothing_of_what_does_not_live(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    for _ in range(3):
        await state.agents.add_counts(record.id, ttl_s=TTL_S, messages=1, audio_received=2)
    assert await state.agents.counts(record.id) == {"messages": 3, "audio_received": 6}
    await state.agents.add_counts("session_0_none", ttl_s=TTL_S, messages=1)
    assert await state.agents.counts("session_0_none") == {}


async def test_an_event_is_new_once_and_again_when_it_is_forgotten(state):
    event = uuid.uuid4().hex
    assert await state.marks.first_time(event, for_s=60)
    assert not await state.marks.first_time(event, for_s=60)
    await state.marks.forget(event)
    assert await state.marks.first_time(event, for_s=60)


async def test_one_owner_at_a_time_has_a_lease(state):
    name = uuid.uuid4().hex
    assert await state.marks.lease(name, owner="a", for_s=30)
    assert await state.marks.lease(name, owner="a", for_s=30)
    assert not await state.marks.lease(name, owner="b", for_s=30)
    assert await state.marks.holder(name) == "a"
    await state.marks.release(name, owner="b")
    assert not await state.marks.lease(name, owner="b", for_s=30)
    await state.marks.release(name, owner="a")
    assert await state.marks.holder(name) is None
    assert await state.marks.lease(name, owner="b", for_s=30)


async def test_a_ticket_lets_in_once_and_of_many_at_once_only_one(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    assert await state.tickets.put(record.id, "a", for_s=30)
    assert await state.tickets.put(record.id, "b", for_s=30)
    taken = await asyncio.gather(*(state.tickets.take(record.id, "a") for _ in range(20)))
    assert sum(taken) == 1
    assert not await state.tickets.take(record.id, "a")
    assert await state.tickets.take(record.id, "b")


async def test_a_ticket_of_another_session_lets_nobody_in_and_stays_good_there(state):
    record, other = a_session(), a_session()
    for each in (record, other):
        await state.records.add(each, ttl_s=TTL_S)
    ticket = uuid.uuid4().hex
    await state.tickets.put(record.id, ticket, for_s=30)
    assert not await state.tickets.take(other.id, ticket)
    assert await state.tickets.take(record.id, ticket)


async def test_a_ticket_whose_time_is_over_lets_nobody_in(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    await state.tickets.put(record.id, "short", for_s=0.02)
    await asyncio.sleep(0.03)
    assert not await state.tickets.take(record.id, "short")


async def test_there_is_no_ticket_for_a_session_that_has_ended_or_never_was(state):
    record = a_session()
    assert not await state.tickets.put(record.id, "early", for_s=30)
    await state.records.add(record, ttl_s=TTL_S)
    await state.tickets.put(record.id, "before", for_s=30)
    await state.cleanups.claim(record.id, owner="me", reason="end", lease_s=5)
    assert not await state.tickets.put(record.id, "after", for_s=30)
    assert not await state.tickets.take(record.id, "before")
    await state.tickets.put(record.id, "late", for_s=30)
    await state.cleanups.finish(record.id, owner="me", report={})
    assert not await state.tickets.take(record.id, "late")


async def test_namespaces_are_registered_changed_and_removed(state):
    name = uuid.uuid4().hex
    assert await state.namespaces.key_hash(name) is None
    await state.namespaces.put(name, "one")
    await state.namespaces.put(name, "two")
    assert await state.namespaces.key_hash(name) == "two"
    assert name in await state.namespaces.all()
    assert await state.namespaces.remove(name)
    assert not await state.namespaces.remove(name)


async def test_sessions_of_which_a_process_or_a_heartbeat_is_known_are_listed(state):
    with_pid, with_heartbeat, silent = a_session(), a_session(), a_session()
    for record in (with_pid, with_heartbeat, silent):
        await state.records.add(record, ttl_s=TTL_S)
    await state.agents.started(with_pid.id, AGENT, attempt=1, ttl_s=TTL_S)
    await state.agents.beat(with_heartbeat.id, {"at": "1"}, lives_s=5, ttl_s=TTL_S)
    listed = await state.agents.reporting()
    assert with_pid.id in listed
    assert with_heartbeat.id in listed
    assert silent.id not in listed


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks do not count cancellations yet")
async def test_who_is_cancelled_while_asking_ends(state):
    async def ask_for_ever() -> None:
        while True:
            await state.cleanups.abandoned()
            await asyncio.sleep(0)

    for number in range(60):
        asking = asyncio.create_task(ask_for_ever())
        await asyncio.sleep(number % 6 * 0.0005)
        asking.cancel()
        done, _ = await asyncio.wait([asking], timeout=5)
        assert done
        assert asking.cancelled()


async def test_whether_the_agent_speaks_is_known_while_its_session_is_there(state):
    record = a_session()
    await state.conversations.set_speaking(record.id, True, ttl_s=TTL_S)
    assert not await state.conversations.is_speaking(record.id)
    await state.records.add(record, ttl_s=TTL_S)
    await state.conversations.set_speaking(record.id, True, ttl_s=TTL_S)
    assert await state.conversations.is_speaking(record.id)
    await state.conversations.set_speaking(record.id, False, ttl_s=TTL_S)
    assert not await state.conversations.is_speaking(record.id)


async def test_an_agent_falls_silent_in_a_session_that_is_being_cleaned_up(state):
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    await state.conversations.set_speaking(record.id, True, ttl_s=TTL_S)
    await state.cleanups.claim(record.id, owner="me", reason="end", lease_s=5)
    await state.conversations.set_speaking(record.id, False, ttl_s=TTL_S)
    assert not await state.conversations.is_speaking(record.id)
    await state.cleanups.finish(record.id, owner="me", report={})
    await state.conversations.set_speaking(record.id, True, ttl_s=TTL_S)
    assert not await state.conversations.is_speaking(record.id)


async def test_a_history_is_taken_once(state):
    user = str(uuid.uuid4())
    await state.conversations.keep_history(user, "first", ttl_s=TTL_S)
    await state.conversations.keep_history(user, "second", ttl_s=TTL_S)
    taken = await asyncio.gather(*(state.conversations.take_history(user) for _ in range(5)))
    assert sorted(taken, key=str) == [None, None, None, None, "second"]


async def test_a_history_is_gone_when_its_time_is_over(state):
    user = str(uuid.uuid4())
    await state.conversations.keep_history(user, "said", ttl_s=1)
    await asyncio.sleep(1.1)
    assert await state.conversations.take_history(user) is None


async def test_the_flag_of_speech_is_the_text_true_or_false_under_a_public_name(redis):
    state, client = RedisSessionState(redis, fence_s=60), aioredis.from_url(redis)
    record = a_session()
    await state.records.add(record, ttl_s=TTL_S)
    for on, text in ((True, b"true"), (False, b"false")):
        await state.conversations.set_speaking(record.id, on, ttl_s=TTL_S)
        assert await client.get(f"tts:active:{record.id}") == text
    await client.aclose()
    await state.aclose()


async def test_a_kept_history_is_read_and_erased_by_whoever_is_in_charge_of_the_person(redis):
    state, kept = RedisSessionState(redis, fence_s=60), KeptHistories(redis)
    user = str(uuid.uuid4())
    assert kept.read(user) is None
    await state.conversations.keep_history(user, "said", ttl_s=TTL_S)
    assert kept.read(user) == "said"
    assert kept.erase(user) == 1
    assert kept.erase(user) == 0
    assert await state.conversations.take_history(user) is None
    kept.close()
    await state.aclose()


async def test_what_is_noted_of_live_sessions_is_read_and_erased_but_for_what_they_need(redis):
    state, live = RedisSessionState(redis, fence_s=60), LiveSessions(redis)
    user = str(uuid.uuid4())
    mine = [a_session(user_id=user, user_name="Alice", opening_line=f"Hi {n}") for n in range(2)]
    others = a_session(user_name="Bob", opening_line="Hi Bob")
    for record in (*mine, others):
        await state.records.add(record, ttl_s=TTL_S)
        await state.agents.put_task(
            Task("t1", record.id, "recall_memories", TaskState.COMPLETED, 1, 1), ttl_s=TTL_S
        )
        await state.agents.log(record.id, ['{"message": "a line"}', "no JSON"], ttl_s=TTL_S)
    held = {each["openingLine"]: each for each in live.read(user)}
    assert set(held) == {"Hi 0", "Hi 1"}
    assert held["Hi 0"]["userName"] == "Alice"
    assert len(held["Hi 0"]["tasks"]) == 1
    assert held["Hi 0"]["logs"] == [{"message": "a line"}, {"unreadable": "no JSON"}]
    assert live.erase(user) == 2
    assert live.erase(user) == 0
    for record in mine:
        assert await state.records.get(record.id) == replace(record, user_name="", opening_line="")
        assert await state.agents.tasks(record.id) == []
        assert await state.agents.logs(record.id) == []
    assert await state.records.get(others.id) == others
    assert len(await state.agents.tasks(others.id)) == 1
    live.close()
    await state.aclose()


@pytest.mark.parametrize("place", [KeptHistories, LiveSessions])
def test_what_is_out_of_reach_is_said_to_be_so(place):
    held = place("redis://127.0.0.1:1/0")
    with pytest.raises(StateUnreachableError):
        held.read("anybody")
    with pytest.raises(StateUnreachableError):
        held.erase("anybody")
    held.close()
