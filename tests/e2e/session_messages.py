"""Remote control of a session (``lk.agent.session``), as somebody in the room sends it."""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.protocol.agent_pb import agent_session

from devstack.participant import Participant

TOPIC = "lk.agent.session"

REQUESTS = {
    "ping": agent_session.SessionRequest(ping=agent_session.SessionRequest.Ping()),
    "chat history": agent_session.SessionRequest(
        get_chat_history=agent_session.SessionRequest.GetChatHistory()
    ),
    "instructions": agent_session.SessionRequest(
        get_agent_info=agent_session.SessionRequest.GetAgentInfo()
    ),
    "a turn": agent_session.SessionRequest(
        run_input=agent_session.SessionRequest.RunInput(text="my favorite color is red")
    ),
}


class RemoteControl:
    """Tries to drive the agents of a room; keeps every message that comes back.

    Args:
        participant: who tries; already in the room.
    """

    def __init__(self, participant: Participant) -> None:
        self._room = participant.room
        self.received: list[agent_session.AgentSessionMessage] = []
        self._reading: set[asyncio.Task[None]] = set()
        self._room.register_byte_stream_handler(TOPIC, self._on_stream)

    async def send(self, name: str) -> None:
        """Send one of `REQUESTS`; its name is its id."""
        request = agent_session.SessionRequest()
        request.CopyFrom(REQUESTS[name])
        request.request_id = name
        message = agent_session.AgentSessionMessage(request=request)
        await self._room.local_participant.send_bytes(
            message.SerializeToString(), name=name, topic=TOPIC
        )

    def answers(self) -> dict[str, agent_session.SessionResponse]:
        """The answers so far, by the request's name."""
        responses = [m.response for m in self.received if m.HasField("response")]
        return {response.request_id: response for response in responses}

    def _on_stream(self, reader: rtc.ByteStreamReader, _identity: str) -> None:
        task = asyncio.create_task(self._read(reader))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.ByteStreamReader) -> None:
        message = agent_session.AgentSessionMessage()
        message.ParseFromString(b"".join([chunk async for chunk in reader]))
        self.received.append(message)
