"""Events repeat, come late, out of order, or never; the end is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import api

from connection_events import ConnectionEvent
from connection_events.in_process import ProcessChannel
from orchestrator.ending.reconciler import Reconciler
from orchestrator.spawners.dispatch import DispatchSpawner
from orchestrator.webhooks.incoming import LiveKitWebhooks
from sessions import SessionRecord
from sessions.in_process import ProcessSessionState
from sessions.naming import now_ms
from tests.orchestrator.ending_world import (
    World,
    a_person,
    a_session,
    an_agent,
    made_settings,
    until,
    world_of,
)
from tests.orchestrator.webhook_events import AGENT, an_event, send

_LONG_AGO_MS = 600_000
CHOSEN = [api.DisconnectReason.CLIENT_INITIATED, api.DisconnectReason.SIGNAL_CLOSE]


@dataclass(frozen=True)
class Story:
    """What truly happened in a room, and what the orchestrator gets to hear of it.

    Attributes:
        reasons: why each connection of the person ended, in order.
        stays: whether one more connection is there now; else the room is gone as well.
        heard: which of the events come, by number, in this order; some never, some twice.
    """

    reasons: Sequence[int]
    stays: bool
    heard: list[int]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    reasons = draw(st.lists(st.sampled_from(CHOSEN), min_size=1, max_size=3))
    heard = draw(st.lists(st.integers(0, 2 * len(reasons) + 4), max_size=14))
    return Story(reasons, draw(st.booleans()), heard)


def events_of(story: Story, record: SessionRecord) -> list[str]:
    """All webhooks that LiveKit has sent, in the order in which things happened."""
    sent = [
        an_event("room_started", record),
        an_event("participant_joined", record, identity="agent-1", kind=AGENT),
    ]
    for number, reason in enumerate(story.reasons, start=1):
        at = number * 1000
        sent.append(an_event("participant_joined", record, joined_at_ms=at))
        sent.append(an_event("participant_left", record, reason=reason, joined_at_ms=at))
    if story.stays:
        again = (len(story.reasons) + 1) * 1000
        sent.append(an_event("participant_joined", record, joined_at_ms=again))
    else:
        sent.append(an_event("participant_left", record, identity="agent-1", kind=AGENT))
        sent.append(an_event("room_finished", record))
    return sent


@given(story=stories())
@settings(max_examples=60)
def test_whatever_comes_of_the_events_the_session_lives_as_long_as_its_person_is_there(story):
    asyncio.run(_check(story))


async def _check(story: Story) -> None:
    async with world_of(ProcessSessionState(fence_s=60)) as world:
        record = await _truth(world, story)
        sent = events_of(story, record)
        given_settings = made_settings(RECONNECT_GRACE_S="0.001")
        of_webhooks, losses = ProcessChannel(), list[ConnectionEvent]()

        async def note(event: ConnectionEvent) -> None:
            losses.append(event)

        async with world.cleaning() as cleanups:
            webhooks = LiveKitWebhooks(
                state=world.state,
                events=of_webhooks,
                rooms=world.rooms,
                spawner=DispatchSpawner(world.rooms),
                endings=cleanups,
                settings=given_settings,
            )
            async with of_webhooks.listening(note), webhooks.running():
                for number in story.heard:
                    await send(webhooks, sent[number % len(sent)])
                await until(lambda: _is_quiet(webhooks))
            reconciler = Reconciler(
                state=world.state,
                rooms=world.rooms,
                spawner=DispatchSpawner(world.rooms),
                cleanups=cleanups,
                settings=given_settings,
            )
            await reconciler.reconcile()
        lives = await world.state.records.get(record.id) is not None
        assert lives is story.stays
        assert (record.room in world.rooms.rooms) is story.stays
        assert await world.state.records.has_ended(record.id) is not story.stays
        assert len(world.heard) == (0 if story.stays else 1)
        lost = 0 if story.stays else story.reasons.count(api.DisconnectReason.SIGNAL_CLOSE)
        assert len(losses) <= lost


async def _truth(world: World, story: Story) -> SessionRecord:
    """Let everything have happened: events that come now are late, all of them."""
    record = a_session(start_time=now_ms() - _LONG_AGO_MS)
    await world.state.records.add(record, ttl_s=60)
    if story.stays:
        world.rooms.open(record, a_person(), an_agent())
    return record


async def _is_quiet(webhooks: LiveKitWebhooks) -> bool:
    return not webhooks._tasks
