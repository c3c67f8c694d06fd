"""Sessions in the second style: namespaces' devices."""

from __future__ import annotations

import asyncio
import uuid

import httpx
import pytest

from sessions import SessionStatus, Task, TaskState
from sessions.naming import now_ms
from tests.orchestrator.ending_world import until
from tests.orchestrator.rest.world import (
    BACKEND,
    OPERATOR,
    PRODUCTION,
    World,
    as_namespace,
    bearer,
    claims_of,
    key_hash_of,
    orchestrating,
    user_token,
)


@pytest.fixture
async def registered(anywhere: World) -> World:
    """Two namespaces that nobody else's test uses."""
    anywhere.acme = f"acme-{uuid.uuid4().hex[:8]}"
    anywhere.other = f"other-{uuid.uuid4().hex[:8]}"
    await anywhere.register(anywhere.acme, anywhere.other)
    return anywhere


def headers_of(namespace: str) -> dict[str, str]:
    return as_namespace(namespace, key_hash_of(namespace))


async def test_a_create_answers_where_to_connect(registered: World):
    answer = await registered.create(registered.acme, device_type="esp32", client_version="1.2")
    assert answer.status_code == 201
    created = answer.json()
    assert set(created) == {"id", "namespace_id", "status", "created_at", "websocket_url"}
    assert uuid.UUID(created["id"]).version == 4
    assert created["namespace_id"] == registered.acme
    where, _, ticket = created["websocket_url"].partition("&ticket=")
    assert where == f"ws://127.0.0.1:8000/ws/voice?session_id={created['id']}"
    assert len(ticket) >= 22  # 128 random bits
    record = await registered.parts.state.records.get(created["id"])
    assert record is not None
    assert record.room == f"session_{created['id']}"
    assert record.identity == f"ns:{registered.acme}"


@pytest.mark.parametrize("key_hash", ["", "wrong"])
async def test_a_wrong_key_hash_is_a_401(registered: World, key_hash):
    answer = await registered.create(registered.acme, key_hash=key_hash)
    assert answer.status_code == 401
    assert (await registered.create("nobody-registered-this")).status_code == 401


async def test_without_encryption_the_key_hash_is_not_looked_at(quiet_livekit):
    environ = {**PRODUCTION, "ENCRYPTION_ENABLED": "false"}
    async with orchestrating(quiet_livekit, **environ) as world:
        assert (await world.create("anybody", key_hash="")).status_code == 201
        named = {"X-Namespace-Id": "anybody"}
        for path in ("/api/token", "/api/session/start"):
            assert (await world.client.post(path, headers=named)).status_code == 401
        assert (await world.client.get("/api/v1/me/export", headers=named)).status_code == 401


async def test_fifty_creates_at_once_never_exceed_the_maximum(registered: World):
    answers = await asyncio.gather(*(registered.create(registered.acme) for _ in range(50)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) == 5
    assert statuses.count(429) == 45
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["Retry-After"]) > 0
    ended = next(answer.json()["id"] for answer in answers if answer.status_code == 201)
    path = f"/api/v1/sessions/{ended}"
    assert (await registered.client.delete(path, headers=headers_of(registered.acme))).is_success
    assert (await registered.create(registered.acme)).status_code == 201


async def test_no_other_route_makes_a_namespace_a_session(registered: World):
    headers = headers_of(registered.acme)
    body = {"userName": "Alice"}
    answers = [
        await registered.client.post("/api/session/start", json=body, headers=headers),
        await registered.token(headers=headers),
        await registered.token(headers=headers, room_name="lounge"),
    ]
    for answer in answers:
        assert answer.status_code == 403
        assert "POST /api/v1/sessions" in answer.json()["detail"]
    everything = await registered.parts.state.records.page(None, 10_000)
    assert not [each for each in everything if each.identity == f"ns:{registered.acme}"]


async def test_a_namespace_may_join_the_room_of_its_own_session(registered: World):
    created = (await registered.create(registered.acme)).json()
    room = f"session_{created['id']}"
    answer = await registered.token(headers=headers_of(registered.acme), room_name=room)
    assert answer.status_code == 201
    claims = claims_of(answer.json()["participant_token"], registered.livekit)
    assert (claims["video"]["room"], claims["sub"]) == (room, f"ns:{registered.acme}")
    other = await registered.token(headers=headers_of(registered.other), room_name=room)
    assert other.status_code == 404


