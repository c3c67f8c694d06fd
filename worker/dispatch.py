"""What a dispatch says about the conversation: JSON metadata, checked field by field.

Bad metadata never costs the caller the conversation: what cannot be used is logged by its
field's name and replaced by its default.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from config import Language, TimeZone

logger = logging.getLogger("worker.dispatch")

MOST_CHARACTERS = 16_384


def _bounded(longest: int) -> TypeAdapter[str]:
    kind = StringConstraints(min_length=1, max_length=longest, pattern=r"^[^\x00]*$")
    return TypeAdapter(Annotated[str, kind])


Style = Literal["session", "namespace", "endpoint"]
_Attempt = Annotated[int, Field(ge=1, le=1_000)]

_FIELDS: dict[str, tuple[tuple[str, ...], TypeAdapter[Any]]] = {
    "session_id": (("sessionId", "session_id"), _bounded(200)),
    "identity": (
        ("identity", "participantIdentity", "participant_identity"),
        _bounded(1000),
    ),
    "voice_id": (("voiceId", "voice_id"), _bounded(200)),
    "opening_line": (("openingLine", "opening_line"), _bounded(1000)),
    "language": (("language",), TypeAdapter(Language)),
    "time_zone": (("timeZone", "time_zone"), TypeAdapter(TimeZone)),
    "remember": (("remember",), TypeAdapter(bool)),
    "user_name": (("userName", "user_name"), _bounded(1000)),
    "creator": (("creator",), _bounded(200)),
    "style": (("style",), TypeAdapter(Style)),
    "attempt": (("attempt",), TypeAdapter(_Attempt)),
}


@dataclass(frozen=True)
class DispatchMetadata:
    """The metadata of a dispatch; None where it says nothing, or nothing usable.

    Attributes:
        session_id: names the session for whoever dispatched it.
        identity: the one participant to wait for.
        voice_id: the TTS voice of this session.
        opening_line: what to say first.
        language: a BCP 47 tag.
        time_zone: an IANA name.
        remember: false where nothing of this session is to be written and nothing recalled;
            so, too, where what it says of that is neither true nor false.
        user_name: the display name that the client gave.
        creator: who made the session, as an opaque text.
        style: the interface by which it was made.
        attempt: the number of this dispatch, from 1 on.
    """

    session_id: str | None = None
    identity: str | None = None
    voice_id: str | None = None
    opening_line: str | None = None
    language: str | None = None
    time_zone: str | None = None
    remember: bool = True
    user_name: str | None = None
    creator: str | None = None
    style: Style | None = None
    attempt: int | None = None

    @classmethod
    def parse(cls, text: str) -> DispatchMetadata:
        """Read metadata as the dispatch carries it; never raises.

        Args:
            text: a JSON object, or empty. Unknown fields are left alone.
        """
        given = _json_object(text)
        usable: dict[str, Any] = {}
        for name, (spellings, kind) in _FIELDS.items():
            value = next((given[s] for s in spellings if given.get(s) is not None), None)
            if value is None:
                continue
            try:
                usable[name] = kind.validate_python(value, strict=True)
            except ValidationError:
                logger.warning(
                    "a field of the dispatch metadata is unusable", extra={"field": name}
                )
                if name == "remember":  # who says anything about it hardly means yes
                    usable[name] = False
        return cls(**usable)


def _json_object(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    if len(text) > MOST_CHARACTERS:
        logger.warning("the dispatch metadata is too long and is not read")
        return {}
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        logger.warning("the dispatch metadata is not JSON and is not read")
        return {}
    if not isinstance(given, dict):
        logger.warning("the dispatch metadata is not a JSON object and is not read")
        return {}
    return given
