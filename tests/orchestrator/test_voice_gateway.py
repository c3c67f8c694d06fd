"""The gateway with a WebSocket and a state of its own: who is told what, whatever fails."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from livekit import rtc
from starlette.websockets import WebSocket

from connection_events import ConnectionEvent, EventType, Reason, SpeechControl
from connection_events.in_process import ProcessBroadcast, ProcessChannel
from connection_events.interruptions import INTERRUPTIONS
from devstack.waiting import eventually
from orchestrator.ending.report import EndReport
from orchestrator.errors import UnavailableError
from orchestrator.rooms import Present
from orchestrator.voice import departure
from orchestrator.voice import gateway as gateway_module
from orchestrator.voice.gateway import VoiceGateway
from orchestrator.voice.participant import VoiceParticipant
from orchestrator.voice_client.__main__ import main as voice_client
from sessions import SessionRecord, StateUnreachableError
from sessions.in_process import ProcessSessionState
from sessions.naming import new_session_id, now_ms

NOWHERE = "ws://127.0.0.1:9"


class Socket:
    """The server's side of a WebSocket, as ASGI has it."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.sent: list[dict[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.websocket = WebSocket({"type": "websocket"}, self.incoming.get, self._send)

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(dict(message))

    def say(self, **frame: Any) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    def break_off(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    @property
    def notices(self) -> list[dict[str, Any]]:
        return [json.loads(each["text"]) for each in self.sent if each.get("text")]

    @property
    def close_code(self) -> int | None:
        codes = [each["code"] for each in self.sent if each["type"] == "websocket.close"]
        return int(codes[0]) if codes else None


class Endings:
    """Notes what it is asked to end."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Reason]] = []
        self.fails = False

    async def begin(self, session_id: str, reason: Reason, *, asked_by: str) -> bool:
        if self.fails:
            raise UnavailableError("out of reach")
        self.asked.append((session_id, reason))
        return True

    async def end(self, session_id: str, reason: Reason, *, asked_by: str) -> EndReport | None:
        raise NotImplementedError


class NobodyThere:
    """Rooms in which nobody is."""

    async def present(self, room: str) -> list[Present]:
        return []


class World:
    """A gateway, and what it told whom."""

    def __init__(self) -> None:
        self.state = ProcessSessionState(fence_s=60)
        self.endings = Endings()
        self.channel = ProcessChannel()
        self.events: list[ConnectionEvent] = []
        self.stopped: list[str] = []
        self.left: list[bool] = []
        self.heard: list[bytes] = []
        self.joins: Callable[[VoiceParticipant], None] = lambda _: None
        self.speech = SpeechControl(ProcessBroadcast(), "tts_control")
        self.gateway = VoiceGateway(
            livekit_url=NOWHERE,
            make_token=lambda record: "token",
            state=self.state,
            events=self.channel,
            speech=self.speech,
            endings=self.endings,
            rooms=NobodyThere(),  # type: ignore[arg-type]
            counts_ttl_s=60,
        )

    async def session(self, **fields: Any) -> SessionRecord:
        session_id = new_session_id()
        record = SessionRecord(
            id=session_id,
            room=session_id,
            identity="alice",
            user_id="a",
            creator="c",
            start_time=now_ms(),
            **fields,
        )
        await self.state.records.add(record, ttl_s=60)
        return record

    async def serve(self, socket: Socket, record: SessionRecord) -> None:
        await asyncio.wait_for(self.gateway.serve(socket.websocket, record, 16_000), 20)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(event.type, event.reason.value) for event in self.events]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()

    async def hear(event: ConnectionEvent) -> None:
        made.events.append(event)

    async def stop(conversation_id: str) -> None:
        made.stopped.append(conversation_id)

    async with made.channel.listening(hear), made.speech.listening(stop), made.gateway.running():
        yield made


@pytest.fixture
def in_room(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The participant joins, hears and leaves without LiveKit."""

    async def join(self: VoiceParticipant) -> None:
        world.joins(self)

    async def leave(self: VoiceParticipant, *, for_good: bool) -> None:
        world.left.append(for_good)
        await self._give_back()

    async def hear(self: VoiceParticipant, pcm: bytes) -> None:
        world.heard.append(pcm)

    for each in (join, leave, hear):
        monkeypatch.setattr(VoiceParticipant, each.__name__, each)
    return world


async def lose(world: World, record: SessionRecord) -> None:
    """Connect, and break off once the room is joined."""
    socket = Socket()
    serving = asyncio.create_task(world.serve(socket, record))
    await eventually(lambda: socket.notices)
    socket.break_off()
    await serving


DISCONNECTED = EventType.DISCONNECTED.value


async def test_livekit_out_of_reach_is_our_error_and_the_session_waits(webrtc, world):
    socket = Socket()
    await world.serve(socket, await world.session())
    assert world.said == [(DISCONNECTED, "server_error")]
    assert [each["type"] for each in socket.notices] == ["error", "closed"]
    assert socket.close_code == 1011
    assert world.endings.asked == []


async def test_an_end_ends_the_session_and_hangs_up(webrtc, in_room):
    socket, record = Socket(), await in_room.session()
    socket.say(type="end")
    await in_room.serve(socket, record)
    assert in_room.said == [(DISCONNECTED, "client_disconnect")]
    assert in_room.endings.asked == [(record.id, Reason.CLIENT_DISCONNECT)]
    assert in_room.left == [True]
    assert socket.notices[-1] == {"type": "closed", "reason": "ended"}
    assert socket.close_code == 1000


async def test_a_connection_that_breaks_off_is_lost_and_the_next_one_is_back(webrtc, in_room):
    record = await in_room.session()
    for _ in range(2):
        await lose(in_room, record)
    back = (EventType.RECONNECTED.value, "client_disconnect")
    lost = (DISCONNECTED, "client_disconnect")
    assert in_room.said == [lost, back, lost]
    assert in_room.left == [False, False]
    assert in_room.endings.asked == []


async def test_an_exception_of_ours_is_a_server_error(webrtc, in_room):
    def fail(_: VoiceParticipant) -> None:
        raise ValueError("not foreseen")

    in_room.joins = fail
    socket = Socket()
    await in_room.serve(socket, await in_room.session())
    assert in_room.said == [(DISCONNECTED, "server_error")]
    assert socket.close_code == 1011
    assert "not foreseen" not in json.dumps(socket.notices)


@pytest.mark.parametrize(
    ("reason", "why", "said", "code"),
    [
        (rtc.DisconnectReason.ROOM_DELETED, "session_ended", ["client_disconnect"], 1000),
        (rtc.DisconnectReason.PARTICIPANT_REMOVED, "session_ended", ["client_disconnect"], 1000),
        (rtc.DisconnectReason.DUPLICATE_IDENTITY, "replaced", [], 4000),
        (rtc.DisconnectReason.SERVER_SHUTDOWN, "livekit_lost", ["server_error"], 1011),
        (rtc.DisconnectReason.CONNECTION_TIMEOUT, "livekit_lost", ["server_error"], 1011),
    ],
)
async def test_each_way_to_lose_the_room_has_its_end(webrtc, in_room, reason, why, said, code):
    in_room.joins = lambda participant: participant._on_disconnected(reason)
    socket = Socket()
    await in_room.serve(socket, await in_room.session())
    assert [each for _, each in in_room.said] == said
    assert socket.notices[-1] == {"type": "closed", "reason": why}
    assert socket.close_code == code


async def test_a_server_that_is_cancelled_says_so_before_it_goes(webrtc, in_room):
    socket = Socket()
    serving = asyncio.create_task(in_room.serve(socket, await in_room.session()))
    await eventually(lambda: socket.notices)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert in_room.said == [(DISCONNECTED, "server_error")]
    assert socket.close_code == 1012
    assert in_room.left == [False]


async def test_a_gateway_that_ends_closes_its_connections(webrtc, in_room):
    socket = Socket()
    other = World()
    async with other.gateway.running():
        serving = asyncio.create_task(other.serve(socket, await other.session()))
        await eventually(lambda: socket.notices)
    await serving
    assert socket.notices[-1] == {"type": "closed", "reason": "server_shutdown"}
    assert socket.close_code == 1012


async def test_an_order_to_stop_that_hangs_holds_up_nothing_that_the_client_sends(
    webrtc, in_room, monkeypatch: pytest.MonkeyPatch
):
    ordered: list[str] = []

    async def hang(conversation_id: str) -> bool:
        ordered.append(conversation_id)
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(in_room.speech, "stop", hang)
    socket, record = Socket(), await in_room.session()
    serving = asyncio.create_task(in_room.serve(socket, record))
    await eventually(lambda: socket.notices)
    for kind in ("interrupt", "interrupt", "end"):
        socket.say(type=kind)
    await serving
    assert [each["type"] for each in socket.notices].count("interrupted") == 2
    assert socket.notices[-1] == {"type": "closed", "reason": "ended"}
    assert ordered == [record.id]


async def test_nobody_waits_for_an_event_that_cannot_be_said(
    webrtc, in_room, monkeypatch: pytest.MonkeyPatch
):
    may_be_said, publish = asyncio.Event(), in_room.channel.publish

    async def hang(event: ConnectionEvent) -> bool:
        await may_be_said.wait()
        return bool(await publish(event))

    monkeypatch.setattr(in_room.channel, "publish", hang)
    socket = Socket()
    serving = asyncio.create_task(in_room.serve(socket, await in_room.session()))
    await eventually(lambda: socket.notices)
    socket.say(type="end")
    await eventually(lambda: in_room.left and in_room.endings.asked and socket.close_code)
    assert in_room.said == []
    may_be_said.set()
    await serving
    assert in_room.said == [(DISCONNECTED, "client_disconnect")]


@pytest.mark.parametrize("steps", range(6))
async def test_typing_ends_where_the_agent_begins_to_hear_as_it_is_cancelled(webrtc, steps):
    participant = VoiceParticipant(NOWHERE, "token", sample_rate=16_000, listener=AsyncMock())
    heard: Any = asyncio.get_running_loop().create_future()
    participant._heard_by_agent = heard
    typed: asyncio.Queue[str] = asyncio.Queue()
    typed.put_nowait("Hello")
    room: Any = SimpleNamespace(local_participant=AsyncMock())
    given_back, participant._room = participant._room, room

    async def go_on() -> None:
        while True:
            await participant.type(await typed.get())

    typing = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    heard.set_result(None)
    for _ in range(steps):
        await asyncio.sleep(0)
    typing.cancel()
    await asyncio.wait({typing}, timeout=2)
    assert typing.cancelled()
    participant._room, participant._heard_by_agent = given_back, None
    await participant._give_back()


class SilentLiveKit:
    """A port that accepts connections and never answers."""

    async def __aenter__(self) -> SilentLiveKit:
        self._writers: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def _accepted(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)

    @property
    def is_asked(self) -> bool:
        return bool(self._writers)

    async def __aexit__(self, *_: object) -> None:
        """Refuse from now on, so that whoever still waits fails at once."""
        self._server.close()
        for writer in self._writers:
            writer.close()


async def test_a_client_that_goes_while_livekit_is_silent_holds_its_place_for_seconds_only(
    webrtc, world, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gateway_module, "_LEAVE_WITHIN_S", 0.2)
    socket, began_at = Socket(), time.monotonic()
    async with SilentLiveKit() as livekit:
        world.gateway._livekit_url = livekit.url
        serving = asyncio.create_task(world.serve(socket, await world.session()))
        await eventually(lambda: livekit.is_asked)
        socket.break_off()
        await serving
        assert time.monotonic() - began_at < 3
        assert world.said == [(DISCONNECTED, "client_disconnect")]
        assert world.gateway._open == {}
        (leaving,) = world.gateway._leaving
        assert not leaving.done()
    await asyncio.wait_for(leaving, 10)  # it was not cancelled: it ended once LiveKit had refused
    assert world.gateway._leaving == set()


async def test_a_shutdown_does_not_wait_for_a_silent_livekit(
    webrtc, world, monkeypatch: pytest.MonkeyPatch
):
    for name in ("_LEAVE_WITHIN_S", "_LEAVE_LATE_WITHIN_S"):
        monkeypatch.setattr(gateway_module, name, 0.2)
    socket, other = Socket(), World()
    async with SilentLiveKit() as livekit:
        other.gateway._livekit_url = livekit.url
        async with other.gateway.running():
            serving = asyncio.create_task(other.serve(socket, await other.session()))
            await eventually(lambda: livekit.is_asked)
            began_at = time.monotonic()
        assert time.monotonic() - began_at < 2
        await serving
        leaving = set(other.gateway._leaving)
        assert len(leaving) == 1
    assert socket.close_code == 1012
    await asyncio.wait_for(asyncio.gather(*leaving), 10)


async def test_an_interrupt_stops_the_speech_and_is_told(webrtc, in_room):
    socket, record = Socket(), await in_room.session()
    socket.say(type="interrupt")
    socket.say(type="end")
    await in_room.serve(socket, record)
    assert in_room.stopped == [record.id]
    assert "interrupted" in [each["type"] for each in socket.notices]


async def test_the_agents_own_word_that_it_was_cut_off_is_told_once_each_time(webrtc, in_room):
    agent: Any = SimpleNamespace(
        sid="PA_1", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT, attributes={}
    )

    def listen(participant: VoiceParticipant) -> None:
        for count in ("3", "3", "4", "4"):  # 3 of them before we came
            agent.attributes[INTERRUPTIONS] = count
            participant._look_at(agent)

    in_room.joins = listen
    socket = Socket()
    socket.say(type="end")
    await in_room.serve(socket, await in_room.session())
    assert [each["type"] for each in socket.notices].count("interrupted") == 1


async def test_a_state_out_of_reach_stops_no_connection_from_ending(
    webrtc, in_room, monkeypatch: pytest.MonkeyPatch
):
    async def unreachable(*_: Any, **__: Any) -> None:
        raise StateUnreachableError("gone")

    record = await in_room.session()
    monkeypatch.setattr(in_room.state.agents, "add_counts", unreachable)
    monkeypatch.setattr(in_room.state.records, "update", unreachable)
    in_room.endings.fails = True
    socket = Socket()
    socket.incoming.put_nowait({"type": "websocket.receive", "bytes": bytes(640)})
    socket.say(type="end")
    await in_room.serve(socket, record)
    assert in_room.said == [(DISCONNECTED, "client_disconnect")]
    assert socket.close_code == 1000


async def test_a_client_that_reads_nothing_holds_two_seconds_of_voice_at_most(webrtc, in_room):
    socket, listeners = Socket(), []
    in_room.joins = lambda participant: listeners.append(participant._listener)
    serving = asyncio.create_task(in_room.serve(socket, await in_room.session()))
    await eventually(lambda: socket.notices)
    socket.reads.clear()
    for number in range(500):  # ten seconds, in pieces of 20 ms
        listeners[0].on_voice(number.to_bytes(2, "little") * 320)
    await asyncio.sleep(0)
    socket.reads.set()
    await eventually(lambda: len([each for each in socket.sent if each.get("bytes")]) >= 100)
    socket.break_off()
    await serving
    heard = [int.from_bytes(each["bytes"][:2], "little") for each in socket.sent if "bytes" in each]
    assert heard[-100:] == list(range(400, 500))
    assert len(heard) <= 101


async def test_audio_is_counted_and_the_counts_are_written_at_the_end(webrtc, in_room):
    socket, record = Socket(), await in_room.session()
    serving = asyncio.create_task(in_room.serve(socket, record))
    for _ in range(5):
        socket.incoming.put_nowait({"type": "websocket.receive", "bytes": bytes(640)})
    await eventually(lambda: len(in_room.heard) == 5)
    socket.break_off()
    await serving
    counted = await in_room.state.agents.counts(record.id)
    assert (counted["audio_chunks_received"], counted["audio_chunks_processed"]) == (5, 5)


def test_only_so_many_lost_connections_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway_module, "_MOST_REMEMBERED", 3)
    made = World()
    for number in range(10):
        made.gateway._remember(str(number), departure.CLIENT_LOST)
    assert list(made.gateway._lost) == ["7", "8", "9"]


def test_the_client_says_no_ticket_of_a_url_that_is_none(capsys):
    assert voice_client(["--url", "http://127.0.0.1:9/ws/voice?ticket=hush-hush"]) == 1
    said = capsys.readouterr().err
    assert "ws://" in said
    assert "hush-hush" not in said
