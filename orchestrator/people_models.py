"""What the routes about memories and profiles take and answer, as JSON has it."""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from memory import Category, Memory
from memory.model import MAX_VALUE_LENGTH, Position
from memory.moments import microseconds, moment_of
from orchestrator.errors import BadRequestError
from orchestrator.person_data import KnownPerson, MemoryPage
from people.export import memory_record
from profiles.model import MAX_DETAIL_LENGTH, MAX_INTERESTS, MAX_TEXT_LENGTH

MOST_OF_A_PAGE = 200
LONGEST_QUERY = 2_000
LONGEST_CURSOR = 100

_NOT_OURS = "the cursor is none of ours; begin without one"
_Detail = Annotated[str, Field(max_length=MAX_DETAIL_LENGTH)]


class MemoryBody(BaseModel):
    """A memory, as the export has it."""

    id: str = Field(description="of the write that made it")
    category: Category
    key: str
    value: str
    created_at: datetime = Field(description="when it was told, UTC")
    superseded_at: datetime | None = Field(description="when a later value took its place")
    session_id: str | None = Field(description="the session in which it was told")
    place: int | None = Field(description="its position in that session, from 1")
    generation: int = Field(description="how often the person had been erased by then")
    confidence: float | None
    source_id: str | None = Field(description="the write that it was derived from")
    expires_at: datetime | None

    @classmethod
    def of(cls, memory: Memory) -> MemoryBody:
        """Return a memory as JSON has it."""
        return cls(**memory_record(memory))


class MemoryList(BaseModel):
    """A page of memories."""

    memories: list[MemoryBody] = Field(description="newest first")
    next_cursor: str | None = Field(description="for the next page; null where this is the last")

    @classmethod
    def of(cls, page: MemoryPage) -> MemoryList:
        """Return a page as JSON has it."""
        cursor = None if page.last is None else cursor_of(page.last)
        return cls(memories=list(map(MemoryBody.of, page.memories)), next_cursor=cursor)


class MemoryWithHistory(MemoryBody):
    """A memory with the values that its key has had."""

    history: list[MemoryBody] = Field(description="newest first, the memory itself among them")


class SearchQuery(BaseModel):
    """What to search for."""

    query: str = Field(max_length=LONGEST_QUERY, description="any text; a time in it counts")
    limit: int = Field(10, ge=1, le=MOST_OF_A_PAGE)


class SearchResult(BaseModel):
    """What was found."""

    memories: list[MemoryBody] = Field(description="best first")


class Correction(BaseModel):
    """What is right."""

    value: str = Field(min_length=1, max_length=MAX_VALUE_LENGTH)


class Deleted(BaseModel):
    """What a deletion did."""

    deleted: int = Field(description="how many values are gone: history, sources and derived ones")


class ProfileBody(BaseModel):
    """Who the person is to us."""

    email: str | None = Field(description="set only where the identity is an e-mail address")
    is_first_login: bool = Field(description="true until a first conversation has taken place")
    created_at: datetime | None = Field(description="when they first came; null if they never did")
    remembered: bool = Field(description="false where they asked not to be remembered")
    first_name: str | None
    occupation: str | None
    interests: list[str]
    language: str | None = Field(description="a BCP 47 tag")
    time_zone: str | None = Field(description="an IANA name")
    profile_text: str

    @classmethod
    def of(cls, known: KnownPerson) -> ProfileBody:
        """Return a profile as JSON has it."""
        row = known.person.profile
        return cls(
            email=row.email if row else None,
            is_first_login=row.is_first_login if row else True,
            created_at=row.created_at if row else None,
            remembered=known.remembered,
            **asdict(known.person.details),
            **asdict(known.person.about),
        )


class ProfileChanges(BaseModel):
    """What to change; a field that is left out stays, null clears one."""

    model_config = ConfigDict(extra="forbid")

    first_name: _Detail | None = None
    occupation: _Detail | None = None
    interests: Annotated[list[_Detail], Field(max_length=MAX_INTERESTS)] | None = None
    language: _Detail | None = Field(None, description="a BCP 47 tag such as de or pt-BR")
    time_zone: _Detail | None = Field(None, description="an IANA name such as Europe/Berlin")
    profile_text: Annotated[str, Field(max_length=MAX_TEXT_LENGTH)] | None = None

    def named(self) -> dict[str, Any]:
        """Return the fields that were given."""
        return self.model_dump(exclude_unset=True)


class Erased(BaseModel):
    """What an erasure did."""

    generation: int = Field(description="the person's from now on; older writes are dropped")
    memories: int = Field(description="how many are gone, superseded ones counted")
    profile: bool
    user_profile: bool
    onboarding_details: bool
    elsewhere: dict[str, int] = Field(description="what else is gone, by the name of the place")


def cursor_of(position: Position) -> str:
    """Return a position in the list as an opaque text."""
    content = f"{microseconds(position.told_at)}.{uuid.UUID(position.id).hex}"
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def position_of(cursor: str) -> Position:
    """Return the position that a cursor stands for.

    Raises:
        BadRequestError: it is none of ours.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        content = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        count, _, write_id = content.decode("ascii").partition(".")
        return Position(moment_of(int(count)), str(uuid.UUID(hex=write_id)))
    except (ValueError, OverflowError, binascii.Error):
        raise BadRequestError(_NOT_OURS) from None
