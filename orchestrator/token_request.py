"""What LiveKit's standard token endpoint is asked, in either casing.

https://docs.livekit.io/frontends/authentication/tokens/endpoint/ has the fields; unknown ones
are left alone. Of the room's configuration only the agents are taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from google.protobuf.json_format import ParseDict, ParseError
from livekit import api
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic.alias_generators import to_camel

from orchestrator.errors import BadRequestError
from orchestrator.wire import Line, Name, Voice

_MOST_ATTRIBUTES = 64
_RESERVED_ATTRIBUTES = "lk."

_Text = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]


def _either(name: str) -> AliasChoices:
    return AliasChoices(name, to_camel(name))


class TokenRequest(BaseModel):
    """Who wants to join which room; all of it may be left out."""

    model_config = ConfigDict(extra="ignore")

    room_name: Name | None = Field(None, validation_alias=_either("room_name"))
    participant_name: Name | None = Field(None, validation_alias=_either("participant_name"))
    participant_identity: Name | None = Field(
        None, validation_alias=_either("participant_identity")
    )
    participant_metadata: _Text | None = Field(
        None, validation_alias=_either("participant_metadata")
    )
    participant_attributes: dict[str, _Text] | None = Field(
        None, validation_alias=_either("participant_attributes"), max_length=_MOST_ATTRIBUTES
    )
    room_config: dict[str, Any] | None = Field(None, validation_alias=_either("room_config"))

    @field_validator("room_name", "participant_name", "participant_identity", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("participant_attributes")
    @classmethod
    def _no_reserved_attributes(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if any(name.startswith(_RESERVED_ATTRIBUTES) for name in value or {}):
            raise ValueError(f"attributes must not begin with {_RESERVED_ATTRIBUTES}")
        return value


class _Wishes(BaseModel):
    """What a front end may tell the agent."""

    opening_line: Line | None = Field(None, validation_alias=_either("opening_line"))
    voice_id: Voice | None = Field(None, validation_alias=_either("voice_id"))


@dataclass(frozen=True)
class AgentWish:
    """The agent that is asked for.

    Attributes:
        name: its name; empty where none is given.
        opening_line: what it says first.
        voice_id: its voice.
    """

    name: str = ""
    opening_line: str = ""
    voice_id: str = ""


@dataclass(frozen=True)
class JoinWish:
    """What was asked, checked; None where it was not said."""

    room: str | None = None
    name: str | None = None
    identity: str | None = None
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    agent: AgentWish = AgentWish()


def read_token_request(body: bytes) -> JoinWish:
    """Read a request; an empty body is one that asks for nothing in particular.

    Raises:
        BadRequestError: it cannot be read, or asks for what is not given.
    """
    given = _validated(TokenRequest, _json(body), "")
    return JoinWish(
        room=given.room_name,
        name=given.participant_name,
        identity=given.participant_identity,
        metadata=given.participant_metadata or "",
        attributes=given.participant_attributes or {},
        agent=_agent(given.room_config or {}),
    )


def _json(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None


def _agent(room_config: dict[str, Any]) -> AgentWish:
    config = api.RoomConfiguration()
    try:
        ParseDict(room_config, config, ignore_unknown_fields=True)
    except (ParseError, RecursionError, ValueError):
        raise BadRequestError("room_config: it cannot be read") from None
    refused = [each.name for each, _ in config.ListFields() if each.name != "agents"]
    if refused:
        raise BadRequestError(f"room_config.{refused[0]}: only agents can be asked for")
    if not config.agents:
        return AgentWish()
    first = config.agents[0]
    wishes = _validated(_Wishes, _object(first.metadata), "room_config.agents.metadata")
    return AgentWish(first.agent_name, wishes.opening_line or "", wishes.voice_id or "")


def _object(metadata: str) -> dict[str, Any]:
    """Return an agent's metadata where it is a JSON object; other applications have others."""
    try:
        given = json.loads(metadata)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _validated(kind: type[Any], given: Any, what: str) -> Any:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join([*([what] if what else []), *map(str, first["loc"])]) or "the body"
        raise BadRequestError(f"{where}: {first['msg']}") from None
