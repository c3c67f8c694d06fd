"""Every recall, write, tool call, turn, RPC, callback and log field is its own person's."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path

import pytest
from livekit import rtc
from livekit.protocol.agent_pb.agent_session import SessionResponse

from devstack.participant import CHAT_TOPIC
from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from tests.e2e.conftest import PATIENT, Deployment, deployment
from tests.e2e.session_messages import REQUESTS, RemoteControl

PROBE_AGENT = Path(__file__).with_name("probe_agent.py")
HOSTED_AGENT = Path(__file__).with_name("hosted_agent.py")
COLORS = ["blue", "red", "green", "yellow", "purple", "orange", "brown", "pink", "black", "white"]


async def _conversation(
    running: Deployment, identity: str, room: str, color: str
) -> dict[str, str]:
    async with running.join(identity, room) as person:
        agent = (await person.hear(60)).speaker
        await person.room.local_participant.publish_data(b"x", reliable=True)
        await person.ask(f"my name is {color}y", 60)
        await person.ask(f"my favorite color is {color}", 60)
        answers = {
            "color": await person.ask("what is my favorite color?", 60),
            "all": await person.ask("what do you know about me?", 60),
        }
        answers["rpc"] = await person.room.local_participant.perform_rpc(
            destination_identity=agent, method="whoami", payload=""
        )
        return answers


async def test_ten_people_at_once_in_ten_rooms_each_have_their_own(
    worker_settings, tmp_path, new_room
):
    probes = tmp_path / "probes"
    people = {f"{color}@example.com": (new_room(), color) for color in COLORS}
    probed = {"PROBE_FILE": str(probes), "LIVEKIT_LOG_LEVEL": "DEBUG"}
    settings = {**worker_settings, **PATIENT, **probed}
    with deployment(settings, entrypoint=PROBE_AGENT) as running:
        answers = await asyncio.gather(
            *(_conversation(running, who, room, color) for who, (room, color) in people.items())
        )
        await eventually(lambda: _notes(probes, "shutdown callback") == len(people), 60)
        # Each job stores its last turns beside the other callbacks of its end.
        await eventually(lambda: all(_is_kept(running, *each) for each in people.items()))
        for (identity, (_, color)), said in zip(people.items(), answers, strict=True):
            _own_and_nobody_elses(running, identity, color, said)
        _every_note_is_of_its_own_person(probes, people)
        _every_log_field_is_of_its_own_person(running.worker.log(), people)


def _is_kept(running: Deployment, identity: str, where: tuple[str, str]) -> bool:
    return f"my favorite color is {where[1]}" in running.said(identity)


def _own_and_nobody_elses(running: Deployment, identity: str, color: str, said: dict[str, str]):
    others = [other for other in COLORS if other != color]
    assert color in said["color"]
    assert not [other for other in others if other in said["color"] + said["all"]]
    assert said["rpc"] == livekit_identity_to_uuid(identity)
    kept = " ".join(running.values(identity))
    assert f"my favorite color is {color}" in kept
    assert not [other for other in others if other in kept]
    details = running.profiles.get_person(livekit_identity_to_uuid(identity)).details
    assert details.first_name == f"{color}y".title()


def _notes(probes: Path, path: str) -> int:
    return probes.read_text().count(f'"path": "{path}"')


def _every_note_is_of_its_own_person(probes: Path, people: dict[str, tuple[str, str]]) -> None:
    identities = {room: identity for identity, (room, _) in people.items()}
    seen = defaultdict(set)
    for line in probes.read_text().splitlines():
        note = json.loads(line)
        expected = livekit_identity_to_uuid(identities[note["room"]])
        if note["path"] == "before anybody is bound":
            assert (note["user"], note["identity"]) == ("NoSessionUserError", None)
        else:
            assert (note["user"], note["identity"]) == (expected, identities[note["room"]])
        seen[note["path"]].add(note["room"])
    everywhere = {
        "before anybody is bound",
        "room event",
        "rpc handler",
        "raw thread",
        "executor",
        "to_thread",
        "after SessionUserConflictError",
        "session end",
        "shutdown callback",
    }
    assert {path for path, rooms in seen.items() if len(rooms) == len(people)} == everywhere


def _every_log_field_is_of_its_own_person(log: str, people: dict[str, tuple[str, str]]) -> None:
    users = {room: livekit_identity_to_uuid(identity) for identity, (room, _) in people.items()}
    checked = 0
    for line in log.splitlines():
        record = json.loads(line) if line.startswith("{") else {}
        if "user_uuid" in record:
            assert record["user_uuid"] == users[record["room"]], line
            checked += 1
    assert checked > 10 * len(people)


async def test_a_second_participant_is_neither_heard_nor_the_user(
    sqlite_deployment, identity, new_room
):
    room = new_room()
    bystander = f"bystander-of-{identity}"
    async with sqlite_deployment.join(identity, room) as alice:
        await alice.hear()
        await alice.ask("my favorite color is blue")
        async with sqlite_deployment.join(bystander, room) as mallory:
            await mallory.type("my favorite color is red")
            await mallory.type("what do you know about me?")
            assert "blue" in await alice.ask("what is my favorite color?")
        assert "blue" in await alice.ask("what is my favorite color?")
        assert sqlite_deployment.values(bystander) == []
        assert not [v for v in sqlite_deployment.values(identity) if "red" in v]


async def test_a_bystander_cannot_drive_the_session_from_outside(
    sqlite_deployment, identity, new_room
):
    room = new_room()
    async with sqlite_deployment.join(identity, room) as alice:
        agent = (await alice.hear()).speaker
        await alice.ask("my favorite color is blue")
        async with sqlite_deployment.join("mallory", room) as mallory:
            with pytest.raises(rtc.RpcError):
                await mallory.room.local_participant.perform_rpc(
                    destination_identity=agent, method="lk.agent.request", payload="{}"
                )
            control = RemoteControl(mallory)
            for name in REQUESTS:
                await control.send(name)
            # All that the agent does for Alice from now on comes after those requests.
            for _ in range(3):
                assert "blue" in await alice.ask("what is my favorite color?")
            assert control.received == []
    await eventually(lambda: "my favorite color is blue" in sqlite_deployment.values(identity))
    assert not [v for v in sqlite_deployment.values(identity) if "red" in v]


async def test_the_same_requests_are_answered_by_a_session_that_hosts_remote_control(
    worker_settings, identity, new_room
):
    """Without this, the test above would hold for requests that nobody could read."""
    room = new_room()
    with deployment(worker_settings, entrypoint=HOSTED_AGENT) as running:
        async with running.join(identity, room) as alice:
            await alice.hear()
            async with running.join("mallory", room) as mallory:
                control = RemoteControl(mallory)
                for name in REQUESTS:
                    await control.send(name)
                answers = await eventually(lambda: _if_all(control.answers()))
                assert "remember" in (await alice.hear()).text
        assert "You are" in answers["instructions"].get_agent_info.instructions
        assert "red" in running.values(identity)


def _if_all(answers: dict[str, SessionResponse]) -> dict[str, SessionResponse]:
    return answers if answers.keys() == REQUESTS.keys() else {}


async def test_the_person_who_was_expected_is_served_whoever_comes_first(
    sqlite_deployment, identity, new_room
):
    room = new_room()
    expected = {"identity": identity}
    async with sqlite_deployment.join("early-bird", room, metadata=expected) as early:
        await early.type("my favorite color is red")
        async with sqlite_deployment.join(identity, room) as alice:
            assert "What may I call you?" in (await alice.hear()).text
            assert "remember" in await alice.ask("my favorite color is blue")
            await early.type("forget my favorite color")
            assert "blue" in await alice.ask("what is my favorite color?")
    assert sqlite_deployment.values("early-bird") == []


async def test_typed_turns_of_whoever_is_not_the_user_are_ignored_by_topic_too(
    sqlite_deployment, identity, new_room
):
    room = new_room()
    async with sqlite_deployment.join(identity, room) as alice:
        await alice.hear()
        async with sqlite_deployment.join("mallory", room) as mallory:
            await mallory.room.local_participant.send_text(
                "my name is mallory", topic=CHAT_TOPIC, attributes={"sender": identity}
            )
            await alice.ask("my name is alice")
    user = livekit_identity_to_uuid(identity)
    assert sqlite_deployment.profiles.get_person(user).details.first_name == "Alice"


@pytest.mark.parametrize("kind", ["agent", "egress", "ingress"])
async def test_a_machine_is_never_the_user(sqlite_deployment, identity, new_room, kind):
    room = new_room()
    machine = f"machine-{identity}"
    async with (
        sqlite_deployment.join(machine, room, publish_track=False, kind=kind),
        sqlite_deployment.join(identity, room) as person,
    ):
        assert "What may I call you?" in (await person.hear()).text
        assert await person.ask("my favorite color is blue")
    await eventually(lambda: sqlite_deployment.values(identity))
    assert sqlite_deployment.values(machine) == []


async def test_an_unverified_caller_is_served_without_a_memory(
    sqlite_deployment, identity, new_room
):
    attributes = {"sip.phoneNumber": "+15105550100", "sip.trunkID": "ST_1"}
    for _ in range(2):
        call = sqlite_deployment.join(identity, new_room(), kind="sip", attributes=attributes)
        async with call as caller:
            assert "What may I call you?" in (await caller.hear()).text
            assert "keep that in mind" in await caller.ask("my favorite color is blue")
    assert sqlite_deployment.values(identity) == []
    assert sqlite_deployment.values("tel:+15105550100") == []


async def test_a_caller_with_a_verified_number_is_known_by_it(worker_settings, new_room):
    settings = {**worker_settings, "SIP_VERIFIED_WHEN": "sip.trunkID=ST_1"}
    attributes = {"sip.phoneNumber": "+15105550100", "sip.trunkID": "ST_1"}
    with deployment(settings) as running:
        for identity, expected in (("sip_a", "What may I call you?"), ("sip_b", "Welcome back")):
            call = running.join(identity, new_room(), kind="sip", attributes=attributes)
            async with call as caller:
                assert expected in (await caller.hear()).text
                await caller.ask("my favorite color is blue")
            await eventually(lambda: running.has_met("tel:+15105550100"))
        assert "blue" in running.values("tel:+15105550100")
        assert running.values("sip_a") == []
