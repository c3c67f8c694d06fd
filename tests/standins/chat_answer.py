"""What a brain may answer, and the deltas by which an answer travels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.standins.chat_request import ChatRequest

_PIECE = re.compile(r"\s*\S+\s*|\s+")
_ARGUMENT_PIECE_LENGTH = 16


@dataclass(frozen=True)
class Say:
    """Answer with text.

    Attributes:
        text: what is said, streamed word by word.
        first_token_s: seconds before the first word; None takes the stand-in's timing.
        token_s: seconds before each further word; None takes the stand-in's timing.
    """

    text: str
    first_token_s: float | None = None
    token_s: float | None = None


@dataclass(frozen=True)
class Call:
    """A call of one tool."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CallTools:
    """Answer by calling tools, all of them in one answer.

    Attributes:
        calls: the calls, in order.
        text: what is said before the calls.
    """

    calls: tuple[Call, ...]
    text: str = ""


@dataclass(frozen=True)
class Refuse:
    """Refuse to answer, in the place that a provider has for that beside the content."""

    text: str


Answer = Say | CallTools | Refuse
Brain = Callable[[ChatRequest], Answer | str]
"""Answers a request; text alone is said. It runs in the stand-in's thread: no waiting."""


def call(tool: str, /, **arguments: Any) -> CallTools:
    """Return the answer that calls one tool with these arguments."""
    return CallTools((Call(tool, arguments),))


def as_answer(reply: Answer | str) -> Answer:
    """Return the answer that a brain's reply stands for."""
    return Say(reply) if isinstance(reply, str) else reply


def deltas(answer: Answer, call_id: Callable[[], str]) -> Iterator[dict[str, Any]]:
    """Cut an answer into the deltas of a stream.

    Args:
        answer: what to send.
        call_id: makes the id of each tool call.

    Yields:
        The ``delta`` objects, the role's first.
    """
    if isinstance(answer, Refuse):
        yield {"role": "assistant", "content": None, "refusal": ""}
        yield from ({"refusal": piece} for piece in _PIECE.findall(answer.text))
        return
    text = answer.text
    yield {"role": "assistant", "content": "" if text else None}
    for piece in _PIECE.findall(text):
        yield {"content": piece}
    if isinstance(answer, CallTools):
        for index, made in enumerate(answer.calls):
            yield from _call_deltas(index, made, call_id())


def _call_deltas(index: int, made: Call, call_id: str) -> Iterator[dict[str, Any]]:
    function = {"name": made.name, "arguments": ""}
    opening = {"index": index, "id": call_id, "type": "function", "function": function}
    yield {"tool_calls": [opening]}
    arguments = json.dumps(made.arguments)
    for start in range(0, len(arguments), _ARGUMENT_PIECE_LENGTH):
        piece = arguments[start : start + _ARGUMENT_PIECE_LENGTH]
        yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
