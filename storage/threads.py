"""Blocking store calls, off the event loop, in a few threads of our own.

asyncio's default executor is not used: calls that hang in it would fill it, and with it
the name look-ups of everything else in the process, and the interpreter waits for its
threads at exit. These threads are daemons: a stuck one delays nobody's end.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class NoFreeThreadError(Exception):
    """Every thread is busy with an earlier call; skip the call or try again later."""


@dataclass(frozen=True)
class _Call:
    run: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class StoreThreads:
    """A fixed number of daemon threads that run store calls in the caller's context.

    Args:
        size: how many calls may be under way at once.
    """

    def __init__(self, size: int = 4) -> None:
        self._size = size
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._started = 0
        self._closed = False

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``call`` in a thread, with a copy of the caller's context, and await it.

        Cancelling the await does not stop a call that has begun; one that still waits for
        a thread then never begins.

        Raises:
            RuntimeError: the threads are closed.
            Exception: whatever ``call`` raises.
        """
        return await self._submit(call, *args, **kwargs)

    async def run_if_free(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``call`` as `run` does, but only when a thread is free for it now.

        Raises:
            NoFreeThreadError: all threads are busy, so that the call would have to wait.
        """
        with self._lock:
            if self._unfinished >= self._size:
                raise NoFreeThreadError("all store threads are busy")
        return await self._submit(call, *args, **kwargs)

    def close(self) -> None:
        """Let every thread end after the call it is in; waits for none of them."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for _ in range(self._started):
                self._calls.put(None)

    def _submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the store threads are closed")
            self._unfinished += 1
            if self._started < min(self._size, self._unfinished):
                self._started += 1
                name = f"store-{self._started}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        self._calls.put(_Call(lambda: context.run(call, *args, **kwargs), loop, future))
        return future

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            result, error = None, None
            if not work.future.cancelled():  # nobody waits for it: it must not happen later
                try:
                    result = work.run()
                except Exception as raised:  # noqa: BLE001 - handed to whoever awaits the call
                    error = raised
            with self._lock:
                self._unfinished -= 1
            _deliver(work, result, error)
            del work, result, error


def _deliver(work: _Call, result: object, error: Exception | None) -> None:
    def settle() -> None:
        if work.future.done():
            return
        if error is not None:
            work.future.set_exception(error)
        else:
            work.future.set_result(result)

    if not work.loop.is_closed():
        # The loop may close between the check and the call: nobody is left to be told.
        try:
            work.loop.call_soon_threadsafe(settle)
        except RuntimeError:
            return
