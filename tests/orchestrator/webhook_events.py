"""LiveKit's webhooks, made up and signed as LiveKit signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from typing import Any

from google.protobuf.json_format import MessageToJson
from livekit import api

from orchestrator.webhooks.incoming import LiveKitWebhooks
from sessions import SessionRecord
from sessions.naming import room_metadata
from tests.orchestrator.ending_world import ALICE, KEY, SECRET

PERSON, AGENT = api.ParticipantInfo.Kind.STANDARD, api.ParticipantInfo.Kind.AGENT
_numbers = itertools.count(1)


def an_event(
    name: str,
    record: SessionRecord,
    *,
    identity: str = ALICE,
    kind: int = PERSON,
    reason: int = api.DisconnectReason.CLIENT_INITIATED,
    joined_at_ms: int = 0,
    event_id: str | None = None,
    mark: bool = True,
) -> str:
    """The body of a webhook about a session's room."""
    event = api.WebhookEvent(event=name, created_at=int(time.time()))
    event.id = f"EV_{next(_numbers)}_{record.id}" if event_id is None else event_id
    event.room.name = record.room
    event.room.metadata = room_metadata(record) if mark else ""
    if name.startswith("participant"):
        event.participant.identity = identity
        event.participant.kind = kind  # type: ignore[assignment]
        event.participant.joined_at_ms = joined_at_ms
        if name == "participant_left":
            event.participant.disconnect_reason = reason  # type: ignore[assignment]
    return str(MessageToJson(event))


def token_for(body: str | bytes, *, key: str = KEY, secret: str = SECRET) -> str:
    """The JWT with which LiveKit signs a body."""
    digest = base64.b64encode(hashlib.sha256(_raw(body)).digest()).decode()
    return api.AccessToken(key, secret).with_sha256(digest).to_jwt()


def hmac_of(body: str | bytes, secret: str = SECRET) -> str:
    """What older senders put into X-LiveKit-Signature."""
    return hmac.new(secret.encode(), _raw(body), hashlib.sha256).hexdigest()


async def send(webhooks: LiveKitWebhooks, body: str) -> dict[str, str]:
    """Let a webhook come as LiveKit sends it."""
    return await webhooks.receive(body.encode(), authorization=token_for(body), signature=None)


def _raw(body: str | bytes) -> bytes:
    return body if isinstance(body, bytes) else body.encode()


def plain(**fields: Any) -> str:
    """A body of any kind."""
    return json.dumps(fields)
