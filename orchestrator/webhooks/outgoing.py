"""Tells the product's back end that a session is ready, has ended or has failed.

Signed as Standard Webhooks (version 1) has it: the headers ``webhook-id``,
``webhook-timestamp`` and ``webhook-signature``, the last of them ``v1,`` and the base64 of the
HMAC-SHA256 over ``<id>.<timestamp>.<body>``. A secret that begins with ``whsec_`` holds the key
as base64, any other is the key itself. An event may come more than once, with the same id, and
events may come in another order than they happened in.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import httpx

from config import ConfigError, Settings
from orchestrator.webhooks.metrics import SENT
from sessions.model import SessionRecord
from sessions.naming import now_ms
from worker.owned_tasks import end_tasks

logger = logging.getLogger("orchestrator.webhooks")

_MOST_WAITING = 1000
_SENDERS = 4
_TIMEOUT_S = 5.0
_RETRY_AFTER_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_LAST_CHANCE_S = 2.0
_KEY_PREFIX = "whsec_"


class SessionEvent(str, Enum):
    """What the product's back end is told of."""

    READY = "session.ready"
    ENDED = "session.ended"
    FAILED = "session.failed"


@dataclass(frozen=True)
class _Message:
    event: SessionEvent
    id: str
    body: bytes


class SessionWebhooks:
    """Sends webhooks about sessions from a queue of its own; nobody waits for them.

    Args:
        settings: SESSION_WEBHOOK_URL and SESSION_WEBHOOK_SECRET; without the first nothing
            is sent.

    Raises:
        ConfigError: there is a URL but no secret, or one that cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.orchestrator.session_webhook_url
        self._key = signing_key(settings.orchestrator.session_webhook_secret) if self._url else b""
        self._waiting: asyncio.Queue[_Message] = asyncio.Queue(_MOST_WAITING)

    def say(self, event: SessionEvent, record: SessionRecord, **more: Any) -> None:
        """Queue an event of a session; saying it again has the same id.

        Args:
            event: what happened.
            record: the session.
            more: further fields of the message's data; nothing that a person said.
        """
        if self._url is None:
            return
        message = _message(event, record, more)
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            SENT.labels(event.value, "dropped").inc()
            logger.error("[Webhook] too many wait to be sent; one is dropped", extra=_of(message))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send what is said from here to the end of the ``async with``.

        At the end what still waits has two seconds.
        """
        if self._url is None:
            yield
            return
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            senders = [
                asyncio.create_task(self._send_all(client, self._url), name="session webhooks")
                for _ in range(_SENDERS)
            ]
            try:
                yield
                await self._drain()
            finally:
                await end_tasks(senders)

    async def _drain(self) -> None:
        try:
            await asyncio.wait_for(self._waiting.join(), _LAST_CHANCE_S)
        except asyncio.TimeoutError:
            logger.error("[Webhook] some were not sent before the end")

    async def _send_all(self, client: httpx.AsyncClient, url: str) -> None:
        while True:
            message = await self._waiting.get()
            try:
                await self._send(client, url, message)
            finally:
                self._waiting.task_done()

    async def _send(self, client: httpx.AsyncClient, url: str, message: _Message) -> None:
        for pause_s in (*_RETRY_AFTER_S, None):
            problem, final = await self._post(client, url, message)
            if problem is None:
                SENT.labels(message.event.value, "ok").inc()
                return
            if final or pause_s is None:
                break
            SENT.labels(message.event.value, "retried").inc()
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311 - jitter
        SENT.labels(message.event.value, "failed").inc()
        logger.error("[Webhook] not delivered", extra={**_of(message), "problem": problem})

    async def _post(
        self, client: httpx.AsyncClient, url: str, message: _Message
    ) -> tuple[str | None, bool]:
        """Return what went wrong, or None; and whether it is of no use to try again."""
        headers = signed_headers(self._key, message.id, int(time.time()), message.body)
        try:
            answer = await client.post(url, content=message.body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__, False
        if answer.is_success:
            return None, True
        again = answer.is_server_error or answer.status_code in (408, 425, 429)
        return f"status {answer.status_code}", not again


def signing_key(secret: str | None) -> bytes:
    """Return the key that a secret stands for.

    Raises:
        ConfigError: there is none, or it is not base64 after ``whsec_``.
    """
    if not secret:
        raise ConfigError("SESSION_WEBHOOK_SECRET: set it, as SESSION_WEBHOOK_URL is set")
    if not secret.startswith(_KEY_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret[len(_KEY_PREFIX) :], validate=True)
    except binascii.Error:
        raise ConfigError("SESSION_WEBHOOK_SECRET: what follows whsec_ must be base64") from None


def signed_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers with which a message is sent (Standard Webhooks, version 1)."""
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _message(event: SessionEvent, record: SessionRecord, more: dict[str, Any]) -> _Message:
    data = {
        "session_id": record.id,
        "room": record.room,
        "user_id": record.user_id,
        "style": record.style.value,
        **more,
    }
    body = {"type": event.value, "timestamp": now_ms(), "data": data}
    return _Message(event, f"{event.value}:{record.id}", json.dumps(body).encode())


def _of(message: _Message) -> dict[str, str]:
    return {"webhook_event": message.event.value, "webhook_id": message.id}
