"""Writes an answer piece by piece, disturbed as the test ordered."""

from __future__ import annotations

import asyncio
import json
import uuid

from aiohttp import web

from tests.standins.exchange import Disturbance, Exchange, RequestT
from tests.standins.loopback import break_connection


class AnswerStream:
    """The body of one answer.

    Args:
        request: the request to answer.
        exchange: where the pieces are counted.
        disturbance: what goes wrong on the way.
        content_type: of the answer.
    """

    def __init__(
        self,
        request: web.Request,
        exchange: Exchange[RequestT],
        disturbance: Disturbance,
        content_type: str,
    ) -> None:
        self._request = request
        self._exchange = exchange
        self._disturbance = disturbance
        headers = {"Content-Type": content_type, "x-request-id": f"req_{uuid.uuid4().hex}"}
        self._response = web.StreamResponse(headers=headers)

    async def send(self, piece: bytes) -> None:
        """Write one piece of the answer."""
        await self._disturb()
        if not self._response.prepared:
            await self._response.prepare(self._request)
        await self._response.write(piece)
        self._exchange.note_chunk()

    async def send_event(self, event: dict[str, object]) -> None:
        """Write one server-sent event with a JSON object as its data."""
        await self.send(b"data: " + json.dumps(event).encode() + b"\n\n")

    async def finish(self, piece: bytes = b"") -> web.StreamResponse:
        """Write the last piece and end the answer."""
        await self._disturb()
        if not self._response.prepared:
            await self._response.prepare(self._request)
        # Before the last byte: a client may close on reading it, and has then not left early.
        if piece:
            self._exchange.note_chunk()
        self._exchange.end("completed")
        await self._response.write_eof(piece)
        return self._response

    async def _disturb(self) -> None:
        if self._disturbance.chunk_delay_s:
            await asyncio.sleep(self._disturbance.chunk_delay_s)
        if self._exchange.chunks_sent == self._disturbance.cut_after_chunks:
            self._exchange.end("cut")
            await break_connection(self._request)
