"""The body of ``POST /v1/chat/completions``, and the provider's rules about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from openai.types import ChatModel
from pydantic import Field

from tests.standins.chat_messages import (
    AssistantMessage,
    CalledFunction,
    Message,
    NamedTool,
    OfferedTool,
    StreamOptions,
    SystemMessage,
    ToolMessage,
    UserMessage,
    text_of,
)
from tests.standins.errors import ContractFault
from tests.standins.strict_schema import strict_schema_problems
from tests.standins.wire_model import WireModel, parse_json

CHAT_MODELS = frozenset(get_args(ChatModel))


@dataclass(frozen=True)
class ToolResult:
    """What a tool answered: its name, the arguments it was called with, and its output."""

    name: str
    arguments: dict[str, Any]
    output: str


class JsonSchema(WireModel):
    """The form that an answer is held to."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool


class JsonSchemaFormat(WireModel):
    """Asks for an answer in JSON of a form."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class ChatRequest(WireModel):
    """One request for an answer, as the brain sees it."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: Literal[True]
    stream_options: StreamOptions = StreamOptions()
    tools: list[OfferedTool] = Field(default_factory=list)
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    reasoning_effort: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    response_format: JsonSchemaFormat | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None

    @property
    def system_text(self) -> str:
        """All system and developer messages, joined by line breaks."""
        return "\n".join(
            text_of(message.content)
            for message in self.messages
            if isinstance(message, SystemMessage)
        )

    @property
    def last_user_text(self) -> str:
        """The user's latest message; empty when there is none."""
        spoken = [message for message in self.messages if isinstance(message, UserMessage)]
        return text_of(spoken[-1].content) if spoken else ""

    @property
    def tool_names(self) -> list[str]:
        """The tools on offer."""
        return [tool.function.name for tool in self.tools]

    @property
    def tool_results(self) -> list[ToolResult]:
        """What tools answered since the user's latest message, in order."""
        calls: dict[str, CalledFunction] = {}
        results: list[ToolResult] = []
        for message in self.messages:
            if isinstance(message, UserMessage):
                results = []
            elif isinstance(message, AssistantMessage):
                calls.update({made.id: made.function for made in message.tool_calls or []})
            elif isinstance(message, ToolMessage):
                made = calls[message.tool_call_id]
                arguments = json.loads(made.arguments or "{}")
                results.append(ToolResult(made.name, arguments, text_of(message.content)))
        return results


def parse_chat_request(body: bytes) -> ChatRequest:
    """Read the body and apply the provider's rules.

    Args:
        body: the bytes received.

    Returns:
        The request.

    Raises:
        ContractFault: the provider would refuse it; status 404 for an unknown model.
    """
    request = parse_json(ChatRequest, body)
    if request.model not in CHAT_MODELS:
        raise ContractFault(f"model: there is no chat model '{request.model}'", status=404)
    problems = [
        *_message_problems(request.messages),
        *_tool_problems(request),
        *_format_problems(request),
    ]
    if problems:
        raise ContractFault(problems)
    return request


def _message_problems(messages: Sequence[Message]) -> Iterator[str]:
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                yield f"{where}: answers no tool call of the message before it"
            open_calls.discard(message.tool_call_id)
            continue
        if open_calls:
            yield f"{where}: comes before the answers of {len(open_calls)} tool calls"
            open_calls = set()
        if isinstance(message, AssistantMessage):
            yield from _assistant_problems(message, where)
            open_calls = {made.id for made in message.tool_calls or []}
    if open_calls:
        yield f"messages: end before the answers of {len(open_calls)} tool calls"


def _assistant_problems(message: AssistantMessage, where: str) -> Iterator[str]:
    if message.content is None and not message.tool_calls and message.refusal is None:
        yield f"{where}: an assistant's message needs content or tool calls"
    for made in message.tool_calls or []:
        if not _is_json_object(made.function.arguments or "{}"):
            yield f"{where}: the arguments of '{made.function.name}' are no JSON object"


def _tool_problems(request: ChatRequest) -> Iterator[str]:
    names = request.tool_names
    if len(names) != len(set(names)):
        yield "tools: two tools have the same name"
    if not names and request.tool_choice is not None:
        yield "tool_choice: is only allowed with tools"
    if not names and request.parallel_tool_calls is not None:
        yield "parallel_tool_calls: is only allowed with tools"
    if (
        isinstance(request.tool_choice, NamedTool)
        and request.tool_choice.function.name not in names
    ):
        yield "tool_choice: names a tool that is not offered"
    for tool in request.tools:
        for problem in strict_schema_problems(tool.function.parameters):
            yield f"tools.{tool.function.name}.{problem}"


def _format_problems(request: ChatRequest) -> Iterator[str]:
    if request.response_format is not None and request.response_format.json_schema.strict:
        for problem in strict_schema_problems(request.response_format.json_schema.schema_):
            yield f"response_format.{problem}"


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