async def test_a_session_is_shown_with_what_is_counted(registered: World):
    created = (await registered.create(registered.acme, device_type="esp32")).json()
    agents = registered.parts.state.agents
    await agents.add_counts(created["id"], ttl_s=60, messages=3, audio_chunks_received=7)
    for state in (TaskState.PENDING, TaskState.COMPLETED):
        task = Task(state.value, created["id"], "recall", state, now_ms(), now_ms())
        await agents.put_task(task, ttl_s=60)
    headers = headers_of(registered.acme)
    path = f"/api/v1/sessions/{created['id']}"
    shown = (await registered.client.get(path, headers=headers)).json()
    assert shown["status"] == "starting"
    assert (shown["message_count"], shown["pending_tasks_count"]) == (3, 1)
    stats = (await registered.client.get(f"{path}/stats", headers=headers)).json()
    assert set(stats) == {
        "session_id_truncated",
        "status",
        "age_seconds",
        "message_count",
        "pending_tasks_count",
        "audio_chunks_received",
        "audio_chunks_processed",
        "device_type",
    }
    assert created["id"] not in stats["session_id_truncated"]
    assert (stats["audio_chunks_received"], stats["audio_chunks_processed"]) == (7, 0)


async def test_tasks_are_listed_by_state(registered: World):
    created = (await registered.create(registered.acme)).json()
    agents = registered.parts.state.agents
    failed = Task(
        "t1", created["id"], "recall", TaskState.FAILED, 1000, 2000, error_message="no answer"
    )
    running = Task("t2", created["id"], "extraction", TaskState.RUNNING, 3000, 3000)
    for task in (failed, running):
        await agents.put_task(task, ttl_s=60)
    path, headers = f"/api/v1/sessions/{created['id']}/tasks", headers_of(registered.acme)
    everything = (await registered.client.get(path, headers=headers)).json()
    assert [task["id"] for task in everything] == ["t1", "t2"]
    only = await registered.client.get(path, params={"state": "failed"}, headers=headers)
    assert only.json() == [
        {
            "id": "t1",
            "session_id": created["id"],
            "type": "recall",
            "state": "failed",
            "created_at": "1970-01-01T00:00:01Z",
            "updated_at": "1970-01-01T00:00:02Z",
            "result_available": False,
            "error_message": "no answer",
        }
    ]
    wrong = await registered.client.get(path, params={"state": "lost"}, headers=headers)
    assert wrong.status_code == 422


async def test_a_delete_ends_the_session(registered: World):
    created = (await registered.create(registered.acme)).json()
    path, headers = f"/api/v1/sessions/{created['id']}", headers_of(registered.acme)
    closed = await registered.client.delete(path, headers=headers)
    assert closed.json() == {"status": "closed", "session_id": created["id"]}
    assert (await registered.client.delete(path, headers=headers)).status_code == 404
    assert await registered.parts.state.records.has_ended(created["id"])


async def test_a_session_that_has_expired_is_closed(quiet_livekit):
    environ = {**PRODUCTION, "SESSION_TTL_HOURS": "0.00001"}
    async with orchestrating(quiet_livekit, **environ) as world:
        await world.register("acme")
        created = (await world.create("acme")).json()
        await asyncio.sleep(0.04)
        path = f"/api/v1/sessions/{created['id']}"
        shown = await world.client.get(path, headers=headers_of("acme"))
        assert shown.json()["status"] == "closed"
        assert await world.parts.state.records.has_ended(created["id"])


@pytest.mark.parametrize("over_redis", [True, False])
async def test_a_session_that_was_ended_as_it_expired_is_still_closed(
    quiet_livekit, redis, over_redis
):
    environ = {**PRODUCTION, "SESSION_TTL_HOURS": "0.00001"}
    url = redis if over_redis else ""
    async with orchestrating(quiet_livekit, redis_url=url, **environ) as world:
        acme = f"acme-{uuid.uuid4().hex[:8]}"
        await world.register(acme, "other")
        id_ = (await world.create(acme, device_type="esp32")).json()["id"]
        # The watchdog ends it, asked or not.
        await until(lambda: world.parts.state.cleanups.report(id_))
        assert await world.parts.state.records.get(id_) is None
        path = f"/api/v1/sessions/{id_}"
        shown = await world.client.get(path, headers=headers_of(acme))
        assert shown.status_code == 200, shown.text
        assert (shown.json()["status"], shown.json()["device_type"]) == ("closed", "esp32")
        stats = await world.client.get(f"{path}/stats", headers=headers_of(acme))
        assert stats.json()["status"] == "closed"
        assert (await world.client.get(path, headers=headers_of("other"))).status_code == 404
        assert (await world.client.delete(path, headers=headers_of(acme))).status_code == 404


