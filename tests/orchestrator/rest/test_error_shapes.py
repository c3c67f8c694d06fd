"""One shape of errors, also where the framework, not a route, answers."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import anyio
from starlette.types import Message

from orchestrator.guards import BodyLimit
from sessions import StateUnreachableError
from tests.orchestrator.rest.world import BACKEND, PRODUCTION, World, orchestrating


async def test_a_path_with_a_slash_too_many_is_a_404_and_sends_nobody_elsewhere(production: World):
    # A redirect would name http:// behind a proxy that speaks TLS, with the credential.
    for path in ("/api/session/start/", "/api/token/", "/api/v1/me/"):
        answer = await production.client.post(path, json={}, headers=BACKEND)
        assert answer.status_code == 404, path
        assert set(answer.json()) == {"detail"}
        assert "location" not in answer.headers


async def test_a_preflight_that_is_refused_has_the_one_shape(quiet_livekit):
    environ = {**PRODUCTION, "CORS_ORIGINS": "https://app.example.com"}
    async with orchestrating(quiet_livekit, **environ) as world:
        asked = {"Origin": "https://x.example", "Access-Control-Request-Method": "POST"}
        answer = await world.client.options("/api/token", headers=asked)
        assert answer.status_code == 400
        assert "origin" in answer.json()["detail"]
        assert "access-control-allow-origin" not in answer.headers


async def test_a_webhook_that_cannot_be_recorded_is_a_500_with_an_id_of_the_log(
    production: World, monkeypatch, caplog
):
    async def gone(*_, **__):
        raise StateUnreachableError("the inner detail")

    monkeypatch.setattr(production.parts.state.marks, "first_time", gone)
    body = b'{"event": "room_started"}'
    secret = production.livekit.api_secret.encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    answer = await production.client.post(
        "/webhook/livekit", content=body, headers={"X-LiveKit-Signature": signature}
    )
    assert answer.status_code == 500
    assert "inner detail" not in answer.text
    error_id = answer.json()["error_id"]
    assert error_id in [getattr(record, "error_id", None) for record in caplog.records]


async def test_json_that_does_not_say_so_is_told_which_header_is_missing(production: World):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await production.client.post(
            "/api/session/start",
            content=b'{"userName": "alice"}',
            headers={**BACKEND, "Content-Type": kind},
        )
        assert answer.status_code == 422
        assert "Content-Type: application/json" in answer.json()["detail"]
        assert answer.json()["errors"][0]["field"] == "body"


async def test_what_livekit_refuses_is_a_503_whose_cause_is_in_the_log(quiet_livekit, caplog):
    stranger = replace(quiet_livekit, api_secret="not-the-secret-of-this-server-0123456789")
    async with orchestrating(stranger, **PRODUCTION) as world:
        body = {"userName": "alice"}
        answer = await world.client.post("/api/session/start", json=body, headers=BACKEND)
        assert answer.status_code == 503
        assert "status=401" not in answer.text
        causes = [str(getattr(record, "cause", "")) for record in caplog.records]
        assert any("status=401" in cause for cause in causes)
        assert all(stranger.api_secret not in cause for cause in causes)


async def test_a_body_that_does_not_come_is_a_400_and_holds_nothing_for_long():
    sent: list[Message] = []

    async def nobody_gets_here(*_):
        raise AssertionError("a request without its body was served")

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    guarded = BodyLimit(nobody_gets_here, most=1024, within_s=0.05)
    with anyio.fail_after(5):
        await guarded({"type": "http", "headers": []}, receive, send)
    assert sent[0]["status"] == 400
    assert set(json.loads(sent[1]["body"])) == {"detail"}
