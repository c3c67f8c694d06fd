"""``POST /v1/chat/completions``: streams the brain's answer."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from typing import Any

from aiohttp import web

from tests.standins.answer_stream import AnswerStream
from tests.standins.chat_answer import Answer, Brain, CallTools, Say, as_answer, deltas
from tests.standins.chat_request import ChatRequest, parse_chat_request
from tests.standins.errors import ScriptError
from tests.standins.exchange import Exchange, ExchangeLog
from tests.standins.timing import Timing

CHARACTERS_PER_TOKEN = 4


class ChatRoute:
    """Answers chat requests.

    Args:
        log: where the exchanges are kept.
        brain: what to answer.
        timing: how fast.
    """

    def __init__(self, log: ExchangeLog, brain: Brain, timing: Timing) -> None:
        self._log = log
        self.brain = brain
        self._timing = timing

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Handle one request."""
        chat = parse_chat_request(await request.read())
        with self._log.recording(Exchange("chat", chat)) as exchange:
            disturbance = self._log.take_disturbance("chat")
            await disturbance.before_answer()
            answer = as_answer(self.brain(chat))
            _check_script(answer, chat)
            stream = AnswerStream(request, exchange, disturbance, "text/event-stream")
            return await self._stream(stream, chat, answer)

    async def _stream(
        self, stream: AnswerStream, chat: ChatRequest, answer: Answer
    ) -> web.StreamResponse:
        frame = _Frame(chat)
        waits = self._waits(answer)
        for index, delta in enumerate(deltas(answer, _call_id)):
            await asyncio.sleep(waits[min(index, 1)])
            await stream.send_event(frame.choice(delta, None))
        finish = "tool_calls" if isinstance(answer, CallTools) else "stop"
        await stream.send_event(frame.choice({}, finish))
        if chat.stream_options.include_usage:
            await stream.send_event(frame.usage(answer))
        return await stream.finish(b"data: [DONE]\n\n")

    def _waits(self, answer: Answer) -> tuple[float, float]:
        first, further = self._timing.first_token_s, self._timing.token_s
        if isinstance(answer, Say):
            first = first if answer.first_token_s is None else answer.first_token_s
            further = further if answer.token_s is None else answer.token_s
        return first, further


class _Frame:
    """What all chunks of one answer have in common."""

    def __init__(self, chat: ChatRequest) -> None:
        self._chat = chat
        self._common: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": chat.model,
        }
        self._nulls = {"usage": None} if chat.stream_options.include_usage else {}

    def choice(self, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._common, "choices": [choice], **self._nulls}

    def usage(self, answer: Answer) -> dict[str, Any]:
        prompt = _tokens(self._chat.model_dump_json(include={"messages", "tools"}))
        completion = _tokens(str(answer))
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        return {**self._common, "choices": [], "usage": usage}


def _check_script(answer: Answer, chat: ChatRequest) -> None:
    if not isinstance(answer, CallTools):
        return
    if not answer.calls:
        raise ScriptError("the brain calls no tools at all; answer with Say")
    missing = {made.name for made in answer.calls} - set(chat.tool_names)
    if missing or chat.tool_choice == "none":
        raise ScriptError(f"the brain calls {sorted(missing)}, on offer are {chat.tool_names}")
    # A model held to a strict schema gives every argument, null where it has nothing to say.
    parameters = {tool.function.name: tool.function.parameters for tool in chat.tools}
    for made in answer.calls:
        expected = sorted(parameters[made.name].get("properties", {}))
        if sorted(made.arguments) != expected:
            given = sorted(made.arguments)
            raise ScriptError(f"the brain calls {made.name} with {given}, not with {expected}")


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)
