"""A TCP proxy that misbehaves on command, between a worker and its Supabase."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from devstack.ports import LOOPBACK, free_port
from tests import leaks

_CHUNK = 65_536
_TRICKLE_S = 1.0
_SLOW_S = 10.0


class Mode(Enum):
    """How the proxy treats connections, old and new."""

    PASS = auto()
    REFUSE = auto()
    """Nobody listens."""
    HANG = auto()
    """Connections are accepted, and nothing is answered."""
    TRICKLE = auto()
    """Answers come at one byte a second."""
    CUT = auto()
    """A connection is reset in the middle of its first answer."""
    GARBAGE = auto()
    """Every request is answered with what is no HTTP."""
    HTML = auto()
    """Every request is answered with a page and success, as a captive portal does."""
    OBJECT = auto()
    """Every request is answered with a JSON object and success, never with rows."""
    WRONG_KEY = auto()
    """Every request is answered as Supabase's gateway does for an unknown key: without a code."""
    SLOW = auto()
    """Requests arrive at once, their answers ten seconds later."""
    ERROR_500 = auto()
    ERROR_409 = auto()
    """Every request is answered with this status, and never arrives."""


_ANSWERS = {
    Mode.HTML: ("200 OK", "text/html", b"<!doctype html><title>Welcome to our wifi</title>"),
    Mode.OBJECT: ("200 OK", "application/json", b'{"status": "ok"}'),
    Mode.ERROR_500: ("500 Told", "application/json", b'{"message": "the proxy says so"}'),
    Mode.ERROR_409: ("409 Told", "application/json", b'{"message": "the proxy says so"}'),
    Mode.WRONG_KEY: ("401 Unauthorized", "application/json", b'{"message": "Invalid API key"}'),
}


class FaultyProxy:
    """Passes bytes on to a server until told otherwise. Runs in a thread of its own.

    Args:
        upstream: the server's http URL.
        is_shared: whether several tests share it: who connects through it, and when, is nobody's
            leak then.

    Attributes:
        url: where the proxy listens, to be given to clients instead.
        accepted: how many connections it has accepted.
    """

    def __init__(self, upstream: str, *, is_shared: bool = False) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or LOOPBACK, parts.port or 80)
        self._port = free_port()
        self.url = f"http://{LOOPBACK}:{self._port}"
        self.accepted = 0
        self._mode = Mode.PASS
        self._is_shared = is_shared
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-proxy")
        self._listening: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def set(self, mode: Mode) -> None:
        """Misbehave in this way from now on; connections that are open are dropped."""
        self._do(self._change(mode)).result(10)

    def __enter__(self) -> FaultyProxy:
        """Begin to listen."""
        self._thread.start()
        self.set(Mode.PASS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening and drop every connection."""
        self.set(Mode.REFUSE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _change(self, mode: Mode) -> None:
        self._mode = mode
        if self._listening is not None:
            self._loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        await self._drop()
        if mode is not Mode.REFUSE:
            self._listening = socket.create_server((LOOPBACK, self._port))
            self._share(self._listening)
            self._listening.setblocking(False)
            self._loop.add_reader(self._listening, self._accept, self._listening)

    async def _drop(self) -> None:
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _share(self, made: socket.socket) -> None:
        if self._is_shared:
            leaks.share(made)

    def _accept(self, listening: socket.socket) -> None:
        # Not asyncio's server: one that closes while it accepts leaves the accepted socket open.
        try:
            accepted, _ = listening.accept()
        except OSError:
            return  # whoever wanted in has gone
        self._share(accepted)
        accepted.setblocking(False)
        self.accepted += 1
        task = self._loop.create_task(self._hold(accepted))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: accepted.close())  # also where it never began

    async def _hold(self, accepted: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=accepted)
        except OSError:
            return
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            return
        finally:
            writer.transport.abort()
            # Its socket is closed one step later, and this task is awaited where all must be.
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.HANG:
            await asyncio.Event().wait()
        if self._mode is Mode.GARBAGE:
            await reader.read(_CHUNK)
            writer.write(b"\x00\xff this is no HTTP \r\n\r\n")
            await writer.drain()
            return
        if self._mode in _ANSWERS:
            await _read_request(reader)
            writer.write(_http(*_ANSWERS[self._mode]))
            await writer.drain()
            return
        answers, requests = await asyncio.open_connection(*self._upstream)
        self._share(requests.get_extra_info("socket"))
        try:
            await asyncio.gather(_pump(reader, requests), self._answer(answers, writer))
        finally:
            requests.transport.abort()

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await answers.read(_CHUNK):
            if self._mode is Mode.SLOW:
                await asyncio.sleep(_SLOW_S)
            if self._mode is Mode.CUT:
                writer.write(data[: len(data) // 2])
                await writer.drain()
                raise ConnectionResetError
            if self._mode is Mode.TRICKLE:
                for byte in data:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(_TRICKLE_S)
            else:
                writer.write(data)
                await writer.drain()
        raise ConnectionResetError  # the server has ended it, so the other half ends too


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        sink.write(data)
        await sink.drain()
    raise ConnectionResetError


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    await reader.readexactly(int(length[1]) if length else 0)


def _http(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    return f"{head}connection: close\r\n\r\n".encode() + body
