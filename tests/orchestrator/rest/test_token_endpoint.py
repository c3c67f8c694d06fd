"""LiveKit's standard token endpoint."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from livekit import api

from connection_events import Reason
from sessions.naming import read_room_metadata
from tests.orchestrator.rest.world import (
    ALICE,
    BACKEND,
    BOB,
    OPERATOR,
    OTHER_BACKEND,
    World,
    bearer,
    claims_of,
    user_token,
)


def told_of(claims) -> dict[str, Any]:
    [agent] = claims["roomConfig"]["agents"]
    return dict(json.loads(agent["metadata"]))


async def test_nothing_asked_for_gives_a_new_room_for_each_token(production: World):
    first, second = await production.token(), await production.token()
    assert first.status_code == 201
    assert set(first.json()) == {
        "server_url",
        "participant_token",
        "serverUrl",
        "participantToken",
    }
    assert first.json()["server_url"] == first.json()["serverUrl"] == production.livekit.url
    assert first.json()["participant_token"] == first.json()["participantToken"]
    rooms = {
        claims_of(answer.json()["participant_token"], production.livekit)["video"]["room"]
        for answer in (first, second)
    }
    assert len(rooms) == 2
    assert all(room.startswith("session_") for room in rooms)


async def test_an_empty_body_is_taken(production: World):
    answer = await production.client.post("/api/token", headers=BACKEND)
    assert answer.status_code == 201


@pytest.mark.parametrize("camel", [False, True])
async def test_both_casings_are_read(production: World, camel):
    asked = {
        "room_name": f"room-{uuid.uuid4()}",
        "participant_name": "Alice",
        "participant_identity": "alice",
        "participant_metadata": "m",
        "participant_attributes": {"color": "blue"},
        "room_config": {"agents": [{"agent_name": "x", "metadata": '{"openingLine": "Hi"}'}]},
        "something_new": 1,
    }
    if camel:
        asked = {
            "roomName": asked["room_name"],
            "participantName": "Alice",
            "participantIdentity": "alice",
            "participantMetadata": "m",
            "participantAttributes": {"color": "blue"},
            "roomConfig": {"agents": [{"agentName": "x", "metadata": '{"opening_line": "Hi"}'}]},
        }
    answer = await production.token(**asked)
    assert answer.status_code == 201, answer.text
    claims = claims_of(answer.json()["participant_token"], production.livekit)
    assert claims["video"]["room"] == asked.get("room_name") or asked.get("roomName")
    assert (claims["sub"], claims["name"], claims["metadata"]) == ("alice", "Alice", "m")
    assert claims["attributes"] == {"color": "blue"}
    assert told_of(claims)["openingLine"] == "Hi"


@pytest.mark.parametrize(
    "room_config",
    [
        None,
        {},
        {"agents": []},
        {"agents": [{}]},
        {"agents": [{"agent_name": "bot"}]},
        {"agents": [{"metadata": '{"openingLine": null, "voiceId": null}'}]},
    ],
)
async def test_the_agent_is_ours_whatever_a_starter_calls_it(production: World, room_config):
    answer = await production.token(room_config=room_config)
    claims = claims_of(answer.json()["participant_token"], production.livekit)
    [agent] = claims["roomConfig"]["agents"]
    assert agent["agentName"] == "assistant"
    told = told_of(claims)
    assert told["style"] == "endpoint"
    assert told["identity"] == claims["sub"]
    assert told["attempt"] == 1
    mark = read_room_metadata(claims["roomConfig"]["metadata"])
    assert mark is not None
    assert (mark["session"], mark["creator"]) == (told["sessionId"], told["creator"])
    assert claims["roomConfig"]["departureTimeout"] == 40


async def test_of_an_agents_metadata_only_what_it_may_say_is_taken(production: World):
    metadata = json.dumps({"voiceId": "alloy", "identity": "bob", "sessionId": "x", "attempt": 9})
    answer = await production.token(
        participant_identity="alice", room_config={"agents": [{"metadata": metadata}]}
    )
    told = told_of(claims_of(answer.json()["participant_token"], production.livekit))
    assert told["voiceId"] == "alloy"
    assert (told["identity"], told["attempt"]) == ("alice", 1)
    assert told["sessionId"] != "x"


NOT_GIVEN: list[tuple[dict[str, Any], str]] = [
    ({"room_name": 7}, "room_name"),
    ({"room_name": "x" * 300}, "room_name"),
    ({"participant_attributes": {"lk.agent.state": "speaking"}}, "participant_attributes"),
    ({"participant_attributes": {"a": 1}}, "participant_attributes"),
    ({"room_config": {"egress": {}}}, "egress"),
    ({"room_config": {"egress": {"room": {"roomName": "x"}}}}, "egress"),
    ({"room_config": {"max_participants": 3}}, "max_participants"),
    ({"room_config": {"agents": 7}}, "room_config"),
    ({"room_config": "x"}, "room_config"),
    ({"room_config": {"agents": [{"metadata": '{"voiceId": 7}'}]}}, "metadata.voiceId"),
    (
        {"room_config": {"agents": [{"metadata": json.dumps({"openingLine": "x" * 1001})}]}},
        "metadata.openingLine",
    ),
    ({"participant_identity": "ns:acme"}, "participant_identity"),
    ({"participant_identity": "anon:1"}, "participant_identity"),
]


async def test_what_is_not_given_is_a_400_that_names_it(production: World):
    for body, named in NOT_GIVEN:
        answer = await production.token(**body)
        assert answer.status_code == 400, body
        assert named in answer.json()["detail"], body


async def test_what_is_no_json_object_is_a_400(production: World):
    headers = {**BACKEND, "Content-Type": "application/json"}
    for content in (b"{", b"[]", b"7", b"[" * 30_000, b"\xff"):
        answer = await production.client.post("/api/token", content=content, headers=headers)
        assert answer.status_code == 400, content[:10]


async def test_a_user_is_themselves_and_nobody_else(production: World):
    alice = bearer(user_token(ALICE))
    own = await production.token(headers=alice, participant_identity=ALICE)
    assert own.status_code == 201
    nobody_named = await production.token(headers=alice)
    claims = claims_of(nobody_named.json()["participant_token"], production.livekit)
    assert claims["sub"] == ALICE
    other = await production.token(headers=alice, participant_identity=BOB)
    assert other.status_code == 403
    assert (await production.token(headers=OPERATOR)).status_code == 403


async def test_a_back_end_that_names_nobody_gets_somebody_new(production: World):
    subjects = set()
    for _ in range(2):
        answer = await production.token()
        subjects.add(claims_of(answer.json()["participant_token"], production.livekit)["sub"])
    assert len(subjects) == 2
    assert all(each.startswith("anon:") for each in subjects)


async def test_a_users_room_has_a_name_of_their_own(production: World):
    rooms = []
    for sub in (ALICE, ALICE, BOB):
        answer = await production.token(headers=bearer(user_token(sub)), room_name="lobby")
        claims = claims_of(answer.json()["participant_token"], production.livekit)
        rooms.append(claims["video"]["room"])
    assert rooms[0] == rooms[1] != rooms[2]
    assert all(room.startswith("session_") and "lobby" not in room for room in rooms)


async def test_a_room_of_another_caller_is_a_404(production: World):
    started = await production.start("alice")
    own = await production.token(room_name=started["roomName"])
    assert own.status_code == 201
    other = await production.token(room_name=started["roomName"], headers=OTHER_BACKEND)
    assert other.status_code == 404


async def test_a_user_comes_back_to_a_room_of_theirs_and_into_no_other(production: World):
    alice, bob = bearer(user_token(ALICE)), bearer(user_token(BOB))
    room = (await production.start("Alice", headers=alice))["roomName"]
    own = await production.token(room_name=room, headers=alice)
    claims = claims_of(own.json()["participant_token"], production.livekit)
    assert (claims["sub"], claims["video"]["room"]) == (ALICE, room)
    assert (await production.token(room_name=room, headers=bob)).status_code == 404
    theirs = (await production.start("somebody"))["roomName"]
    assert (await production.token(room_name=theirs, headers=alice)).status_code == 404


async def test_a_user_does_not_come_back_to_a_session_that_has_ended(production: World):
    alice = bearer(user_token(ALICE))
    started = await production.start("Alice", headers=alice)
    body = {"sessionId": started["sessionId"]}
    ended = await production.client.post("/api/session/end", json=body, headers=alice)
    assert ended.status_code == 200
    again = await production.token(room_name=started["roomName"], headers=alice)
    assert again.status_code == 404


async def test_a_room_of_another_application_is_a_404(production: World):
    name, info = f"theirs-{uuid.uuid4()}", production.livekit
    async with api.LiveKitAPI(info.url, info.api_key, info.api_secret) as livekit:
        await livekit.room.create_room(api.CreateRoomRequest(name=name))
        assert (await production.token(room_name=name)).status_code == 404
        await livekit.room.delete_room(api.DeleteRoomRequest(room=name))


async def test_the_room_of_a_session_that_has_ended_is_a_404(production: World):
    started = await production.start("alice")
    endings = production.parts.endings
    await endings.end(started["sessionId"], Reason.CLIENT_DISCONNECT, asked_by="test")
    assert (await production.token(room_name=started["roomName"])).status_code == 404


async def test_a_token_changes_nothing(production: World):
    identity = f"nobody-{uuid.uuid4()}"
    room = f"room-{uuid.uuid4()}"
    answer = await production.token(participant_identity=identity, room_name=room)
    assert answer.status_code == 201
    told = told_of(claims_of(answer.json()["participant_token"], production.livekit))
    assert await production.parts.state.records.get(told["sessionId"]) is None
    assert await production.parts.rooms.find(room) is None
