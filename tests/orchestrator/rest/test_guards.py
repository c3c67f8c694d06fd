"""What every request passes: hosts and origins, sizes, rates, proxies, headers, errors, logs."""

from __future__ import annotations

import asyncio
import logging
from io import StringIO

import pytest

from devstack.servers.redis import RedisServer
from orchestrator.log_lines import LineFormatter
from tests.orchestrator.rest.world import (
    API_KEY,
    BACKEND,
    DEVELOPMENT,
    PRODUCTION,
    World,
    as_namespace,
    key_hash_of,
    orchestrating,
    user_token,
)
from tests.services import started

FROM_ELSEWHERE = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example:8000"},
    {"Host": "localhost.evil.example"},
    {"Host": "192.168.0.7:8000"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://127.0.0.1@evil.example"},
    {"X-Forwarded-For": "203.0.113.7"},
    {"X-Forwarded-Host": "127.0.0.1"},
    {"Forwarded": "for=203.0.113.7"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
]


async def test_development_refuses_what_comes_from_elsewhere(development: World):
    body = {"userName": "alice"}
    for headers in FROM_ELSEWHERE:
        answer = await development.client.post("/api/session/start", json=body, headers=headers)
        assert answer.status_code == 403, headers
        assert set(answer.json()) == {"detail"}
        assert "access-control-allow-origin" not in answer.headers


async def test_development_serves_this_machine(development: World):
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "127.1.2.3:80"):
        headers = {"Host": host, "Origin": "http://localhost:3000"}
        answer = await development.client.get("/livez", headers=headers)
        assert answer.status_code == 200, host
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_development_serves_a_page_of_this_machine_under_its_other_name(development: World):
    # To a browser localhost and 127.0.0.1 are two sites.
    page = {"Origin": "http://localhost:3000"}
    page |= {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    asked = {"Access-Control-Request-Method": "POST"}
    answer = await development.client.options("/api/token", headers={**page, **asked})
    assert answer.status_code == 200
    answer = await development.client.post("/api/token", json={}, headers=page)
    assert answer.status_code == 201
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_pages_are_let_in_from_a_list_only(quiet_livekit):
    environ = {**PRODUCTION, "CORS_ORIGINS": "https://app.example.com"}
    async with orchestrating(quiet_livekit, **environ) as world:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-sandbox-id,authorization",
        }
        for origin, allowed in [("https://app.example.com", True), ("https://x.example", False)]:
            answer = await world.client.options("/api/token", headers={**asked, "Origin": origin})
            found = answer.headers.get("access-control-allow-origin")
            assert found == (origin if allowed else None)
            assert answer.is_success is allowed


@pytest.mark.parametrize("says_its_length", [True, False])
async def test_a_body_that_is_too_large_is_a_413(production: World, says_its_length):
    content = b'{"userName": "' + b"a" * 70_000 + b'"}'

    async def chunks():
        for at in range(0, len(content), 1000):
            yield content[at : at + 1000]

    headers = {**BACKEND, "Content-Type": "application/json"}
    given = content if says_its_length else chunks()
    answer = await production.client.post("/api/session/start", content=given, headers=headers)
    assert answer.status_code == 413
    assert set(answer.json()) == {"detail"}


async def test_every_answer_has_the_security_headers(production: World):
    for path in ("/health", "/nowhere", "/api/session/x"):
        headers = (await production.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "strict-transport-security" not in headers


@pytest.mark.parametrize("over_redis", [True, False])
async def test_rates_are_limited_by_caller_and_by_address(quiet_livekit, request, over_redis):
    url = ""
    if over_redis:
        server = started(RedisServer)
        request.addfinalizer(server.stop)
        url = server.info.url
    environ = {**PRODUCTION, "RATE_LIMIT": "3/hour"}
    async with orchestrating(quiet_livekit, redis_url=url, **environ) as world:
        world.headers = BACKEND
        statuses = [(await world.token()).status_code for _ in range(5)]
        assert statuses == [201, 201, 201, 429, 429]
        refused = await world.token()
        assert 0 < int(refused.headers["Retry-After"]) <= 3600
        started_answer = await world.client.post(
            "/api/session/start", json={"userName": "a"}, headers=BACKEND
        )
        assert started_answer.status_code == 200
        # Guessing keys is counted by address, before anything is looked at.
        guesses = [
            (await world.create("acme", key_hash=f"guess-{n}")).status_code for n in range(5)
        ]
        assert guesses == [401, 401, 401, 429, 429]


async def test_a_caller_is_counted_wherever_they_call_from(quiet_livekit):
    environ = {**PRODUCTION, "RATE_LIMIT": "3/hour", "TRUSTED_PROXIES": "127.0.0.1"}
    async with orchestrating(quiet_livekit, **environ) as world:
        statuses = []
        for n in range(5):
            headers = {**BACKEND, "X-Forwarded-For": f"203.0.113.{n}"}
            statuses.append((await world.token(headers=headers)).status_code)
        assert statuses == [201, 201, 201, 429, 429]


FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "voice.example.com",
    "X-Forwarded-For": "198.51.100.1, 203.0.113.7",
}


