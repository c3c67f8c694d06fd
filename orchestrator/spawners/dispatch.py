"""The agent comes by LiveKit's dispatch to a registered worker."""

from __future__ import annotations

from orchestrator.rooms import Rooms
from sessions.model import SessionRecord


class DispatchSpawner:
    """See `Spawner`.

    Args:
        rooms: LiveKit's rooms.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @property
    def dispatches(self) -> bool:
        """See `Spawner.dispatches`."""
        return True

    async def spawn(self, record: SessionRecord, *, attempt: int) -> str:
        """See `Spawner.spawn`."""
        return await self._rooms.dispatch(record, attempt=attempt)

    async def revoke(self, record: SessionRecord) -> bool:
        """See `Spawner.revoke`."""
        return bool(await self._rooms.delete_dispatches(record.room))

    async def is_available(self) -> bool | None:
        """See `Spawner.is_available`; LiveKit does not say which workers are registered."""
        return None
