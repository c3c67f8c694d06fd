"""A TCP proxy that stops forwarding and keeps its connections: half-open for both ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class FreezingProxy:
    """Forwards to a port of loopback until it is frozen.

    Attributes:
        port: where it listens.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def freeze(self) -> None:
        self._thawed.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FreezingProxy]:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.set_name("freezing proxy")
        onward, answers = None, None
        try:
            answers, onward = await asyncio.open_connection("127.0.0.1", self._upstream)
            pumps = [self._pump(reader, onward), self._pump(answers, writer)]
            both = [asyncio.create_task(each, name="freezing proxy's pump") for each in pumps]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in both:
                    each.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            return
        finally:
            for end in (writer, onward):
                if end is not None:
                    end.transport.abort()
                    with suppress(OSError, asyncio.CancelledError):
                        await end.wait_closed()
            self._tasks.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while True:
            await self._thawed.wait()
            data = await source.read(4096)
            if not data:
                raise ConnectionResetError
            await self._thawed.wait()
            sink.write(data)
            await sink.drain()