@pytest.mark.parametrize(
    ("trusted", "begins"),
    [("127.0.0.0/8", "wss://voice.example.com/"), ("10.0.0.0/8", "ws://127.0.0.1:8000/")],
)
async def test_the_websocket_url_is_what_a_trusted_proxy_says(quiet_livekit, trusted, begins):
    environ = {**PRODUCTION, "TRUSTED_PROXIES": trusted}
    async with orchestrating(quiet_livekit, **environ) as world:
        await world.register("acme")
        body = {"namespace_id": "acme", "key_hash": key_hash_of("acme")}
        answer = await world.client.post("/api/v1/sessions", json=body, headers=FORWARDED)
        assert answer.json()["websocket_url"].startswith(begins)
        shown = await world.client.get(
            f"/api/v1/sessions/{answer.json()['id']}",
            headers={**FORWARDED, **as_namespace("acme", key_hash_of("acme"))},
        )
        assert shown.json()["websocket_url"].startswith(begins)
        assert ("strict-transport-security" in shown.headers) is begins.startswith("wss")


async def test_what_nobody_foresaw_is_a_500_with_an_id_of_the_log(
    production: World, monkeypatch, caplog
):
    async def broken(*_, **__):
        raise RuntimeError("the inner detail, with a secret")

    monkeypatch.setattr(production.parts.state.records, "get", broken)
    answer = await production.client.get("/api/session/session_1_x", headers=BACKEND)
    assert answer.status_code == 500
    assert "inner detail" not in answer.text
    assert answer.json()["error_id"] in [
        getattr(record, "error_id", None) for record in caplog.records
    ]
    assert "x-content-type-options" in answer.headers


async def test_redis_that_goes_later_degrades_and_comes_back(quiet_livekit):
    server = started(RedisServer)
    try:
        environ = {**DEVELOPMENT, "RATE_LIMIT": "1000/minute"}
        async with orchestrating(quiet_livekit, redis_url=server.info.url, **environ) as world:
            assert (await world.client.get("/health")).json()["status"] == "healthy"
            server.kill()
            await asyncio.sleep(1.1)  # what /health saw is kept for a second
            health = (await world.client.get("/health")).json()
            assert (health["status"], health["redis_connected"]) == ("degraded", False)
            answer = await world.client.post("/api/session/start", json={"userName": "alice"})
            assert answer.status_code == 503
            assert "Retry-After" in answer.headers
            assert (await world.client.get("/readyz")).status_code == 503
            assert (await world.client.get("/livez")).status_code == 200
            assert (await world.token()).status_code == 201
            figures = (await world.client.get("/metrics")).text
            assert "voice_agent_redis_up 0.0" in figures
            server.start()
            await world.start("alice")
    finally:
        server.stop()


async def test_health_has_defined_values_where_nothing_is_configured(quiet_livekit):
    async with orchestrating(quiet_livekit, **DEVELOPMENT, LIVEKIT_URL="") as world:
        assert (await world.client.get("/health")).json() == {
            "status": "degraded",
            "livekit_url": "",
            "livekit_configured": False,
            "redis_connected": False,
            "celery_available": False,
        }
        answer = await world.client.post("/api/session/start", json={"userName": "alice"})
        assert answer.status_code == 503
        assert "LIVEKIT_URL" in answer.json()["detail"]


async def test_no_secret_reaches_a_log_line(production: World):
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter())
    handler.addFilter(lambda record: record.name != "httpx")  # the test's own client
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        name, spoken = "erika.mustermann@example.com", "Good morning, dear Erika"
        joined = await production.start(name, openingLine=spoken)
        await production.register("acme")
        created = (await production.create("acme")).json()
        given = (await production.token(participant_identity=name)).json()
        secret = "ticket-0123456789"
        url = f"/api/v1/sessions/{created['id']}?ticket={secret}&api_key={API_KEY}"
        user = user_token()
        await production.client.get(url, headers={"Authorization": f"Bearer {user}"})
        await production.client.post("/api/session/start", content=name.encode(), headers=BACKEND)
        await production.client.get(f"/nowhere/{secret}")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    log = written.getvalue()
    assert "route=/api/session/start" in log
    for private in (
        name,
        spoken,
        joined["token"],
        given["participant_token"],
        secret,
        API_KEY,
        user,
        key_hash_of("acme"),
        production.livekit.api_secret,
    ):
        assert private not in log


def test_a_log_line_is_one_line():
    record = logging.makeLogRecord({"msg": "request", "value": "a\nb", "levelname": "INFO"})
    assert LineFormatter().format(record).endswith("request value=a\\nb")
