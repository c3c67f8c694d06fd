"""The product's back end is told of sessions, signed, and again where it did not hear."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from config import ConfigError
from devstack.ports import free_port
from orchestrator.webhooks import outgoing
from orchestrator.webhooks.outgoing import SessionEvent, SessionWebhooks
from tests.orchestrator.ending_world import a_session, made_settings, until

KEY = b"k" * 32
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@dataclass
class BackEnd:
    """A back end that answers as it was told, and with 200 from then on."""

    answers: list[int] = field(default_factory=list)
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((dict(request.headers), await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


@asynccontextmanager
async def listening(back_end: BackEnd, port: int) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/hook", back_end.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(outgoing, "_RETRY_AFTER_S", (0.02,) * 5)


@asynccontextmanager
async def telling(
    back_end: BackEnd, secret: str = SECRET, *, up: bool = True
) -> AsyncIterator[tuple[SessionWebhooks, int]]:
    port = free_port()
    settings = made_settings(
        SESSION_WEBHOOK_URL=f"http://127.0.0.1:{port}/hook", SESSION_WEBHOOK_SECRET=secret
    )
    webhooks = SessionWebhooks(settings)
    if not up:
        async with webhooks.running():
            yield webhooks, port
        return
    async with listening(back_end, port), webhooks.running():
        yield webhooks, port


@pytest.mark.parametrize(("secret", "key"), [(SECRET, KEY), ("p" * 20, b"p" * 20)])
async def test_a_message_is_signed_as_standard_webhooks_has_it(secret, key):
    back_end, record = BackEnd(), a_session()
    async with telling(back_end, secret) as (webhooks, _):
        webhooks.say(SessionEvent.ENDED, record, reason="timeout")
    [(headers, body)] = back_end.taken
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert abs(int(timestamp) - time.time()) < 10
    told = json.loads(body)
    assert told["type"] == "session.ended"
    assert told["data"] == {
        "session_id": record.id,
        "room": record.room,
        "user_id": record.user_id,
        "style": "session",
        "reason": "timeout",
    }


async def test_who_the_person_is_stands_in_no_message():
    back_end, record = BackEnd(), a_session(user_name="Alice", opening_line="Hello Alice")
    async with telling(back_end) as (webhooks, _):
        webhooks.say(SessionEvent.READY, record)
    [(_, body)] = back_end.taken
    assert b"lice" not in body


async def test_the_same_event_has_the_same_id(quick):
    back_end, record = BackEnd(), a_session()
    async with telling(back_end) as (webhooks, _):
        webhooks.say(SessionEvent.READY, record)
        webhooks.say(SessionEvent.READY, record)
        webhooks.say(SessionEvent.FAILED, record)
    ids = [headers["webhook-id"] for headers, _ in back_end.taken]
    assert sorted(ids) == sorted(
        [f"session.ready:{record.id}"] * 2 + [f"session.failed:{record.id}"]
    )


@pytest.mark.parametrize("answer", [500, 503, 429])
async def test_a_back_end_that_cannot_take_it_now_is_told_again(quick, answer):
    back_end = BackEnd([answer, answer])
    async with telling(back_end) as (webhooks, _):
        webhooks.say(SessionEvent.READY, a_session())
    assert len(back_end.taken) == 3


async def test_a_back_end_that_comes_up_late_is_told(monkeypatch):
    monkeypatch.setattr(outgoing, "_RETRY_AFTER_S", (0.02,) * 500)
    back_end, before = BackEnd(), _tried_again()
    async with telling(back_end, up=False) as (webhooks, port):
        webhooks.say(SessionEvent.READY, a_session())
        await until(lambda: _has_tried_again_since(before))
        async with listening(back_end, port):
            await until(lambda: _has(back_end, 1))


async def test_a_back_end_that_refuses_is_not_told_again(quick):
    back_end = BackEnd([400])
    async with telling(back_end) as (webhooks, _):
        webhooks.say(SessionEvent.READY, a_session())
    assert len(back_end.taken) == 1


async def test_it_gives_up_at_last(quick, caplog):
    back_end = BackEnd([500] * 100)
    async with telling(back_end) as (webhooks, _):
        webhooks.say(SessionEvent.READY, a_session())
        await until(lambda: _has(back_end, 6))
    assert len(back_end.taken) == 6
    assert "[Webhook] not delivered" in caplog.text


async def test_what_is_said_is_never_waited_for_and_never_without_bound(caplog, monkeypatch):
    monkeypatch.setattr(outgoing, "_LAST_CHANCE_S", 0.05)
    async with telling(BackEnd(), up=False) as (webhooks, _):
        began = time.monotonic()
        for _ in range(1100):
            webhooks.say(SessionEvent.READY, a_session())
        assert time.monotonic() - began < 2
    assert "too many wait" in caplog.text


async def test_without_a_url_nothing_is_sent():
    webhooks = SessionWebhooks(made_settings())
    async with webhooks.running():
        webhooks.say(SessionEvent.READY, a_session())
    assert webhooks._waiting.empty()


@pytest.mark.parametrize("secret", ["", "whsec_???"])
def test_a_url_without_a_usable_secret_is_refused(secret):
    with pytest.raises(ConfigError, match="SESSION_WEBHOOK_SECRET"):
        SessionWebhooks(
            made_settings(SESSION_WEBHOOK_URL="http://127.0.0.1:1/", SESSION_WEBHOOK_SECRET=secret)
        )


def _tried_again() -> float:
    labels = {"event": SessionEvent.READY.value, "result": "retried"}
    return REGISTRY.get_sample_value("voice_agent_webhooks_sent_total", labels) or 0.0


async def _has_tried_again_since(before: float) -> bool:
    return _tried_again() > before


async def _has(back_end: BackEnd, number: int) -> bool:
    return len(back_end.taken) >= number
