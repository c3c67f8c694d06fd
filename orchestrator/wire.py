"""Kinds of values on the wire."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
_NO_NUL = r"^[^\x00]*$"

LONGEST_LINE = 1000
LONGEST_VOICE = 200
LONGEST_NAME = 256

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=_NO_CONTROLS)
]
Voice = Annotated[str, StringConstraints(max_length=LONGEST_VOICE, pattern=_NO_CONTROLS)]
Line = Annotated[str, StringConstraints(max_length=LONGEST_LINE, pattern=_NO_NUL)]
Label = Annotated[str, StringConstraints(max_length=100, pattern=_NO_CONTROLS)]
SessionId = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_-]+$")
]
NamespaceId = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.@-]+$")
]
KeyHash = Annotated[str, StringConstraints(max_length=512, pattern=r"^[\x21-\x7e]*$")]


class CamelCased(BaseModel):
    """JSON whose names are camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


def moment(milliseconds: int) -> datetime:
    """Return a time in milliseconds since the epoch as a datetime in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
