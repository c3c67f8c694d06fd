"""What the real Deepgram would refuse is refused and reported; what it allows is not."""

from __future__ import annotations

import aiohttp
import pytest

from tests.standins import DeepgramStandIn, deepgram_session
from tests.standins.server import API_KEY
from tests.standins.tones import tone

QUERY = {
    "model": "nova-3",
    "language": "en-US",
    "encoding": "linear16",
    "sample_rate": "16000",
    "channels": "1",
}
SILENCE = bytes(1600)


@pytest.fixture
def deepgram():
    with DeepgramStandIn() as deepgram:
        yield deepgram


@pytest.fixture
async def client():
    headers = {"Authorization": f"Token {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        yield client


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"encoding": "opus"}, "query.encoding: String should match pattern"),
        ({"model": "whisper-9"}, "query.model: String should match pattern"),
        ({"language": "english"}, "query.language: String should match pattern"),
        ({"sample_rate": "fast"}, "query.sample_rate: Input should be a valid integer"),
        ({"channels": "2"}, "query.channels: Input should be less than or equal to 1"),
        ({"puncutate": "true"}, "query.puncutate: Extra inputs are not permitted"),
        ({"punctuate": "True"}, "query.punctuate: Value error, must be 'true' or 'false'"),
        ({"utterance_end_ms": "1000"}, "utterance_end_ms needs interim_results=true"),
        ({"keywords": "Anna:2"}, "keywords are not supported by nova-3"),
        ({"model": "nova-2", "keyterm": "Anna"}, "keyterm needs a nova-3 model"),
    ],
)
async def test_a_wrong_query_is_refused_and_reported(changes, fault, deepgram, client):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(deepgram.base_url, params={**QUERY, **changes})
    assert refused.value.status == 400
    assert fault in deepgram.faults[0]
    assert deepgram.connections == []


@pytest.mark.parametrize("name", QUERY)
async def test_a_missing_parameter_is_refused_and_reported(name, deepgram, client):
    query = {key: value for key, value in QUERY.items() if key != name}
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.ws_connect(deepgram.base_url, params=query)
    assert deepgram.faults == [f"GET /v1/listen: query.{name}: Field required"]


async def test_a_repeated_parameter_is_refused_and_reported(deepgram, client):
    query = [*QUERY.items(), ("model", "nova-2")]
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.ws_connect(deepgram.base_url, params=query)
    assert deepgram.faults == ["GET /v1/listen: query.model: is given 2 times"]


async def test_the_key_must_be_a_token(deepgram):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(deepgram.base_url, params=QUERY)
    assert refused.value.status == 401
    assert "it must be 'Token <key>'" in deepgram.faults[0]


@pytest.mark.parametrize("path", ["/v1/speak", "/v2/listen", "/v1/listen/"])
async def test_an_unknown_route_is_refused_and_reported(path, deepgram, client):
    async with client.get(deepgram.origin + path) as answer:
        assert answer.status == 404
    assert path in deepgram.faults[0]


async def test_a_request_that_is_no_websocket_is_refused_and_reported(deepgram, client):
    async with client.get(deepgram.base_url, params=QUERY) as answer:
        assert answer.status == 426
    assert len(deepgram.faults) == 1


@pytest.mark.parametrize(
    "frames",
    [[bytes(3200)], [b""], [bytes(1599)], [bytes(800), SILENCE]],
    ids=["too long", "empty", "half a sample", "short in mid-stream"],
)
async def test_wrong_framing_is_reported(frames, deepgram, client):
    async with client.ws_connect(deepgram.base_url, params=QUERY) as socket:
        for frame in frames:
            await socket.send_bytes(frame)
        await deepgram.until(lambda: deepgram.faults)
    assert f"a frame of {len(frames[-1])} bytes where 1600 are expected" in deepgram.faults[0]


async def test_a_short_frame_before_finalize_is_no_fault(deepgram, client):
    async with client.ws_connect(deepgram.base_url, params=QUERY) as socket:
        for frame in (SILENCE, bytes(800)):
            await socket.send_bytes(frame)
        await socket.send_json({"type": "Finalize"})
        await socket.send_bytes(SILENCE)
        await socket.send_json({"type": "CloseStream"})
        metadata = await socket.receive_json()
    assert (metadata["type"], metadata["duration"]) == ("Metadata", 0.125)
    deepgram.assert_no_faults()


@pytest.mark.parametrize("ending", ["Finalize", "CloseStream"])
async def test_speech_in_progress_is_answered_before_the_end(ending, deepgram, client):
    deepgram.expect("Hello, Anna!")
    speech = tone(440.0, 0.5, sample_rate=16000)
    async with client.ws_connect(deepgram.base_url, params=QUERY) as socket:
        for start in range(0, len(speech), len(SILENCE)):
            await socket.send_bytes(speech[start : start + len(SILENCE)])
        await socket.send_json({"type": ending})
        results = await socket.receive_json(timeout=5)
    assert (results["is_final"], results["from_finalize"]) == (True, True)
    # The query asks for no punctuation.
    assert results["channel"]["alternatives"][0]["transcript"] == "hello anna"
    deepgram.assert_no_faults()


@pytest.mark.parametrize("text", ["hello", '{"type": "Hello"}', "[]"])
async def test_an_unknown_text_message_is_reported(text, deepgram, client):
    async with client.ws_connect(deepgram.base_url, params=QUERY) as socket:
        await socket.send_str(text)
        await deepgram.until(lambda: deepgram.faults)
    assert "a text message of unknown type" in deepgram.faults[0]


async def test_a_close_frame_and_a_lost_connection_are_told_apart(deepgram, client):
    socket = await client.ws_connect(deepgram.base_url, params=QUERY)
    await socket.close()
    await deepgram.until(lambda: deepgram.connections[0].closed_by)
    socket = await client.ws_connect(deepgram.base_url, params=QUERY)
    socket._response.connection.transport.abort()
    await deepgram.until(lambda: deepgram.connections[1].closed_by)
    assert [c.closed_by for c in deepgram.connections] == ["close frame", "abrupt"]


async def test_an_idle_connection_is_closed_by_the_provider(deepgram, client, monkeypatch):
    monkeypatch.setattr(deepgram_session, "_IDLE_S", 0.1)
    async with client.ws_connect(deepgram.base_url, params=QUERY) as socket:
        closed = await socket.receive(timeout=5)
    assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1011)
    assert deepgram.connections[0].closed_by == "idle"
