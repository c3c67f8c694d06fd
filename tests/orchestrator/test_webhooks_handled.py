"""A webhook is a hint: the room is asked before anything is ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from livekit import api

from connection_events import Reason
from orchestrator.errors import OrchestratorError
from orchestrator.rooms import Present
from orchestrator.spawners.dispatch import DispatchSpawner
from orchestrator.spawners.spawner import Spawner
from orchestrator.voice.participant import LOST
from orchestrator.webhooks.incoming import LiveKitWebhooks
from sessions import SessionRecord, SessionStyle, StateUnreachableError
from sessions.naming import dispatch_metadata, new_session_id, now_ms
from tests.orchestrator.ending_world import (
    ALICE,
    SECRET,
    RememberedTasks,
    World,
    a_person,
    a_session,
    an_agent,
    made_settings,
    until,
)
from tests.orchestrator.webhook_events import AGENT, an_event, plain, send
from worker.owned_tasks import end_tasks

pytest_plugins = ["tests.orchestrator.ending_fixtures"]

VANISHED = api.DisconnectReason.SIGNAL_CLOSE


@asynccontextmanager
async def taking(
    tended: World, spawner: Spawner | None = None, **variables: str
) -> AsyncIterator[LiveKitWebhooks]:
    """Webhooks come to this tended, until what follows from them is done."""
    given = {"RECONNECT_GRACE_S": "0.1", "READY_WITHIN_S": "0.1", **variables}
    settings = made_settings(**given)
    async with tended.cleaning() as cleanups:
        webhooks = LiveKitWebhooks(
            state=tended.state,
            events=tended.events,
            rooms=tended.rooms,
            spawner=spawner or DispatchSpawner(tended.rooms),
            endings=cleanups,
            settings=settings,
        )
        async with webhooks.running():
            yield webhooks
            await until(lambda: _nothing_follows(webhooks))


async def _nothing_follows(webhooks: LiveKitWebhooks) -> bool:
    return not webhooks._tasks


@pytest.mark.parametrize(
    "reason", [api.DisconnectReason.CLIENT_INITIATED, api.DisconnectReason.UNKNOWN_REASON]
)
async def test_a_person_who_leaves_ends_their_session(tended, reason):
    record = await tended.started(an_agent())
    async with taking(tended) as webhooks:
        answer = await send(webhooks, an_event("participant_left", record, reason=reason))
        assert answer == {"status": "ok", "event": "participant_left"}
        assert await tended.state.records.has_ended(record.id)
    assert await tended.is_gone(record)
    assert [event.reason for event in tended.heard] == [Reason.CLIENT_DISCONNECT]


async def test_a_room_that_is_finished_ends_its_session(tended):
    record = await tended.started(room=False)
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("room_finished", record))
    assert await tended.is_gone(record)


@pytest.mark.parametrize(
    "who", [{"identity": "bystander@example.com"}, {"identity": "agent-1", "kind": AGENT}]
)
async def test_an_agent_or_a_bystander_who_leaves_ends_nothing(tended, who):
    record = await tended.started()
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("participant_left", record, **who))
    assert not await tended.state.records.has_ended(record.id)


@pytest.mark.parametrize("event", ["participant_left", "room_finished"])
async def test_what_is_not_so_any_more_or_never_was_ends_nothing(tended, event):
    record = await tended.started(a_person(), an_agent())
    async with taking(tended) as webhooks:
        await send(webhooks, an_event(event, record))
        await send(webhooks, an_event(event, record, reason=VANISHED))
    assert not await tended.state.records.has_ended(record.id)


async def test_somebody_who_vanished_has_the_grace_time_to_come_back(tended):
    record = await tended.started(an_agent())
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("participant_left", record, reason=VANISHED))
        present, is_back = tended.rooms.present, asyncio.Event()

        async def present_once_back(room: str) -> list[Present]:
            await is_back.wait()
            there: list[Present] = await present(room)
            return there

        tended.rooms.present = present_once_back
        assert not await tended.state.records.has_ended(record.id)
        tended.rooms.open(record, a_person(), an_agent())
        is_back.set()
    assert not await tended.state.records.has_ended(record.id)


async def test_somebody_who_vanished_and_does_not_come_back_ends_their_session(tended):
    record = await tended.started(an_agent())
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("participant_left", record, reason=VANISHED))
        await until(lambda: tended.is_gone(record))
    lost, ended = tended.heard
    assert (lost.reason, ended.reason) == (Reason.TIMEOUT, Reason.TIMEOUT)


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        (api.DisconnectReason.CONNECTION_TIMEOUT, Reason.TIMEOUT),
        (VANISHED, Reason.TIMEOUT),
        (api.DisconnectReason.SERVER_SHUTDOWN, Reason.SERVER_ERROR),
    ],
)
async def test_a_lost_connection_is_said_at_once_with_the_time_of_the_loss(tended, why, reason):
    record = await tended.started(an_agent())
    body = an_event("participant_left", record, reason=why)
    lost_at_ms = int(json.loads(body)["createdAt"]) * 1000
    async with taking(tended, RECONNECT_GRACE_S="60") as webhooks:
        for _ in range(2):
            await send(webhooks, body)
        await until(lambda: _is_heard(tended))
        await _drop(webhooks)
    assert [(event.type, event.conversation_id) for event in tended.heard] == [
        ("connection_disconnected", record.id)
    ]
    assert (tended.heard[0].reason, tended.heard[0].timestamp_ms) == (reason, lost_at_ms)
    assert not await tended.state.records.has_ended(record.id)


async def _is_heard(tended: World) -> bool:
    return bool(tended.heard)


async def _drop(webhooks: LiveKitWebhooks) -> None:
    """Wait no longer for anybody's return."""
    await end_tasks(webhooks._tasks)


