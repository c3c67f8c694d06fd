"""LiveKit's rooms where LiveKit is late."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator import rooms as rooms_module
from orchestrator.errors import UnavailableError
from orchestrator.rooms import Rooms


class LateDispatches:
    """Dispatches of a server that gives no answer at first."""

    def __init__(self, unanswered: int) -> None:
        self._unanswered = unanswered
        self.deleted: list[tuple[str, str]] = []

    async def list_dispatch(self, room: str) -> list[Any]:
        self._unanswered -= 1
        if self._unanswered >= 0:
            await asyncio.Event().wait()
        return [SimpleNamespace(id="AD_1")]

    async def delete_dispatch(self, dispatch_id: str, room: str) -> None:
        self.deleted.append((dispatch_id, room))


@pytest.mark.parametrize(("unanswered", "deleted"), [(0, 1), (1, 1), (2, None)])
async def test_dispatches_are_deleted_at_the_second_try_at_the_latest(
    monkeypatch, unanswered, deleted
):
    monkeypatch.setattr(rooms_module, "_DISPATCH_TIMEOUT_S", 0.05)
    dispatches = LateDispatches(unanswered)
    livekit: Any = SimpleNamespace(agent_dispatch=dispatches)
    asked = Rooms(livekit, agent_name="", reconnect_grace_s=1).delete_dispatches("kitchen")
    if deleted is None:
        with pytest.raises(UnavailableError):
            await asked
    else:
        assert await asked == deleted
        assert dispatches.deleted == [("AD_1", "kitchen")]
