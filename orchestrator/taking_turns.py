"""One at a time, among all orchestrators."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from orchestrator.errors import UnavailableError
from sessions.contract import Marks

_LEASE_S = 3.0
_WAITING_S = 3.0
_LOOK_EVERY_S = 0.02


@asynccontextmanager
async def taking_turns(marks: Marks, name: str) -> AsyncIterator[None]:
    """Do what is within while nobody else does what has the same name.

    Args:
        marks: has the lease; what is within must take less than three seconds.
        name: of the lease.

    Raises:
        UnavailableError: others took so long that it was not this one's turn.
    """
    owner = secrets.token_hex(8)
    try:
        with anyio.fail_after(_WAITING_S):
            while True:
                if await marks.lease(name, owner=owner, for_s=_LEASE_S):
                    break
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        raise UnavailableError("too many do this at once; try again") from None
    try:
        yield
    finally:
        await marks.release(name, owner=owner)
