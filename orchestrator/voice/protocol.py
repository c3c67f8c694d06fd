"""uvicorn's WebSocket protocol, changed where voice needs it otherwise.

What uvicorn does with a client that answers no ping, or that never takes our close frame, is
to close the transport, which waits for what is still to be sent: over a half-open connection
that is for ever, and the application is told nothing. Here such a transport is aborted, and
the application is told why. A connection that breaks off is told as 1006 (uvicorn has 1005,
the code of a close frame without a code). Little is buffered for a client that does not read,
as voice that comes late is worth nothing.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.transports import BaseTransport
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from orchestrator.voice.departure import ABNORMAL, PING_TIMED_OUT

_SEND_BUFFER = 65_536
_CLOSE_WITHIN_S = 2.0
_NOT_JSON = "\N{REPLACEMENT CHARACTER}".encode()


class VoiceWebSocketProtocol(WebSocketsSansIOProtocol):
    """See the module. Given to uvicorn as its ``ws``."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Take over a connection from the HTTP protocol."""
        super().connection_made(transport)
        accepted = transport.get_extra_info("socket")
        if accepted is not None:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.transport.set_write_buffer_limits(high=_SEND_BUFFER // 4)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that the connection broke off, unless it knows of an end."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": ABNORMAL})
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """Give a client up that has not answered a ping."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": ABNORMAL, "reason": PING_TIMED_OUT}
        )
        self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """Pass a whole message on; text that is no UTF-8 as text that is no JSON."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = [_NOT_JSON]
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        """Send a message; a close that the client does not take ends by force."""
        await super().send(message)
        if message["type"] == "websocket.close" and self.close_timer is not None:
            self.close_timer.cancel()
            loop = asyncio.get_running_loop()
            self.close_timer = loop.call_later(_CLOSE_WITHIN_S, self.transport.abort)
