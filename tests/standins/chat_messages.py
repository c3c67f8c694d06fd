"""The messages and tools of a chat request, as the wire has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from tests.standins.wire_model import WireModel


class TextPart(WireModel):
    type: Literal["text"]
    text: str


class ImageUrl(WireModel):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(WireModel):
    type: Literal["image_url"]
    image_url: ImageUrl


Content = str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]


class CalledFunction(WireModel):
    name: str
    arguments: str


class MadeCall(WireModel):
    id: str = Field(min_length=1)
    type: Literal["function"]
    function: CalledFunction


class SystemMessage(WireModel):
    role: Literal["system", "developer"]
    content: str | list[TextPart]
    name: str | None = None


class UserMessage(WireModel):
    role: Literal["user"]
    content: Content
    name: str | None = None


class AssistantMessage(WireModel):
    role: Literal["assistant"]
    content: str | list[TextPart] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: Annotated[list[MadeCall], Field(min_length=1)] | None = None


class ToolMessage(WireModel):
    role: Literal["tool"]
    tool_call_id: str
    content: str | list[TextPart]


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class OfferedFunction(WireModel):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str = ""
    parameters: dict[str, Any]
    strict: Literal[True]


class OfferedTool(WireModel):
    type: Literal["function"]
    function: OfferedFunction


class NamedFunction(WireModel):
    name: str


class NamedTool(WireModel):
    type: Literal["function"]
    function: NamedFunction


class StreamOptions(WireModel):
    include_usage: bool = False


def text_of(content: Content | Sequence[TextPart]) -> str:
    """Return a message's text; images are left out."""
    if isinstance(content, str):
        return content
    return " ".join(part.text for part in content if isinstance(part, TextPart))
