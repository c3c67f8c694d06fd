"""What the real OpenAI would refuse is refused, and reported as a fault."""

from __future__ import annotations

import aiohttp
import pytest

from tests.standins import CallTools, OpenAIStandIn, call
from tests.standins.server import API_KEY

USER = {"role": "user", "content": "Hello"}
MADE_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "tool_calls": [MADE_CALL]}
ANSWERING = {"role": "tool", "tool_call_id": "call_1", "content": "done"}


def _chat(**changes):
    return {"model": "gpt-4.1-mini", "messages": [USER], "stream": True, **changes}


def _tool(parameters, **changes):
    function = {"name": "f", "description": "", "strict": True, "parameters": parameters, **changes}
    return {"tools": [{"type": "function", "function": function}]}


def _object(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


WRONG_CHATS = {
    "stream: Input should be True": _chat(stream=False),
    "messages: List should have at least 1 item": _chat(messages=[]),
    "there is no chat model 'gpt-9'": _chat(model="gpt-9"),
    "temprature: Extra inputs are not permitted": _chat(temprature=1.0),
    "temperature: Input should be less than or equal to 2": _chat(temperature=3.0),
    "messages.0: Input tag 'robot'": _chat(messages=[{"role": "robot", "content": "Hi"}]),
    "messages.0.user.content": _chat(messages=[{"role": "user"}]),
    "needs content or tool calls": _chat(messages=[{"role": "assistant"}]),
    "answers no tool call": _chat(messages=[USER, ANSWERING]),
    "comes before the answers of 1 tool calls": _chat(messages=[CALLING, USER]),
    "end before the answers of 1 tool calls": _chat(messages=[USER, CALLING]),
    "tool_choice: is only allowed with tools": _chat(tool_choice="auto"),
    "parallel_tool_calls: is only allowed with tools": _chat(parallel_tool_calls=True),
    "function.strict: Input should be True": _chat(**_tool(_object(), strict=False)),
    "function.name: String should match pattern": _chat(**_tool(_object(), name="a name")),
    "the root must be of type object": _chat(**_tool({"type": "string"})),
    "additionalProperties must be false": _chat(**_tool({"type": "object", "properties": {}})),
    "required must list exactly the properties ['a']": _chat(
        **_tool({**_object(a={"type": "string"}), "required": []})
    ),
    "parameters.a: 'default' is not permitted": _chat(
        **_tool(_object(a={"type": "string", "default": "x"}))
    ),
    "parameters.a.items: has none of type": _chat(
        **_tool(_object(a={"type": "array", "items": {}}))
    ),
    "parameters.a: $ref points nowhere": _chat(**_tool(_object(a={"$ref": "#/$defs/B"}))),
    "parameters.a.anyOf[0]: additionalProperties must be false": _chat(
        **_tool(_object(a={"anyOf": [{"type": "object"}, {"type": "null"}]}))
    ),
}

SPEECH = {"model": "gpt-4o-mini-tts", "input": "Hello", "voice": "alloy"}
WRONG_SPEECHES = {
    "input: String should have at least 1 character": {**SPEECH, "input": ""},
    "input: String should have at most 4096 characters": {**SPEECH, "input": "a" * 4097},
    "there is no voice 'nobody'": {**SPEECH, "voice": "nobody"},
    "there is no speech model 'tts-9'": {**SPEECH, "model": "tts-9"},
    "'tts-1' does not support sse": {**SPEECH, "model": "tts-1", "stream_format": "sse"},
    "response_format: Input should be": {**SPEECH, "response_format": "mp4"},
    "speed: Input should be less than or equal to 4": {**SPEECH, "speed": 5.0},
    "voice: Field required": {"model": "gpt-4o-mini-tts", "input": "Hello"},
}

WRONG_EMBEDDINGS = {
    "there is no embedding model": {"model": "embed-9", "input": "Hello"},
    "input: must not be empty": {"model": "text-embedding-3-small", "input": []},
}

WRONG_BODIES = [
    *(("/chat/completions", fault, body) for fault, body in WRONG_CHATS.items()),
    *(("/audio/speech", fault, body) for fault, body in WRONG_SPEECHES.items()),
    *(("/embeddings", fault, body) for fault, body in WRONG_EMBEDDINGS.items()),
]


@pytest.fixture
def openai():
    with OpenAIStandIn() as openai:
        yield openai


@pytest.fixture
async def client():
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        yield client


@pytest.mark.parametrize(("path", "fault", "body"), WRONG_BODIES, ids=lambda value: str(value)[:60])
async def test_a_wrong_body_is_refused_and_reported(path, fault, body, openai, client):
    async with client.post(openai.base_url + path, json=body) as answer:
        assert answer.status in (400, 404)
        assert fault in (await answer.json())["error"]["message"]
    assert f"POST /v1{path}: " in openai.faults[0]
    assert fault in openai.faults[0]
    assert openai.exchanges == []


async def test_right_bodies_are_no_faults(openai, client):
    messages = [USER, CALLING, ANSWERING, USER]
    tool = _tool(_object(a={"type": ["string", "null"]}, b={"$ref": "#"}))
    for path, body in (
        ("/chat/completions", _chat(messages=messages, tool_choice="auto", **tool)),
        ("/audio/speech", SPEECH),
        ("/embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    ):
        async with client.post(openai.base_url + path, json=body) as answer:
            assert answer.status == 200
            await answer.read()
    openai.assert_no_faults()
    assert [exchange.outcome for exchange in openai.exchanges] == ["completed"] * 3


@pytest.mark.parametrize(("key", "state"), [(None, "missing"), ("Bearer another", "wrong")])
async def test_a_wrong_key_is_refused_and_reported(key, state, openai):
    headers = {"Authorization": key} if key else {}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(f"{openai.base_url}/models") as answer,
    ):
        assert answer.status == 401
    assert openai.faults == [
        f"GET /v1/models: the Authorization header is {state}; it must be 'Bearer <key>'"
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/realtime", 404), ("POST", "/v1/models", 405), ("POST", "/v1/responses", 404)],
)
async def test_an_unknown_route_is_refused_and_reported(method, path, status, openai, client):
    async with client.request(method, openai.origin + path) as answer:
        assert answer.status == status
    with pytest.raises(AssertionError, match=f"{method} {path}"):
        openai.assert_no_faults()


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"model": "gpt-4o-mini-transcribe"}, "file: is missing"),
        ({"model": "hearing-9", "file": "x.wav"}, "file: is missing or is no file"),
        ({"model": "gpt-4o-mini-transcribe", "file": b"no audio"}, "file: is no WAV"),
        ({"file": b"no audio"}, "model: Field required"),
        ({"model": "hearing-9", "file": b""}, "there is no transcription model 'hearing-9'"),
        ({"model": "whisper-1", "language": "English", "file": b""}, "language: String should"),
        (
            {"model": "gpt-4o-transcribe", "response_format": "verbose_json", "file": b""},
            "does not support verbose_json",
        ),
    ],
)
async def test_a_wrong_form_is_refused_and_reported(fields, fault, openai, client):
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value, filename="file.wav" if isinstance(value, bytes) else None)
    async with client.post(f"{openai.base_url}/audio/transcriptions", data=form) as answer:
        assert answer.status == 400
    assert fault in openai.faults[0]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (call("absent"), "the brain calls ['absent'], on offer are ['f']"),
        (call("f", b=1), "the brain calls f with ['b'], not with ['a']"),
        (CallTools(()), "the brain calls no tools at all"),
    ],
)
async def test_a_script_that_does_not_fit_is_reported(answer, fault, openai, client):
    openai.brain = lambda _: answer
    body = _chat(**_tool(_object(a={"type": "string"})))
    async with client.post(f"{openai.base_url}/chat/completions", json=body) as refusal:
        assert refusal.status == 500
    assert fault in openai.faults[0]
    assert openai.chats[0].outcome == "failed"
