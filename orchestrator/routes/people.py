"""Memories and profile over REST, for the person themselves or a back end on their behalf.

Whose data a request reaches is decided in one place, `current_person`: by the credential, and
for a back end by the header `X-User-Identity`. No path, query or body names a person.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Protocol
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from memory import Category
from orchestrator.errors import BadRequestError
from orchestrator.people_access import PeopleAccess
from orchestrator.people_models import (
    LONGEST_CURSOR,
    MOST_OF_A_PAGE,
    Correction,
    Deleted,
    Erased,
    MemoryBody,
    MemoryList,
    MemoryWithHistory,
    ProfileBody,
    ProfileChanges,
    SearchQuery,
    SearchResult,
    position_of,
)
from orchestrator.person_data import PersonData
from session_context import IdentityError, livekit_identity_to_uuid

USER_HEADER = "X-User-Identity"
_LONGEST_HEADER = 3_000

_MEANINGS = {
    400: "What was sent cannot be used, or a back end named nobody.",
    401: "There is no credential, or none that is valid.",
    403: "The caller may not act for this person.",
    404: "There is no such memory, or it is somebody else's; or memory is switched off.",
    409: "The person was erased meanwhile, or does not want to be remembered.",
    413: "The body is larger than MAX_BODY_BYTES.",
    422: "A field is missing or cannot be used.",
    429: "A limit is reached; Retry-After says when to try again.",
    500: "Something unforeseen, with an id that is in the log.",
    503: "The store is out of reach; try again.",
}


class Caller(Protocol):
    """Whoever calls, as far as these routes ask."""

    def user_for(self, identity: str | None, *, field: str = ...) -> str:
        """Return the identity of the person for whom the caller acts, or raise."""


class Callers(Protocol):
    """Finds out who calls."""

    async def identify(self, request: Request, response: Response) -> Caller:
        """Return who calls, or raise."""


class Parts(Protocol):
    """What these routes need of ``app.state.parts``."""

    @property
    def callers(self) -> Callers:
        """Finds out who calls."""

    @property
    def people(self) -> PeopleAccess:
        """What is held about people."""


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": _MEANINGS[status]}
        for status in (*statuses, 400, 401, 403, 404, 422, 429, 500, 503)
    }


async def current_person(
    request: Request,
    response: Response,
    user_identity: Annotated[
        str | None,
        Header(
            alias=USER_HEADER,
            max_length=_LONGEST_HEADER,
            description="with an API key: the user's identity, percent-encoded UTF-8",
        ),
    ] = None,
) -> str:
    """Return the uuid of the person whose data the request is about.

    Raises:
        BadRequestError: a back end names nobody, or nobody who could be.
        ForbiddenError: the caller may not act for them.
    """
    parts: Parts = request.app.state.parts
    caller = await parts.callers.identify(request, response)
    identity = caller.user_for(_decoded(user_identity), field=USER_HEADER)
    try:
        return livekit_identity_to_uuid(identity)
    except IdentityError as error:
        raise BadRequestError(f"{USER_HEADER}: {error}") from None


def _access(request: Request) -> PeopleAccess:
    parts: Parts = request.app.state.parts
    return parts.people


Person = Annotated[str, Depends(current_person)]
Access = Annotated[PeopleAccess, Depends(_access)]

router = APIRouter(prefix="/api/v1/me", tags=["memory and profile"], responses=_problems())


@router.get("/memories", operation_id="list_memories")
async def list_memories(
    person: Person,
    access: Access,
    limit: Annotated[int, Query(ge=1, le=MOST_OF_A_PAGE)] = 50,
    cursor: Annotated[
        str | None, Query(max_length=LONGEST_CURSOR, description="next_cursor of the page before")
    ] = None,
    category: Category | None = None,
) -> MemoryList:
    """List current memories, newest first, a page at a time.

    What is told meanwhile stands before the first page and moves nothing.
    """
    before = None if cursor is None else position_of(cursor)
    return MemoryList.of(await access.call(PersonData.page, person, category, limit, before))


@router.post("/memories/search", operation_id="search_memories", responses=_problems(413))
async def search_memories(person: Person, access: Access, wanted: SearchQuery) -> SearchResult:
    """Search current memories as the agent does, best first.

    What is searched for stands in the body, as URLs end up in logs.
    """
    found = await access.call(PersonData.search, person, wanted.query, wanted.limit)
    return SearchResult(memories=list(map(MemoryBody.of, found)))


@router.get("/memories/{id}", operation_id="get_memory")
async def get_memory(person: Person, access: Access, id: uuid.UUID) -> MemoryWithHistory:  # noqa: A002 - the path's name
    """Return a memory with the values that its key has had."""
    found, history = await access.call(PersonData.memory, person, str(id))
    earlier = list(map(MemoryBody.of, history))
    return MemoryWithHistory(**MemoryBody.of(found).model_dump(), history=earlier)


@router.patch("/memories/{id}", operation_id="correct_memory", responses=_problems(409, 413))
async def correct_memory(
    person: Person,
    access: Access,
    id: uuid.UUID,  # noqa: A002 - the path's name
    correction: Correction,
) -> MemoryBody:
    """Put a current memory right. The answer is the new one, which has an id of its own.

    What was kept before stays as history.
    """
    right = await access.call(PersonData.correct, person, str(id), correction.value)
    return MemoryBody.of(right)


@router.delete("/memories/{id}", operation_id="delete_memory")
async def delete_memory(person: Person, access: Access, id: uuid.UUID) -> Deleted:  # noqa: A002 - the path's name
    """Delete a memory: its key's whole history, what it was told in, what was derived from it."""
    return Deleted(deleted=await access.call(PersonData.delete, person, str(id)))


@router.get("/profile", operation_id="get_profile")
async def get_profile(person: Person, access: Access) -> ProfileBody:
    """Return the person's profile."""
    return ProfileBody.of(await access.call(PersonData.profile, person))


@router.patch("/profile", operation_id="change_profile", responses=_problems(409, 413))
async def change_profile(person: Person, access: Access, changes: ProfileChanges) -> ProfileBody:
    """Change the profile's named fields, all of them or none; null clears one."""
    return ProfileBody.of(await access.call(PersonData.change_profile, person, changes.named()))


@router.get(
    "/export",
    operation_id="export_person",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def export_person(person: Person, access: Access, response: Response) -> StreamingResponse:
    """Return everything held about the person (docs/export.schema.json), streamed.

    A text that is cut off is no JSON: the store was lost on the way; ask again.
    """
    headers: Mapping[str, str] = {
        **response.headers,
        "Content-Disposition": 'attachment; filename="export.json"',
        "Cache-Control": "no-store",
    }
    pieces = await access.export(person)
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


@router.delete("", operation_id="erase_person")
async def erase_person(person: Person, access: Access) -> Erased:
    """Erase everything held about the person; what is on its way is dropped when it arrives.

    A conversation that is under way goes on as with somebody new.
    """
    return Erased(**asdict(await access.call(PersonData.erase, person)))


def _decoded(header: str | None) -> str | None:
    if header is None:
        return None
    try:
        header.encode("ascii")  # in any other encoding it would name somebody else
        return unquote(header, errors="strict")
    except UnicodeError:
        raise BadRequestError(f"{USER_HEADER}: percent-encode it as UTF-8") from None
