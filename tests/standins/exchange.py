"""What a stand-in keeps of each request, and the disturbances a test may order."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from tests.standins.errors import InjectedFailure

Outcome = Literal["in progress", "completed", "refused", "client left", "cut", "failed", "stopped"]
RequestT = TypeVar("RequestT")


@dataclass
class Exchange(Generic[RequestT]):
    """One request and what became of it.

    Times are `time.monotonic()` in seconds: on Linux one clock for all processes.

    Attributes:
        route: "chat", "speech", "transcriptions", "embeddings" or "models".
        request: the request as parsed; None where there is nothing to parse.
        arrived_at: when it had been read and found well formed.
        first_byte_at: when the first byte of the answer's body was written.
        ended_at: when the outcome was known.
        outcome: "client left" when the client closed the connection before the end,
            "refused" and "cut" when the test ordered it, "failed" when its script did not fit,
            "stopped" when the stand-in ended.
        chunks_sent: how many pieces of the answer were written.
    """

    route: str
    request: RequestT
    arrived_at: float = field(default_factory=time.monotonic)
    first_byte_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome = "in progress"
    chunks_sent: int = 0

    @property
    def left_at(self) -> float | None:
        """When the client left before the end; None when it did not."""
        return self.ended_at if self.outcome == "client left" else None

    def note_chunk(self) -> None:
        """Count a written piece of the answer."""
        self.chunks_sent += 1
        if self.first_byte_at is None:
            self.first_byte_at = time.monotonic()

    def end(self, outcome: Outcome) -> None:
        """Note the outcome; only the first one counts."""
        if self.outcome == "in progress":
            self.outcome = outcome
            self.ended_at = time.monotonic()


@dataclass(frozen=True)
class Disturbance:
    """What goes wrong with one request.

    Attributes:
        status: refuse with this HTTP status.
        stall_s: wait so long, in seconds, before anything is answered; `math.inf` waits
            until the client leaves.
        chunk_delay_s: wait so long, in seconds, before each piece of the answer.
        cut_after_chunks: break the connection after so many pieces of the answer.
    """

    status: int | None = None
    stall_s: float = 0.0
    chunk_delay_s: float = 0.0
    cut_after_chunks: int | None = None

    async def before_answer(self) -> None:
        """Stall and refuse as ordered.

        Raises:
            InjectedFailure: a status was ordered.
        """
        if self.stall_s:
            await asyncio.sleep(self.stall_s)
        if self.status is not None:
            raise InjectedFailure(self.status)


class ExchangeLog:
    """All exchanges of a stand-in in order of arrival, and the disturbances still to come.

    Args:
        is_stopping: tells a client that left from a stand-in that ends.
    """

    def __init__(self, is_stopping: Callable[[], bool]) -> None:
        self.exchanges: list[Exchange[object]] = []
        self._is_stopping = is_stopping
        self._ordered: defaultdict[str, deque[Disturbance]] = defaultdict(deque)
        self._lock = threading.Lock()

    def order(self, route: str, disturbance: Disturbance, times: int) -> None:
        """Disturb the next requests on a route, after those ordered before."""
        with self._lock:
            self._ordered[route].extend([disturbance] * times)

    def take_disturbance(self, route: str) -> Disturbance:
        """Return what goes wrong with the request at hand; by default nothing does."""
        with self._lock:
            ordered = self._ordered[route]
            return ordered.popleft() if ordered else Disturbance()

    @contextmanager
    def recording(self, exchange: Exchange[RequestT]) -> Iterator[Exchange[RequestT]]:
        """Keep the exchange, and note its outcome when the block ends."""
        self.exchanges.append(exchange)  # type: ignore[arg-type]  # read-only for readers
        try:
            yield exchange
        except InjectedFailure:
            exchange.end("refused")
            raise
        except (asyncio.CancelledError, ConnectionError):
            exchange.end("stopped" if self._is_stopping() else "client left")
            raise
        except Exception:
            exchange.end("failed")
            raise
        exchange.end("completed")