@pytest.mark.parametrize(
    "why",
    [LOST, api.DisconnectReason.PARTICIPANT_REMOVED, api.DisconnectReason.ROOM_DELETED],
    ids=["the voice gateway", "who removed them", "who deleted the room"],
)
async def test_a_loss_that_somebody_else_says_is_not_said_twice(tended, why):
    record = await tended.started(an_agent())
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("participant_left", record, reason=why))
        await until(lambda: tended.is_gone(record))
    assert len(tended.heard) == 1  # the end


async def test_nobody_is_said_to_be_lost_who_is_there(tended):
    record = await tended.started(a_person(), an_agent())
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("participant_left", record, reason=VANISHED))
    assert tended.heard == []


@pytest.mark.parametrize("is_told", [True, False], ids=["joined", "its joining got lost"])
async def test_whoever_vanishes_again_has_the_whole_grace_again(tended, is_told):
    record = await tended.started(an_agent())
    async with taking(tended, RECONNECT_GRACE_S="1.5") as webhooks:
        await send(
            webhooks, an_event("participant_left", record, reason=VANISHED, joined_at_ms=1_000)
        )
        await asyncio.sleep(0.3)
        if is_told:
            await send(webhooks, an_event("participant_joined", record, joined_at_ms=2_000))
        lost_again_at = time.monotonic()
        await send(
            webhooks, an_event("participant_left", record, reason=VANISHED, joined_at_ms=2_000)
        )
        await until(lambda: tended.state.records.has_ended(record.id))
        assert time.monotonic() - lost_again_at >= 1.5


async def test_an_old_connections_departure_says_nothing_of_the_newest(tended):
    record = await tended.started(an_agent())
    async with taking(tended, RECONNECT_GRACE_S="60") as webhooks:
        newest = an_event("participant_joined", record, joined_at_ms=2_000)
        await send(webhooks, newest)
        await send(webhooks, an_event("participant_left", record, joined_at_ms=1_000))
        assert not await tended.state.records.has_ended(record.id)
        await send(webhooks, an_event("participant_left", record, joined_at_ms=2_000))
        assert await tended.state.records.has_ended(record.id)


async def test_the_persons_arrival_is_noted_once(tended):
    record = await tended.started(a_person())
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("participant_joined", record, identity="else@example.com"))
        assert (await tended.state.records.get(record.id)).connected_at == 0
        await send(webhooks, an_event("participant_joined", record))
        first = (await tended.state.records.get(record.id)).connected_at
        assert abs(first - now_ms()) < 5_000
        await asyncio.sleep(0.01)
        await send(webhooks, an_event("participant_joined", record))
    assert (await tended.state.records.get(record.id)).connected_at == first


@pytest.mark.parametrize("event", ["room_started", "participant_joined"])
@pytest.mark.parametrize("mark", [True, False], ids=["marked", "named by us"])
async def test_a_room_that_came_back_from_an_ended_session_is_deleted_at_once(tended, event, mark):
    record = a_session()
    await tended.state.records.fence(record.id)
    tended.rooms.open(record, a_person(), mark=mark)
    async with taking(tended) as webhooks:
        await send(webhooks, an_event(event, record, mark=mark))
        assert tended.rooms.rooms == {}


async def test_a_replay_about_an_ended_session_leaves_the_rooms_next_session_alone(tended):
    old, new = a_session(room="kitchen"), a_session(room="kitchen")
    await tended.state.records.fence(old.id)
    tended.rooms.open(new, a_person())
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("participant_joined", old))
    assert "kitchen" in tended.rooms.rooms


async def test_events_of_unknown_sessions_and_of_other_applications_change_nothing(tended):
    record = a_session()
    foreign = a_session(id=new_session_id(), room="somebody-elses")
    tended.rooms.open(foreign, a_person(), mark=False)
    async with taking(tended) as webhooks:
        for name in ("room_finished", "participant_left", "room_started", "track_published"):
            assert (await send(webhooks, an_event(name, record)))["status"] == "ok"
            assert (await send(webhooks, an_event(name, foreign, mark=False)))["status"] == "ok"
        assert (await send(webhooks, plain(event="new_in_livekit")))["event"] == "new_in_livekit"
    assert not await tended.state.records.has_ended(record.id)
    assert "somebody-elses" in tended.rooms.rooms
    assert tended.heard == []


