"""A request's time limit holds for all of it, however slowly its answer trickles in."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from storage.deadline_transport import DeadlineTransport

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Behaviour = Callable[[socket.socket, threading.Event], None]


def answer(connection: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set() and connection.recv(65536):
        connection.sendall(ANSWER)


def trickle(connection: socket.socket, stop: threading.Event) -> None:
    connection.recv(65536)
    for byte in ANSWER[:-1] * 1000:
        if stop.wait(0.05):
            return
        connection.sendall(bytes([byte]))


def trickle_the_body(connection: socket.socket, stop: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
    while not stop.wait(0.05):
        connection.sendall(b"x")


def hang(connection: socket.socket, stop: threading.Event) -> None:
    connection.recv(65536)
    stop.wait()


def hang_up(connection: socket.socket, stop: threading.Event) -> None:
    connection.recv(65536)


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], str]]:
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serving(behaviour: Behaviour) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            try:
                behaviour(connection, stop)
            except OSError:
                return

    def start(behaviour: Behaviour) -> str:
        thread = threading.Thread(target=serving, args=(behaviour,))
        threads.append(thread)
        thread.start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)
    listener.close()


@pytest.fixture
def transport() -> DeadlineTransport:
    return DeadlineTransport(total_s=0.3)


@pytest.fixture
def client(transport: DeadlineTransport) -> Iterator[httpx.Client]:
    with httpx.Client(transport=transport) as made:
        yield made


@pytest.fixture
def patient_client() -> Iterator[httpx.Client]:
    """One whose deadline no answer here can miss."""
    with httpx.Client(transport=DeadlineTransport(total_s=60)) as made:
        yield made


def test_an_answer_in_time_is_returned_and_the_connection_used_again(
    serve, patient_client: httpx.Client
):
    url = serve(answer)
    assert [patient_client.get(url).text for _ in range(3)] == ["ok"] * 3


@pytest.mark.parametrize("behaviour", [trickle, trickle_the_body, hang])
def test_an_answer_that_is_too_slow_as_a_whole_ends_at_the_deadline(serve, client, behaviour):
    url = serve(behaviour)
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        client.get(url)
    assert time.monotonic() - began < 3


def test_a_cut_connection_is_a_transport_error(serve, patient_client: httpx.Client):
    url = serve(hang_up)
    with pytest.raises(httpx.RemoteProtocolError):
        patient_client.get(url)


def test_nobody_listening_is_a_connect_error(client: httpx.Client):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        client.get(f"http://127.0.0.1:{port}")


def test_a_request_after_a_late_one_has_its_own_deadline(
    serve, transport: DeadlineTransport, client: httpx.Client
):
    url = serve(hang)
    with pytest.raises(httpx.ReadTimeout):
        client.get(url)
    transport._total_s = 60
    assert client.get(serve(answer)).text == "ok"
