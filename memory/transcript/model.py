"""One turn of a transcript."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from memory.model import MAX_VALUE_LENGTH, MemoryInputError, check_write_id
from storage.text import check_storable

MAX_TEXT_LENGTH = MAX_VALUE_LENGTH
"""Characters. The database checks the same bound (migrations/0008_transcripts.sql)."""

Role = Literal["user", "assistant"]
"""Who said it, as chat models name the two."""


@dataclass(frozen=True)
class TranscriptTurn:
    """Something that one side said.

    Attributes:
        id: of the write; the same write twice is one turn.
        session_id: the conversation.
        role: who said it.
        text: what was said; of the agent's words, what was heard of them.
        said_at: when it began, UTC.
        generation: the person's when it was said; None means now.

    Raises:
        MemoryInputError: a text is empty, too long or not storable, the id is no uuid, or the
            time has no time zone.
    """

    id: str
    session_id: str
    role: Role
    text: str
    said_at: datetime
    generation: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", check_write_id(self.id))
        check_storable(self.session_id, "session id", MAX_TEXT_LENGTH, MemoryInputError)
        check_storable(self.text, "text", MAX_TEXT_LENGTH, MemoryInputError)
        if not self.text:
            raise MemoryInputError("the text is empty; leave the turn out")
        if self.said_at.tzinfo is None:
            raise MemoryInputError("the time has no time zone; use datetime.now(timezone.utc)")