async def test_another_namespace_does_not_see_it(registered: World):
    created = (await registered.create(registered.acme)).json()
    path, headers = f"/api/v1/sessions/{created['id']}", headers_of(registered.other)
    for suffix in ("", "/tasks", "/stats"):
        answer = await registered.client.get(path + suffix, headers=headers)
        assert answer.status_code == 404
    assert (await registered.client.delete(path, headers=headers)).status_code == 404
    assert not await registered.parts.state.records.has_ended(created["id"])


async def test_a_namespace_needs_its_key_hash_later_too(registered: World):
    created = (await registered.create(registered.acme)).json()
    path = f"/api/v1/sessions/{created['id']}"
    wrong = as_namespace(registered.acme, "wrong")
    assert (await registered.client.get(path, headers=wrong)).status_code == 401
    assert (await registered.client.get(path)).status_code == 401


async def test_a_back_end_acts_for_a_namespace_that_it_names(registered: World):
    created = (await registered.create(registered.acme)).json()
    path = f"/api/v1/sessions/{created['id']}"
    named = {**BACKEND, "X-Namespace-Id": registered.acme}
    assert (await registered.client.get(path, headers=named)).status_code == 200
    assert (await registered.client.get(path, headers=BACKEND)).status_code == 404


async def created_by(world: World, headers: dict[str, str], **more: str) -> httpx.Response:
    body = {"namespace_id": world.acme, **more}
    return await world.client.post("/api/v1/sessions", json=body, headers=headers)


@pytest.mark.parametrize("registers", [True, False], ids=["registered", "unknown"])
async def test_a_back_end_creates_a_session_for_a_namespace(registered: World, registers):
    if not registers:
        registered.acme = f"new-{uuid.uuid4().hex[:8]}"
    named = {**BACKEND, "X-Namespace-Id": registered.acme}
    made = [await created_by(registered, headers) for headers in (BACKEND, named) * 3]
    assert [answer.status_code for answer in made] == [201] * 5 + [429]
    path = f"/api/v1/sessions/{made[0].json()['id']}"
    assert (await registered.client.get(path, headers=named)).status_code == 200
    if registers:
        mine = headers_of(registered.acme)
        assert (await registered.client.get(path, headers=mine)).status_code == 200


async def test_a_back_end_names_one_namespace_only(registered: World):
    named = {**BACKEND, "X-Namespace-Id": registered.other}
    answer = await created_by(registered, named)
    assert answer.status_code == 400
    assert "namespace_id" in answer.json()["detail"]


async def test_who_creates_a_session_with_a_credential_must_be_a_back_end(registered: World):
    key_hash = key_hash_of(registered.acme)
    for headers, status in ((bearer("wrong"), 401), (OPERATOR, 403), (bearer(user_token()), 403)):
        answer = await created_by(registered, headers, key_hash=key_hash)
        assert answer.status_code == status


async def test_operators_list_sessions_page_by_page(registered: World):
    made = [(await registered.create(registered.acme)).json()["id"] for _ in range(3)]
    found, after = [], None
    while True:
        query = {"limit": 2} if after is None else {"limit": 2, "after": after}
        page = await registered.client.get("/api/v1/sessions", params=query, headers=OPERATOR)
        found += [each["id"] for each in page.json()["sessions"]]
        after = page.json()["next"]
        if after is None:
            break
    assert [each for each in found if each in made] == made
    assert len(set(found)) == len(found)
    refused = await registered.client.get("/api/v1/sessions", headers=BACKEND)
    assert refused.status_code == 403


async def test_a_back_end_registers_and_unregisters_namespaces(anywhere: World):
    name = f"new-{uuid.uuid4().hex[:8]}"
    path = f"/api/v1/namespaces/{name}"
    body = {"key_hash": key_hash_of(name)}
    assert (await anywhere.client.put(path, json=body)).status_code == 401
    assert (await anywhere.client.put(path, json=body, headers=OPERATOR)).status_code == 403
    assert (await anywhere.client.put(path, json=body, headers=BACKEND)).status_code == 200
    assert (await anywhere.create(name)).status_code == 201
    assert (await anywhere.client.delete(path, headers=BACKEND)).status_code == 200
    assert (await anywhere.client.delete(path, headers=BACKEND)).status_code == 404
    assert (await anywhere.create(name)).status_code == 401


async def test_a_session_whose_agent_is_ready_says_so(registered: World):
    created = (await registered.create(registered.acme)).json()
    records = registered.parts.state.records
    await records.update(created["id"], status=SessionStatus.READY)
    path = f"/api/v1/sessions/{created['id']}"
    shown = await registered.client.get(path, headers=headers_of(registered.acme))
    assert shown.json()["status"] == "ready"
