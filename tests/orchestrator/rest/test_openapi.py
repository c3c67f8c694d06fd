"""The OpenAPI document keeps its word, whatever is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from devstack.servers.livekit import LiveKitInfo
from devstack.waiting import eventually
from tests import leaks
from tests.orchestrator.rest.served import Served
from tests.orchestrator.rest.test_borders import PUBLIC, routes
from tests.orchestrator.rest.world import API_KEY, PRODUCTION, bearer, user_token

EXAMPLES = 6
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def served(
    quiet_livekit: LiveKitInfo, redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of an orchestrator in production, with people's memories in files."""
    folder: Path = tmp_path_factory.mktemp("data")
    with leaks.shared():
        server = Served(
            quiet_livekit,
            **PRODUCTION,
            REDIS_URL=redis,
            DATA_DIR=str(folder),
            RECONCILE_AGE_S="3600",
        )
        try:
            asyncio.run(eventually(lambda: server.status("/readyz") == 200, 30))
        except BaseException:
            server.stop()
            raise
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def schema(served: str):
    return schemathesis.openapi.from_url(f"{served}/openapi.json")


CREDENTIALS = {
    "a back end": {**bearer(API_KEY), "X-User-Identity": "fuzzed"},
    "a user": bearer(user_token()),
}


@pytest.mark.parametrize("who", CREDENTIALS)
@pytest.mark.parametrize(("method", "path"), routes())
def test_every_answer_is_documented_and_none_is_a_server_error(schema, method, path, who):
    operation = schema[path][method]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def every(case) -> None:
        case.headers = {
            name: value
            for name, value in (case.headers or {}).items()
            if name.lower() not in ("authorization", "x-api-key", "x-user-identity")
            and not name.lower().startswith(("x-namespace", "x-key-hash"))
        }
        case.call_and_validate(checks=CHECKS, headers=CREDENTIALS[who])

    every()


@pytest.mark.parametrize(("method", "path"), [each for each in routes() if each not in PUBLIC])
def test_nothing_is_given_without_a_credential(schema, method, path):
    operation = schema[path][method]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=2,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def every(case) -> None:
        case.headers = {}
        answer = case.call()
        # What cannot be read may be refused before anybody asks who sent it.
        assert answer.status_code in (400, 401, 413, 422), answer.text

    every()
