"""Nobody reaches what is somebody else's: every route of the app, tried by everybody else."""

from __future__ import annotations

import uuid

import pytest
from fastapi.routing import APIRoute

from config import Settings
from orchestrator.app import create_app
from tests.orchestrator.rest.world import (
    ALICE,
    BACKEND,
    BOB,
    OPERATOR,
    OTHER_BACKEND,
    World,
    as_namespace,
    bearer,
    key_hash_of,
    user_token,
)

APP = create_app(Settings.from_environment({}))
PUBLIC = {("GET", "/health"), ("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics")}
"""Says nothing about anybody."""

OF_A_SESSION = {
    ("GET", "/api/session/{session_id}"),
    ("POST", "/api/session/end"),
    ("GET", "/api/v1/sessions/{session_id}"),
    ("DELETE", "/api/v1/sessions/{session_id}"),
    ("GET", "/api/v1/sessions/{session_id}/tasks"),
    ("GET", "/api/v1/sessions/{session_id}/stats"),
}
OF_NO_SESSION = {
    ("POST", "/api/session/start"),
    ("POST", "/api/v1/sessions"),
    ("GET", "/api/v1/sessions"),
    ("PUT", "/api/v1/namespaces/{namespace_id}"),
    ("DELETE", "/api/v1/namespaces/{namespace_id}"),
    ("POST", "/api/token"),
    ("POST", "/webhook/livekit"),
}
"""Whose they are is decided by the caller alone; the tests beside this file try them."""


def routes() -> list[tuple[str, str]]:
    """Every operation of the app, as its OpenAPI document has them."""
    return sorted(
        (method.upper(), path)
        for path, operations in APP.openapi()["paths"].items()
        for method in operations
    )


def test_every_route_is_known_here():
    people = {each for each in routes() if each[1].startswith("/api/v1/me")}
    assert set(routes()) - people == PUBLIC | OF_A_SESSION | OF_NO_SESSION
    documented = {(m, r.path) for r in APP.routes if isinstance(r, APIRoute) for m in r.methods}
    assert documented <= set(routes())


def request_of(method: str, path: str, session_id: str) -> dict:
    """A request that would be fine if it came from the right caller."""
    filled = path.format(
        session_id=session_id, namespace_id="acme", id="7b1c3c0e-0000-4000-8000-000000000001"
    )
    bodies: dict[str, dict] = {
        "/api/session/start": {"userName": "alice"},
        "/api/session/end": {"sessionId": session_id},
        "/api/v1/sessions": {"namespace_id": "acme", "key_hash": "wrong"},
        "/api/v1/namespaces/{namespace_id}": {"key_hash": "0123456789abcdef"},
        "/api/v1/me/memories/search": {"query": "x"},
        "/api/v1/me/memories/{id}": {"value": "x"},
        "/api/v1/me/profile": {"display_name": "x"},
    }
    body = bodies.get(path) if method not in ("GET", "DELETE") else None
    return {"method": method, "url": filled, "json": body}


@pytest.mark.parametrize(("method", "path"), [each for each in routes() if each not in PUBLIC])
async def test_nothing_is_given_without_a_credential(production: World, method, path):
    answer = await production.client.request(**request_of(method, path, "session_1_x"))
    assert answer.status_code == 401
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize(("method", "path"), sorted(OF_A_SESSION))
async def test_a_session_is_a_404_for_everybody_else(production: World, method, path):
    acme, other = (f"{each}-{uuid.uuid4().hex[:8]}" for each in ("acme", "other"))
    await production.register(acme, other)
    alice, bob = bearer(user_token(ALICE)), bearer(user_token(BOB))
    namespaced = (await production.create(acme)).json()["id"]
    as_acme, as_other = (as_namespace(each, key_hash_of(each)) for each in (acme, other))
    of_alice = (await production.start(headers=alice))["sessionId"]
    of_backend = (await production.start(headers=BACKEND))["sessionId"]
    strangers = {
        namespaced: [as_other, alice, BACKEND, OTHER_BACKEND],
        of_alice: [bob, BACKEND, as_acme],
        of_backend: [alice, OTHER_BACKEND, as_acme],
    }
    for session_id, others in strangers.items():
        for headers in others:
            request = request_of(method, path, session_id)
            answer = await production.client.request(**request, headers=headers)
            assert answer.status_code == 404, (session_id, headers)
            unknown = request_of(method, path, "session_1_unknown")
            same = await production.client.request(**unknown, headers=headers)
            assert answer.text == same.text, "the answer tells that the session exists"
        assert not await production.parts.state.records.has_ended(session_id)


@pytest.mark.parametrize(
    ("method", "path"), [each for each in routes() if each[1].startswith("/api/v1/me")]
)
async def test_a_user_reaches_nobody_elses_data(production: World, method, path):
    request = request_of(method, path, "")
    named = {**bearer(user_token(ALICE)), "X-User-Identity": BOB}
    answer = await production.client.request(**request, headers=named)
    assert answer.status_code == 403
    operator = {**OPERATOR, "X-User-Identity": BOB}
    answer = await production.client.request(**request, headers=operator)
    assert answer.status_code == 403


async def test_one_credential_does_not_borrow_anothers_namespace(production: World):
    await production.register("acme")
    for headers in (bearer(user_token(ALICE)), OPERATOR):
        borrowed = {**headers, **as_namespace("acme", key_hash_of("acme"))}
        answer = await production.client.get("/api/v1/sessions/x", headers=borrowed)
        assert answer.status_code == 403
