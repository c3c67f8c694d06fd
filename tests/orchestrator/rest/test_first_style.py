"""Sessions in the first style: start, show, end."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import pytest
from livekit import api, rtc

from orchestrator.parts import Parts
from session_context import livekit_identity_to_uuid
from sessions import StateUnreachableError
from tests.orchestrator.rest.world import (
    ALICE,
    BACKEND,
    DEVELOPMENT,
    OPERATOR,
    OTHER_BACKEND,
    World,
    bearer,
    claims_of,
    orchestrating,
    user_token,
)


async def test_a_start_answers_how_to_join(anywhere: World):
    started = await anywhere.start("alice@example.com", voiceId="alloy", openingLine="Hi!")
    assert set(started) == {"success", "sessionId", "token", "serverUrl", "roomName", "message"}
    assert started["success"] is True
    assert re.fullmatch(r"session_\d{13}_[0-9a-f]{32}", started["sessionId"])
    assert started["roomName"] == started["sessionId"]
    assert started["serverUrl"] == anywhere.livekit.url


async def test_the_token_joins_this_room_only_for_two_hours(anywhere: World):
    started = await anywhere.start("alice@example.com")
    claims = claims_of(started["token"], anywhere.livekit)
    assert claims["sub"] == "alice@example.com"
    video = claims["video"]
    assert video["room"] == started["roomName"]
    assert {name for name, granted in video.items() if granted is True} == {
        "roomJoin",
        "canPublish",
        "canSubscribe",
        "canPublishData",
    }
    assert abs(claims["exp"] - time.time() - 7200) < 30
    assert "agents" not in claims["roomConfig"]  # the room has its agent


async def test_the_agent_is_dispatched_once_with_the_session_and_the_identity(anywhere: World):
    started = await anywhere.start("alice@example.com", voiceId="alloy", openingLine="Hi!")
    room = started["roomName"]
    info = anywhere.livekit
    async with api.LiveKitAPI(info.url, info.api_key, info.api_secret) as livekit:
        [dispatch] = await livekit.agent_dispatch.list_dispatch(room)
    assert dispatch.agent_name == "assistant"
    told = json.loads(dispatch.metadata)
    assert told["sessionId"] == started["sessionId"]
    assert told["identity"] == "alice@example.com"
    assert (told["voiceId"], told["openingLine"], told["attempt"]) == ("alloy", "Hi!", 1)


@pytest.mark.parametrize("token_of", ["the first style", "the voice gateway"])
async def test_a_room_that_got_lost_is_made_again_as_it_was_by_whoever_joins(
    webrtc, anywhere: World, token_of: str
):
    started = await anywhere.start("alice@example.com")
    name, rooms, token = started["roomName"], anywhere.parts.rooms, started["token"]
    if token_of == "the voice gateway":
        record = await anywhere.parts.state.records.get(started["sessionId"])
        assert record is not None
        token = anywhere.parts.voice.gateway._make_token(record)
    first = await rooms.find(name)
    assert await _dispatches_once_joined(anywhere, name, token) == 1
    await rooms.delete(name)
    assert await _dispatches_once_joined(anywhere, name, token) == 0
    again = await rooms.find(name)
    assert first is not None
    assert again is not None
    assert again.departure_timeout == first.departure_timeout == rooms.departure_timeout_s
    assert (again.metadata, again.empty_timeout) == (first.metadata, first.empty_timeout)
    await rooms.delete(name)


async def _dispatches_once_joined(world: World, name: str, token: str) -> int:
    """Join a room and leave it; how often our agent was sent there."""
    info, person = world.livekit, rtc.Room()
    await person.connect(info.url, token)
    try:
        async with api.LiveKitAPI(info.url, info.api_key, info.api_secret) as livekit:
            found = await livekit.agent_dispatch.list_dispatch(name)
    finally:
        await person.disconnect()
    return sum(each.agent_name == "assistant" for each in found)


async def test_a_nameless_agent_is_dispatched_once_too(quiet_livekit, redis):
    environ = {**DEVELOPMENT, "LIVEKIT_AGENT_NAME": ""}
    async with orchestrating(quiet_livekit, redis_url=redis, **environ) as world:
        started = await world.start()
        info = world.livekit
        async with api.LiveKitAPI(info.url, info.api_key, info.api_secret) as livekit:
            [dispatch] = await livekit.agent_dispatch.list_dispatch(started["roomName"])
    assert json.loads(dispatch.metadata)["sessionId"] == started["sessionId"]


async def test_the_record_says_whose_session_it_is(anywhere: World):
    started = await anywhere.start("alice@example.com", voiceId="alloy", openingLine="Hi!")
    state = anywhere.parts.state
    record = await state.records.get(started["sessionId"])
    assert record is not None
    assert record.user_id == livekit_identity_to_uuid("alice@example.com")
    assert (record.user_name, record.voice_id) == ("alice@example.com", "alloy")
    assert record.opening_line == "Hi!"
    assert await state.records.newest_of(record.user_id) == record.id


async def test_a_session_is_shown_to_who_made_it(anywhere: World):
    started = await anywhere.start("alice@example.com")
    path = f"/api/session/{started['sessionId']}"
    shown = await anywhere.client.get(path, headers=BACKEND)
    assert shown.status_code == 200
    assert shown.json()["status"] == "starting"
    assert shown.json()["sessionId"] == started["sessionId"]
    assert (await anywhere.client.get(path, headers=OTHER_BACKEND)).status_code == 404


async def test_an_end_reports_what_became_of_it_and_then_it_is_unknown(anywhere: World):
    started = await anywhere.start()
    body = {"sessionId": started["sessionId"]}
    first = await anywhere.client.post("/api/session/end", json=body, headers=BACKEND)
    assert first.status_code == 200, first.text
    assert first.json()["success"] is True
    details = first.json()["details"]
    assert details["session_id"] == started["sessionId"]
    assert details["celery_task_revoked"] is False
    assert details["process_killed"] is True
    assert details["redis_cleaned"] is True
    assert details["room_deleted"] is True
    assert details["errors"] == []
    again = await anywhere.client.post("/api/session/end", json=body, headers=BACKEND)
    assert again.status_code == 404
    shown = await anywhere.client.get(f"/api/session/{started['sessionId']}", headers=BACKEND)
    assert shown.status_code == 404


async def test_ends_at_the_same_time_get_the_same_report(anywhere: World):
    started = await anywhere.start()
    body = {"sessionId": started["sessionId"]}

    async def end():
        return await anywhere.client.post("/api/session/end", json=body, headers=BACKEND)

    answers = await asyncio.gather(*(end() for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


async def test_starting_again_leaves_the_older_session_alone(anywhere: World):
    older, newer = await anywhere.start("carol"), await anywhere.start("carol")
    records = anywhere.parts.state.records
    assert await records.get(older["sessionId"]) is not None
    assert await records.newest_of(livekit_identity_to_uuid("carol")) == newer["sessionId"]


async def test_one_session_per_user_ends_the_older_one(quiet_livekit, redis):
    environ = {**DEVELOPMENT, "ONE_SESSION_PER_USER": "true"}
    async with orchestrating(quiet_livekit, redis_url=redis, **environ) as world:
        started = [await world.start("dave") for _ in range(3)]
        records = world.parts.state.records
        for older in started[:-1]:
            assert await records.has_ended(older["sessionId"])
        assert not await records.has_ended(started[-1]["sessionId"])


async def test_of_many_starts_at_once_one_session_per_user_leaves_one(quiet_livekit, redis):
    environ = {**DEVELOPMENT, "ONE_SESSION_PER_USER": "true"}
    async with orchestrating(quiet_livekit, redis_url=redis, **environ) as world:
        started = await asyncio.gather(*(world.start("erin") for _ in range(8)))
        records = world.parts.state.records
        ended = [await records.has_ended(each["sessionId"]) for each in started]
        assert ended.count(False) == 1


async def test_an_operator_starts_nothing_and_ends_anything(anywhere: World):
    body = {"userName": "alice"}
    refused = await anywhere.client.post("/api/session/start", json=body, headers=OPERATOR)
    assert refused.status_code == 403
    started = await anywhere.start()
    ending = {"sessionId": started["sessionId"]}
    ended = await anywhere.client.post("/api/session/end", json=ending, headers=OPERATOR)
    assert ended.status_code == 200


async def test_a_users_name_is_what_they_are_called_and_not_who_they_are(anywhere: World):
    started = await anywhere.start("Somebody Else", headers=bearer(user_token(ALICE)))
    claims = claims_of(started["token"], anywhere.livekit)
    assert (claims["sub"], claims["name"]) == (ALICE, "Somebody Else")


@pytest.mark.parametrize("name", ["ns:acme", "anon:1"])
async def test_a_back_end_names_nobody_of_a_reserved_prefix(anywhere: World, name):
    body = {"userName": name}
    answer = await anywhere.client.post("/api/session/start", json=body, headers=BACKEND)
    assert answer.status_code == 400
    assert "userName" in answer.json()["detail"]


UNUSABLE: list[dict[str, Any]] = [
    {},
    {"userName": ""},
    {"userName": 7},
    {"userName": "a\x00b"},
    {"userName": "x" * 257},
    {"userName": "a", "voiceId": "x" * 201},
    {"userName": "a", "openingLine": "x" * 1001},
]


async def test_what_cannot_be_used_is_refused_with_its_field(anywhere: World):
    for body in UNUSABLE:
        answer = await anywhere.client.post("/api/session/start", json=body, headers=BACKEND)
        assert answer.status_code == 422, body
        wrong = next((name for name in ("openingLine", "voiceId") if name in body), "userName")
        assert [each["field"] for each in answer.json()["errors"]] == [wrong]
        assert wrong in answer.json()["detail"]


async def test_half_of_a_character_is_no_name(anywhere: World):
    content = b'{"userName": "\\ud800"}'
    headers = {**BACKEND, "Content-Type": "application/json"}
    answer = await anywhere.client.post("/api/session/start", content=content, headers=headers)
    assert answer.status_code == 422


async def test_a_body_that_is_not_json_is_refused(anywhere: World):
    headers = {**BACKEND, "Content-Type": "application/json"}
    answer = await anywhere.client.post("/api/session/start", content=b"{", headers=headers)
    assert answer.status_code == 400


async def test_a_start_without_livekit_leaves_nothing(anywhere: World, monkeypatch):
    parts: Parts = anywhere.parts
    unreachable = api.LiveKitAPI("http://127.0.0.1:9", "key", "secret" * 6)
    monkeypatch.setattr(parts.rooms, "_livekit", unreachable)
    answer = await anywhere.client.post(
        "/api/session/start", json={"userName": "frank"}, headers=BACKEND
    )
    await unreachable.aclose()
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    newest = await parts.state.records.newest_of(livekit_identity_to_uuid("frank"))
    assert newest is None or await parts.state.records.has_ended(newest)


async def test_a_start_without_redis_is_a_503(anywhere: World, monkeypatch):
    async def gone(*_, **__):
        raise StateUnreachableError("gone")

    monkeypatch.setattr(anywhere.parts.state.records, "add", gone)
    answer = await anywhere.client.post(
        "/api/session/start", json={"userName": "grace"}, headers=BACKEND
    )
    assert answer.status_code == 503
    assert set(answer.json()) == {"detail"}
