"""What of the server's settings voice over WebSocket needs, and its parts, wired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from config import Settings
from connection_events import EventChannel, open_speech_control
from orchestrator.addresses import TrustedProxies
from orchestrator.callers import Callers
from orchestrator.ending.report import Endings
from orchestrator.join_tokens import JoinTokens
from orchestrator.rooms import Rooms
from orchestrator.voice.admission import Admission
from orchestrator.voice.frames import LARGEST_MESSAGE
from orchestrator.voice.gateway import VoiceGateway
from orchestrator.voice.protocol import VoiceWebSocketProtocol
from orchestrator.voice.tickets import VoiceTickets
from sessions import SessionState


@dataclass(frozen=True)
class Voice:
    """The parts of voice over WebSocket."""

    admission: Admission
    gateway: VoiceGateway
    tickets: VoiceTickets


def server_options(settings: Settings) -> dict[str, Any]:
    """Return what `uvicorn.Config` is to be given for the WebSockets."""
    return {
        "ws": VoiceWebSocketProtocol,
        "ws_max_size": LARGEST_MESSAGE,
        "ws_ping_interval": settings.orchestrator.voice_ping_s,
        "ws_ping_timeout": settings.orchestrator.voice_ping_s,
        "ws_per_message_deflate": False,  # voice does not shrink, and a bomb would not be seen
    }


@asynccontextmanager
async def open_voice(
    settings: Settings,
    *,
    state: SessionState,
    events: EventChannel,
    rooms: Rooms,
    endings: Endings,
    callers: Callers,
    proxies: TrustedProxies,
    tokens: JoinTokens,
) -> AsyncIterator[Voice]:
    """Open the parts; at the end every connection is closed."""
    tickets = VoiceTickets(state)
    async with aclosing(open_speech_control(settings.sessions)) as speech:
        gateway = VoiceGateway(
            livekit_url=settings.worker.livekit_url or "",
            make_token=lambda record: tokens.make(
                room=record.room,
                identity=record.identity,
                name=record.user_name,
                room_config=rooms.configuration_without_agent(record),
            ),
            state=state,
            events=events,
            speech=speech,
            endings=endings,
            rooms=rooms,
            counts_ttl_s=settings.sessions.key_ttl_s,
        )
        admission = Admission(
            settings,
            state=state,
            callers=callers,
            proxies=proxies,
            endings=endings,
            tickets=tickets,
        )
        async with gateway.running():
            yield Voice(admission, gateway, tickets)
