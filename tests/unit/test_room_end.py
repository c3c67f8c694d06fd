"""What becomes of the room: deleted, given a new agent, or left alone; never a failed end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import aiohttp
import pytest
from livekit import api

from worker import room
from worker.room import RoomEnd

ROOM = "consulting-room"


class Server:
    """LiveKit's server API with one room; notes what is asked of it."""

    def __init__(self, *, sid: str = "RM_1", there: tuple[str, ...] = ()) -> None:
        self.sid: str | None = sid
        self.there = there
        self.failure: Exception | None = None
        self.hangs = False
        self.done: list[object] = []
        self.room = self
        self.agent_dispatch = self

    async def list_rooms(self, request: api.ListRoomsRequest) -> api.ListRoomsResponse:
        assert list(request.names) == [ROOM]
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        rooms = [api.Room(sid=self.sid, name=ROOM)] if self.sid else []
        return api.ListRoomsResponse(rooms=rooms)

    async def list_participants(
        self, request: api.ListParticipantsRequest
    ) -> api.ListParticipantsResponse:
        assert request.room == ROOM
        there = [api.ParticipantInfo(identity=identity) for identity in self.there]
        return api.ListParticipantsResponse(participants=there)

    async def delete_room(self, request: api.DeleteRoomRequest) -> None:
        self.done.append(request)

    async def create_dispatch(self, request: api.CreateAgentDispatchRequest) -> None:
        self.done.append(request)


DELETED = api.DeleteRoomRequest(room=ROOM)
DISPATCHED = api.CreateAgentDispatchRequest(agent_name="nurse", room=ROOM, metadata="{}")


def room_end(
    server: Server,
    *,
    fake_job: bool = False,
    before_dispatch: Callable[[], Awaitable[None]] | None = None,
) -> RoomEnd:
    this_room = SimpleNamespace(name=ROOM, sid="RM_1")
    job = SimpleNamespace(room=this_room, agent_name="nurse", metadata="{}")
    ctx = SimpleNamespace(job=job, api=server, is_fake_job=lambda: fake_job)
    return RoomEnd(ctx, "alice", before_dispatch=before_dispatch)  # type: ignore[arg-type]


async def test_a_job_that_is_shut_down_leaves_the_room_to_its_person():
    server = Server(there=("alice",))
    await room_end(server).leave()
    assert server.done == []


async def test_a_room_that_its_person_has_left_is_deleted_whoever_else_is_there():
    server = Server(there=("bob", "agent-1"))
    end = room_end(server)
    end.person_left()
    await end.leave()
    assert server.done == [DELETED]


async def test_a_person_who_is_back_already_gets_an_agent_with_the_same_dispatch():
    server = Server(there=("bob", "alice"))
    end = room_end(server)
    end.person_left()
    await end.leave()
    assert server.done == [DISPATCHED]


async def test_the_session_is_handed_over_before_another_agent_is_dispatched():
    server = Server(there=("bob", "alice"))

    async def hand_over() -> None:
        server.done.append("handed over")

    end = room_end(server, before_dispatch=hand_over)
    end.person_left()
    await end.leave()
    assert server.done == ["handed over", DISPATCHED]


async def test_a_room_whose_time_is_over_is_deleted_although_its_person_is_there():
    server = Server(there=("alice",))
    end = room_end(server)
    end.session_over()
    await end.leave()
    assert server.done == [DELETED]


async def test_a_room_whose_session_failed_is_deleted_although_its_person_is_there():
    server = Server(there=("alice",))
    end = room_end(server)
    end.session_failed()
    await end.leave()
    assert server.done == [DELETED]


@pytest.mark.parametrize("sid", ["RM_2", None], ids=["made anew", "gone"])
async def test_a_room_that_is_not_the_same_any_more_is_left_alone(sid):
    server = Server(there=("alice",))
    server.sid = sid
    end = room_end(server)
    end.person_left()
    await end.leave()
    assert server.done == []


async def test_the_console_has_no_room_to_leave():
    server = Server()
    end = room_end(server, fake_job=True)
    end.person_left()
    await end.leave()
    assert server.done == []


async def test_a_room_that_is_gone_while_it_is_left_is_nothing_to_speak_of(caplog):
    server = Server()
    server.failure = api.TwirpError(api.TwirpErrorCode.NOT_FOUND, "no room", status=404)
    end = room_end(server)
    end.person_left()
    await end.leave()
    assert caplog.records == []


@pytest.mark.parametrize(
    "failure",
    [
        api.TwirpError(api.TwirpErrorCode.UNAVAILABLE, "alice is ill", status=503),
        aiohttp.ClientConnectionError("alice is ill"),
    ],
)
async def test_a_server_that_fails_costs_one_warning_without_its_words(failure, caplog):
    server = Server()
    server.failure = failure
    end = room_end(server)
    end.person_left()
    await end.leave()
    (warning,) = caplog.records
    assert warning.getMessage() == "the room was not left in order"
    assert vars(warning)["error"] == type(failure).__name__
    assert "alice" not in caplog.text


async def test_a_server_that_hangs_holds_up_the_end_no_longer_than_the_deadline(
    monkeypatch, caplog
):
    monkeypatch.setattr(room, "_DEADLINE_S", 0.05)
    server = Server()
    server.hangs = True
    end = room_end(server)
    end.person_left()
    await asyncio.wait_for(end.leave(), 5)
    assert [record.getMessage() for record in caplog.records] == ["the room was not left in order"]