async def test_the_same_event_is_handled_once(tended, monkeypatch):
    record = await tended.started(a_person())
    async with taking(tended) as webhooks:
        handled: list[api.WebhookEvent] = []
        monkeypatch.setattr(webhooks._happenings, "take", _noting(handled))
        with_id = an_event("participant_joined", record, event_id=f"EV_{record.id}")
        without = an_event("participant_joined", record, event_id="")
        for body in (with_id, with_id, without, without):
            assert (await send(webhooks, body))["status"] == "ok"
    assert [bool(event.id) for event in handled] == [True, False]


def _noting(handled):
    async def take(event):
        handled.append(event)

    return take


async def test_an_event_that_cannot_be_recorded_is_an_error_and_may_come_again(lone_world):
    tended = lone_world
    record = await tended.started(room=False)
    first_time = tended.state.marks.first_time

    async def away(*_, **__):
        raise StateUnreachableError("Redis is out of reach")

    async with taking(tended) as webhooks:
        body = an_event("room_finished", record)
        tended.state.marks.first_time = away
        with pytest.raises(OrchestratorError) as raised:
            await send(webhooks, body)
        assert raised.value.status == 500
        assert "Redis" not in raised.value.detail
        tended.state.marks.first_time = first_time
        await send(webhooks, body)
    assert await tended.is_gone(record)


async def test_an_event_that_livekit_cannot_be_asked_about_is_an_error_and_may_come_again(tended):
    record = await tended.started(room=False)
    async with taking(tended) as webhooks:
        body = an_event("room_finished", record)
        tended.rooms.away = True
        with pytest.raises(OrchestratorError) as raised:
            await send(webhooks, body)
        assert raised.value.status == 500
        tended.rooms.away = False
        await send(webhooks, body)
    assert await tended.is_gone(record)


async def test_a_session_that_a_token_made_is_known_from_its_room(tended):
    """With Redis the job says so itself; only where it does not come, the room does."""
    record = a_session()
    tended.rooms.open(record, a_person(), an_agent())
    async with taking(tended) as webhooks:
        await send(webhooks, an_event("room_started", record))
        await until(lambda: tended.state.records.get(record.id))
    found = await tended.state.records.get(record.id)
    assert found.identity == ALICE
    assert found.creator == record.creator
    assert found.style is SessionStyle.ENDPOINT
    assert found.dispatches == 1
    longest_ms = made_settings().sessions.max_session_s * 1000
    assert found.expires_at >= found.start_time + longest_ms + 20_000, (
        "its agent says goodbye first"
    )


def dispatched(record: SessionRecord, name: str = "") -> api.AgentDispatch:
    """The dispatch that a token gives the room that it makes."""
    return api.AgentDispatch(agent_name=name, metadata=dispatch_metadata(record, attempt=1))


async def test_where_tasks_bring_agents_one_is_sent_as_soon_as_somebody_joins(tended):
    record = a_session(voice_id="alloy", opening_line="Good morning!", user_name="Alice")
    tended.rooms.open(record)
    tended.rooms.rooms[record.room].made_with.append(dispatched(record))
    tasks = RememberedTasks()
    async with taking(tended, tasks, READY_WITHIN_S="1") as webhooks:
        await send(webhooks, an_event("room_started", record))
        assert tasks.sent == []
        tended.rooms.rooms[record.room].people[ALICE] = a_person()
        for _ in range(2):
            await send(webhooks, an_event("participant_joined", record))
        ((sent, attempt),) = tasks.sent
        assert attempt == 1
    assert (sent.id, sent.identity, sent.user_name) == (record.id, ALICE, "Alice")
    assert (sent.voice_id, sent.opening_line) == ("alloy", "Good morning!")
    assert await tended.state.records.get(record.id) == sent


@pytest.mark.parametrize("name", ["", "somebody-elses"], ids=["one is there", "another is asked"])
async def test_where_tasks_bring_agents_none_is_sent_beside_another(tended, name):
    record = a_session()
    tended.rooms.open(record, a_person(), *([] if name else [an_agent()]))
    tended.rooms.rooms[record.room].made_with.append(dispatched(record, name))
    tasks = RememberedTasks()
    async with taking(tended, tasks) as webhooks:
        await send(webhooks, an_event("participant_joined", record))
        assert await tended.state.records.get(record.id) is not None
    assert tasks.sent == []


async def test_nobodys_secret_stands_in_an_answer_or_a_log_line(tended, caplog):
    async with taking(tended) as webhooks:
        record = await tended.started(a_person())
        await send(webhooks, an_event("participant_left", record))
    assert SECRET not in caplog.text
    assert ALICE not in caplog.text
