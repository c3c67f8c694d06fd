"""The gateway passes on what PostgREST should see, and lets in only who has a key."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from devstack.keys import SupabaseKeys, mint_token
from devstack.servers.rest_gateway import RestGateway
from tests import leaks
from tests.integration.devstack_rest import as_key, request


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked, compressed when the path says so, and hangs up."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(length).decode(),
        }
        body = json.dumps(seen).encode()
        self.send_response(206 if "partial" in self.path else 200)
        if "gzip" in self.path:
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Range", "0-9/100")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def keys() -> SupabaseKeys:
    return SupabaseKeys.generate()


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def gateway(echo: str, keys: SupabaseKeys) -> Iterator[RestGateway]:
    server = RestGateway(echo, keys)
    with leaks.shared():
        server.start()
    yield server
    server.stop()


def test_the_gateway_passes_everything_on_but_its_prefix(gateway, keys):
    token = mint_token(keys.jwt_secret, "authenticated")
    headers = {"apikey": keys.anon_key, "Authorization": f"Bearer {token}", "Prefer": "count=exact"}
    path = "/rest/v1/notes?body=eq.a%20b%2Fc&select=*&or=(a.eq.1,b.eq.2)"
    answer = request(gateway.url, path, headers, "PATCH", {"body": "ü"})
    assert isinstance(answer.content, dict)
    seen = answer.content
    assert seen["method"] == "PATCH"
    assert seen["path"] == "/notes?body=eq.a%20b%2Fc&select=*&or=(a.eq.1,b.eq.2)"
    assert json.loads(seen["body"]) == {"body": "ü"}
    assert seen["headers"]["authorization"] == f"Bearer {token}"
    assert seen["headers"]["prefer"] == "count=exact"
    assert answer.headers["content-range"] == "0-9/100"


def test_the_gateway_adds_no_headers_but_those_of_the_connection(gateway, keys):
    answer = request(gateway.url, "/rest/v1/notes", as_key(keys.anon_key))
    assert isinstance(answer.content, dict)
    assert set(answer.content["headers"]) == {"accept-encoding", "apikey", "authorization", "host"}


@pytest.mark.parametrize(("path", "passed"), [("/rest/v1", "/"), ("/rest/v1/", "/")])
def test_the_root_of_the_api_is_postgrests_root(path, passed, gateway, keys):
    answer = request(gateway.url, path, as_key(keys.anon_key))
    assert isinstance(answer.content, dict)
    assert answer.content["path"] == passed


def test_the_gateway_passes_status_and_compressed_bodies_as_they_are(gateway, keys):
    connection = HTTPConnection(gateway.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/rest/v1/partial-gzip", headers=as_key(keys.anon_key))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert (answer.status, answer.getheader("Content-Encoding")) == (206, "gzip")
    assert json.loads(gzip.decompress(body))["path"] == "/partial-gzip"


def test_one_connection_serves_many_requests(gateway, keys):
    connection = HTTPConnection(gateway.url.removeprefix("http://"), timeout=10)
    connection.connect()
    first: socket.socket = connection.sock
    for _ in range(3):
        connection.request("GET", "/rest/v1/notes", headers=as_key(keys.anon_key))
        connection.getresponse().read()
        assert connection.sock is first
    connection.close()


@pytest.mark.parametrize(
    ("headers_of", "message"),
    [
        (lambda keys: {}, "No API key found in request"),
        (lambda keys: {"Authorization": f"Bearer {keys.anon_key}"}, "No API key found in request"),
        (lambda keys: as_key("sb_secret_guess"), "Invalid API key"),
        (lambda keys: {"apikey": mint_token(keys.jwt_secret, "anon")}, "Invalid API key"),
        (
            lambda keys: {"apikey": keys.anon_key, "Authorization": "Bearer sb_secret_guess"},
            "Invalid API key",
        ),
    ],
    ids=["nothing", "only a bearer", "unknown key", "a token as key", "unknown bearer"],
)
def test_a_request_without_a_known_key_is_401(headers_of, message, gateway, keys):
    answer = request(gateway.url, "/rest/v1/notes", headers_of(keys))
    assert answer.status == 401
    assert isinstance(answer.content, dict)
    assert answer.content["message"] == message


def test_the_key_may_come_in_the_query_and_is_kept_from_postgrest(gateway, keys):
    answer = request(gateway.url, f"/rest/v1/notes?apikey={keys.secret_key}&id=eq.1", {})
    assert isinstance(answer.content, dict)
    assert answer.content["path"] == "/notes?id=eq.1"
    assert answer.content["headers"]["authorization"] == f"Bearer {keys.service_role_key}"


@pytest.mark.parametrize("path", ["/", "/rest/v10/notes", "/auth/v1/user", "/notes"])
def test_elsewhere_the_gateway_is_404_in_json(path, gateway, keys):
    answer = request(gateway.url, path, as_key(keys.anon_key))
    assert (answer.status, isinstance(answer.content, dict)) == (404, True)
