"""What the orchestrator is made of: wired here, and nowhere else."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from dataclasses import dataclass
from typing import Any

from livekit import api

from config import ConfigError, Settings
from connection_events import EventChannel, open_event_channel
from orchestrator.addresses import TrustedProxies
from orchestrator.callers import Callers
from orchestrator.ending.cleanup import Cleanups
from orchestrator.ending.reconciler import Reconciler
from orchestrator.ending.watchdog import Watchdog
from orchestrator.health import Health
from orchestrator.join_tokens import LIVEKIT_MISSING, JoinTokens
from orchestrator.people_access import PeopleAccess, open_people_access
from orchestrator.rate_limits import RateLimits
from orchestrator.rooms import Rooms
from orchestrator.service import SessionService
from orchestrator.spawners.dispatch import DispatchSpawner
from orchestrator.spawners.spawner import Spawner
from orchestrator.token_service import TokenService
from orchestrator.voice.serving import Voice, open_voice
from orchestrator.webhooks.incoming import LiveKitWebhooks
from orchestrator.webhooks.outgoing import SessionWebhooks
from sessions import SessionState, StateUnreachableError, open_session_state

logger = logging.getLogger("orchestrator")

_NOWHERE = "http://127.0.0.1:9"
"""Where LiveKit is not configured: nothing listens on the discard port."""


@dataclass(frozen=True)
class Parts:
    """The orchestrator's parts, open."""

    settings: Settings
    state: SessionState
    events: EventChannel
    rooms: Rooms
    spawner: Spawner
    endings: Cleanups
    webhooks: LiveKitWebhooks
    sessions: SessionService
    callers: Callers
    proxies: TrustedProxies
    limits: RateLimits
    token_service: TokenService
    tokens: JoinTokens
    people: PeopleAccess
    voice: Voice
    health: Health


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open the parts, and close them at the end, the last one first.

    Raises:
        ConfigError: a setting cannot be used, or Redis is configured and does not answer.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        state = await enter(_state(settings))
        events = await enter(aclosing(open_event_channel(settings.sessions)))
        rooms = await enter(_rooms(settings))
        spawner = _spawner(settings, state, rooms)
        endings, webhooks = await _watching(enter, settings, state, events, rooms, spawner)
        callers = await enter(aclosing(Callers(settings, state)))
        tokens = JoinTokens(settings.worker.livekit_api_key, settings.worker.livekit_api_secret)
        proxies = TrustedProxies(settings.orchestrator.trusted_proxies)
        voice = await enter(
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
            webhooks=webhooks,
            sessions=SessionService(
                settings, state=state, rooms=rooms, spawner=spawner, endings=endings
            ),
            callers=callers,
            proxies=proxies,
            limits=await enter(aclosing(RateLimits(settings))),
            token_service=TokenService(
                settings, state=state, rooms=rooms, callers=callers, tokens=tokens
            ),
            tokens=tokens,
            people=await enter(aclosing(open_people_access(settings))),
            voice=voice,
            health=Health(settings, state=state, rooms=rooms, spawner=spawner),
        )


Enter = Callable[[AbstractAsyncContextManager[Any]], Awaitable[Any]]


async def _watching(
    enter: Enter,
    settings: Settings,
    state: SessionState,
    events: EventChannel,
    rooms: Rooms,
    spawner: Spawner,
) -> tuple[Cleanups, LiveKitWebhooks]:
    """Start what watches and ends sessions; only where there is a LiveKit to look at."""
    told = SessionWebhooks(settings)
    cleanups = Cleanups(
        state=state,
        events=events,
        rooms=rooms,
        spawner=spawner,
        webhooks=told,
        settings=settings,
    )
    heard = LiveKitWebhooks(
        state=state,
        events=events,
        rooms=rooms,
        spawner=spawner,
        endings=cleanups,
        settings=settings,
    )
    watchdog = Watchdog(
        state=state,
        rooms=rooms,
        spawner=spawner,
        endings=cleanups,
        webhooks=told,
        settings=settings,
    )
    reconciler = Reconciler(
        state=state, rooms=rooms, spawner=spawner, cleanups=cleanups, settings=settings
    )
    await enter(told.running())
    if settings.worker.livekit_is_configured:
        for each in (cleanups, heard, watchdog, reconciler):
            await enter(each.running())
    else:
        logger.warning(LIVEKIT_MISSING)
    return cleanups, heard


def _spawner(settings: Settings, state: SessionState, rooms: Rooms) -> Spawner:
    if settings.orchestrator.spawner == "livekit":
        return DispatchSpawner(rooms)
    # Celery is heavy, and most do without.
    from orchestrator.spawners.celery import CelerySpawner

    return CelerySpawner(settings, state)


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
        worker.livekit_api_secret or secrets.token_hex(32),
        failover=False,
    )
    async with livekit:
        yield Rooms(
            livekit,
            agent_name=worker.agent_name,
            reconnect_grace_s=worker.reconnect_grace_s,
        )
