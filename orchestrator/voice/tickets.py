"""Tickets: what lets a client into one session's WebSocket once, within half a minute."""

from __future__ import annotations

import secrets
from hashlib import sha256
from urllib.parse import urlencode

from sessions import SessionState

TICKET_LIFE_S = 30.0
PATH = "/ws/voice"

_BYTES = 32
_LONGEST = 200


class VoiceTickets:
    """Issues tickets and takes them; only their hashes are kept.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: SessionState) -> None:
        self._state = state

    async def issue(self, session_id: str) -> str | None:
        """Return a new ticket, or None where the session does not live."""
        ticket = secrets.token_urlsafe(_BYTES)
        kept = await self._state.tickets.put(session_id, _hash(ticket), for_s=TICKET_LIFE_S)
        return ticket if kept else None

    async def take(self, session_id: str, ticket: str) -> bool:
        """Use a ticket up, and return whether it was good for this session."""
        if len(ticket) > _LONGEST:
            return False
        return await self._state.tickets.take(session_id, _hash(ticket))

    async def websocket_url(self, base: str, session_id: str) -> str:
        """Return where a client connects, with a new ticket where the session lives.

        Args:
            base: ``ws://host`` or ``wss://host``, as the client sees this server.
            session_id: the session.
        """
        query = {"session_id": session_id}
        ticket = await self.issue(session_id)
        if ticket is not None:
            query["ticket"] = ticket
        return f"{base}{PATH}?{urlencode(query)}"


def _hash(ticket: str) -> str:
    return sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()
