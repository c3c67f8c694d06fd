"""The ground every stand-in stands on: a loopback HTTP server in a thread of its own.

The thread has its own event loop, so that a stand-in answers on time whatever the test's
loop does, and works for tests, worker processes and benchmarks alike. Records are written
by that thread and may be read by any other.

A stand-in never forgives silently: whatever the real provider would refuse becomes an
entry of `StandIn.faults`, and the client gets the provider's refusal.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from aiohttp import web
from typing_extensions import Self

from tests.standins.errors import ContractFault, InjectedFailure, ScriptError, StandInError
from tests.standins.loopback import HOST, listen

API_KEY = "stand-in-key"
_START_STOP_DEADLINE_S = 10.0
_HANDLER_GRACE_S = 0.1
_LARGEST_BODY_BYTES = 32 * 2**20
_POLL_S = 0.01

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ValueT = TypeVar("ValueT")


class StandIn(ABC):
    """A provider's stand-in; use it in a ``with`` statement.

    Entered again, it comes back on the same port with its records kept.

    Args:
        port: the port to listen on, 0 for a free one below 32768.

    Attributes:
        faults: what clients did wrong so far, a sentence each.
    """

    authorization: ClassVar[str]
    """The value that the Authorization header must have."""

    def __init__(self, *, port: int = 0) -> None:
        self.faults: list[str] = []
        self.stopping = False
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        """Where it listens, as ``http://host:port``; only while it runs."""
        if self._thread is None:
            raise StandInError("the stand-in is not running; enter its with statement first")
        return f"http://{HOST}:{self._port}"

    def assert_no_faults(self) -> None:
        """Fail the test with every fault noted so far.

        Raises:
            AssertionError: there are faults.
        """
        if self.faults:
            lines = "\n  ".join(self.faults)
            raise AssertionError(f"{type(self).__name__} received wrong requests:\n  {lines}")

    async def until(
        self, condition: Callable[[], ValueT | None], *, timeout_s: float = 5.0
    ) -> ValueT:
        """Wait for something to show up in the records.

        Args:
            condition: asked every 10 ms until it returns something true.
            timeout_s: how long to wait, in seconds.

        Returns:
            What the condition returned.

        Raises:
            TimeoutError: it stayed false; the text has the faults noted so far.
        """
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout_s} s; faults so far: {self.faults}")
            await asyncio.sleep(_POLL_S)
        return value

    def note_fault(self, request: web.Request, problem: str) -> None:
        """Add a fault, prefixed with the request's method and path."""
        self.faults.append(f"{request.method} {request.path}: {problem}")

    def __enter__(self) -> Self:
        self.stopping = False
        listening = listen(self._port)
        self._port = listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"{type(self).__name__}:{self._port}", daemon=True
        )
        self._thread.start()
        try:
            self._in_thread(self._start(listening))
        except BaseException:
            listening.close()
            self._end_thread()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping = True
        try:
            self._in_thread(self._stop())
        finally:
            self._end_thread()

    @abstractmethod
    def _routes(self) -> list[web.RouteDef]:
        """The provider's routes."""

    @abstractmethod
    def _refusal(self, status: int, message: str) -> web.Response:
        """A refusal in the provider's form."""

    async def _start(self, listening: socket.socket) -> None:
        application = web.Application(
            middlewares=[self._watch], client_max_size=_LARGEST_BODY_BYTES
        )
        application.add_routes(self._routes())
        # A handler is cancelled when its client leaves: that is how a departure is noticed
        # at once, even while nothing is being written.
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_HANDLER_GRACE_S,
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        left_over = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left_over:
            task.cancel()
        await asyncio.gather(*left_over, return_exceptions=True)

    def _in_thread(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_STOP_DEADLINE_S)

    def _end_thread(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_STOP_DEADLINE_S)
        if self._thread.is_alive():
            raise StandInError("the stand-in's thread is stuck; a brain or transcriber blocks it")
        self._loop.close()
        self._thread = None

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._check_authorization(request)
            return await handler(request)
        except ContractFault as fault:
            for problem in fault.problems:
                self.note_fault(request, problem)
            return self._refusal(fault.status, str(fault))
        except InjectedFailure as failure:
            return self._refusal(failure.status, str(failure))
        except web.HTTPException as error:
            self.note_fault(request, f"the provider refuses that ({error.status})")
            return self._refusal(error.status, f"Invalid URL ({request.method} {request.path})")
        except ScriptError as error:
            self.note_fault(request, str(error))
            return self._refusal(500, str(error))
        except ConnectionError:
            raise
        except Exception as error:
            self.note_fault(request, f"the stand-in itself failed: {error!r}")
            raise

    def _check_authorization(self, request: web.Request) -> None:
        given = request.headers.get("Authorization")
        if given != self.authorization:
            state = "missing" if given is None else "wrong"
            scheme = self.authorization.split()[0]
            raise ContractFault(
                f"the Authorization header is {state}; it must be '{scheme} <key>'", status=401
            )
