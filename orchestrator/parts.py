"""What the orchestrator is made of: wired here, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

from livekit import api

from config import ConfigError, Settings
from connection_events import EventChannel, open_event_channel
from orchestrator.addresses import TrustedProxies
from orchestrator.callers import Callers
from orchestrator.ending.report import Endings
from orchestrator.health import Health
from orchestrator.join_tokens import JoinTokens
from orchestrator.rate_limits import RateLimits
from orchestrator.rooms import Rooms
from orchestrator.service import SessionService
from orchestrator.spawners.dispatch import DispatchSpawner
from orchestrator.spawners.spawner import Spawner
from orchestrator.standin_endings import StandinEndings
from orchestrator.voice.serving import Voice, open_voice
from sessions import SessionState, StateUnreachableError, open_session_state

logger = logging.getLogger("orchestrator")

_NOWHERE = "http://127.0.0.1:9"
"""Where LiveKit is not configured: nothing listens on the discard port."""


@dataclass(frozen=True)
class Parts:
    """The orchestrator's parts."""

    settings: Settings
    state: SessionState
    events: EventChannel
    rooms: Rooms
    spawner: Spawner
    endings: Endings
    sessions: SessionService
    callers: Callers
    proxies: TrustedProxies
    limits: RateLimits
    tokens: JoinTokens
    voice: Voice
    health: Health


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open the parts, and close them at the end.

    Raises:
        ConfigError: a setting cannot be used, or Redis is configured and does not answer.
    """
    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(_state(settings))
        events = await stack.enter_async_context(aclosing(open_event_channel(settings.sessions)))
        rooms = await stack.enter_async_context(_rooms(settings))
        callers = await stack.enter_async_context(aclosing(Callers(settings, state)))
        limits = await stack.enter_async_context(aclosing(RateLimits(settings)))
        spawner = DispatchSpawner(rooms)
        endings = StandinEndings(state, rooms)
        worker = settings.worker
        tokens = JoinTokens(worker.livekit_api_key, worker.livekit_api_secret)
        proxies = TrustedProxies(settings.orchestrator.trusted_proxies)
        voice = await stack.enter_async_context(
            open_voice(
                settings,
                state=state,
                events=events,
                rooms=rooms,
                endings=endings,
                callers=callers,
                proxies=proxies,
                tokens=tokens,
            )
        )
        yield Parts(
            settings=settings,
            state=state,
            events=events,
            rooms=rooms,
            spawner=spawner,
            endings=endings,
            sessions=SessionService(
                settings, state=state, rooms=rooms, spawner=spawner, endings=endings
            ),
            callers=callers,
            proxies=proxies,
            limits=limits,
            tokens=tokens,
            voice=voice,
            health=Health(settings, state=state, rooms=rooms, spawner=spawner),
        )


@asynccontextmanager
async def _state(settings: Settings) -> AsyncIterator[SessionState]:
    state = open_session_state(settings.sessions)
    async with aclosing(state):
        try:
            await state.ping()
        except StateUnreachableError:
            raise ConfigError(
                "REDIS_URL: Redis does not answer there; start it, or unset REDIS_URL"
            ) from None
        if not state.shared:
            logger.warning(
                "[Session] there is no Redis: sessions are known to this process only, jobs "
                "report nothing, and sessions end through LiveKit alone; set REDIS_URL"
            )
        yield state


@asynccontextmanager
async def _rooms(settings: Settings) -> AsyncIterator[Rooms]:
    worker = settings.worker
    livekit = api.LiveKitAPI(
        worker.livekit_url or _NOWHERE,
        worker.livekit_api_key or "unset",
        worker.livekit_api_secret or "unset",
        failover=False,
    )
    async with livekit:
        yield Rooms(
            livekit,
            agent_name=worker.agent_name,
            reconnect_grace_s=worker.reconnect_grace_s,
        )
