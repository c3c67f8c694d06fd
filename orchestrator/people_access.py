"""What people do with what is held about them, off the event loop and within deadlines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Concatenate, ParamSpec, TypeVar

from prometheus_client import Counter

from config import Settings
from memory import MemoryInputError
from orchestrator.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    OrchestratorError,
    UnavailableError,
)
from orchestrator.person_data import PersonData, open_person_data
from people import ErasureUnfinishedError
from profiles import ProfileInputError
from storage import (
    NotRememberedError,
    PersonErasedError,
    StorageError,
    StorageRejectedError,
    StoreThreads,
)
from storage.lazily import Lazily

logger = logging.getLogger("orchestrator.people")

P = ParamSpec("P")
T = TypeVar("T")

_CALLS = Counter(
    "voice_agent_person_data_calls", "Calls for what is held about people, by outcome", ["result"]
)
_THREADS = 8
_PARTS_AT_ONCE = 200
_CLOSE_S = 5.0
_SCRUB_S = 10.0
_REQUESTS_OF_A_CALL = 3

SWITCHED_OFF = (
    "memory is switched off here (MEMORY_ENABLED=false): nothing is read, changed or kept"
)
OUT_OF_REACH = "the store is out of reach, and a change may or may not have happened; try again"
ERASED = "everything about the person was erased meanwhile; nothing was written"
NOT_REMEMBERED = "the person does not want to be remembered; nothing was written"


class PeopleAccess:
    """Runs the calls of `PersonData` in threads of its own.

    Args:
        open_data: opens the stores, in a thread, when they are first needed. None where
            memory is switched off.
        deadline_s: seconds that a call may take.
        erase_deadline_s: seconds that an erasure may take.
    """

    def __init__(
        self,
        open_data: Callable[[], PersonData] | None,
        *,
        deadline_s: float,
        erase_deadline_s: float,
    ) -> None:
        self._opened = None if open_data is None else Lazily(open_data)
        self._threads = StoreThreads(_THREADS)
        self.deadline_s = deadline_s
        self.erase_deadline_s = erase_deadline_s

    async def call(
        self,
        call: Callable[Concatenate[PersonData, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run one of `PersonData`'s calls within its deadline.

        Raises:
            OrchestratorError: it cannot be done, in words for the caller.
        """
        opened = self._data()
        deadline_s = self.erase_deadline_s if call is PersonData.erase else self.deadline_s
        return await self._run(lambda: call(opened.get(), *args, **kwargs), deadline_s)

    async def export(self, user: str) -> AsyncIterator[bytes]:
        """Return everything held about a person as pieces of one JSON text.

        The first piece is read before this returns, so that a store that is out of reach is
        still an error's answer. If it is lost later, iterating raises, and the text is cut off.

        Raises:
            OrchestratorError: it cannot be done, in words for the caller.
        """
        parts = await self.call(PersonData.export_parts, user)
        first = await self._run(lambda: _taken(parts), self.deadline_s)

        async def pieces() -> AsyncIterator[bytes]:
            piece = first
            while piece:
                yield piece
                piece = await self._run(lambda: _taken(parts), self.deadline_s)

        return pieces()

    async def aclose(self) -> None:
        """Close the stores and let the threads end."""
        data = None if self._opened is None else self._opened.take()
        if data is not None:
            try:
                await asyncio.wait_for(self._threads.run(data.close), _CLOSE_S)
            except asyncio.TimeoutError:
                logger.warning("the stores were not closed in time")
        self._threads.close()

    def _data(self) -> Lazily[PersonData]:
        if self._opened is None:
            raise NotFoundError(SWITCHED_OFF)
        return self._opened

    async def _run(self, call: Callable[[], T], deadline_s: float) -> T:
        try:
            result = await asyncio.wait_for(self._threads.run(call), deadline_s)
        except OrchestratorError:
            _CALLS.labels("refused").inc()
            raise
        except (MemoryInputError, ProfileInputError) as error:
            _CALLS.labels("refused").inc()
            raise BadRequestError(str(error)) from error
        except (StorageError, asyncio.TimeoutError) as error:
            raise _in_words(error) from error
        _CALLS.labels("done").inc()
        return result


def open_people_access(
    settings: Settings,
    open_data: Callable[[Settings], PersonData] = open_person_data,
) -> PeopleAccess:
    """Return the access that the settings name; nothing is opened until it is needed.

    Args:
        settings: which stores, and how long they may take.
        open_data: opens them; give another to erase and export further places.
    """
    store = settings.store
    deadline_s = store.request_timeout_s * _REQUESTS_OF_A_CALL
    return PeopleAccess(
        (lambda: open_data(settings)) if store.memory_enabled else None,
        deadline_s=deadline_s,
        erase_deadline_s=deadline_s + _SCRUB_S,
    )


def _taken(parts: Iterator[str]) -> bytes:
    return "".join(islice(parts, _PARTS_AT_ONCE)).encode("utf-8", "replace")


def _in_words(error: StorageError | asyncio.TimeoutError) -> OrchestratorError:
    if isinstance(error, (PersonErasedError, NotRememberedError)):
        _CALLS.labels("fenced").inc()
        return ConflictError(ERASED if isinstance(error, PersonErasedError) else NOT_REMEMBERED)
    _CALLS.labels("failed").inc()
    # The texts of storage's errors hold nothing of a row, and are for the operator.
    cause = str(error) or "no answer in time"
    logger.warning("the store of people cannot serve a call", extra={"error": cause})
    if isinstance(error, ErasureUnfinishedError):
        return UnavailableError(str(error))
    if isinstance(error, StorageRejectedError):
        return BadRequestError("the store does not take this value")
    return UnavailableError(OUT_OF_REACH)
