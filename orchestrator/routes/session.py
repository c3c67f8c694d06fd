"""The first style: ``/api/session``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from orchestrator.answers import problems
from orchestrator.callers import Caller, CurrentCaller
from orchestrator.routes.entry import DOCUMENTED_CREDENTIALS, AppParts, limited
from orchestrator.wire import CamelCased, Line, Name, SessionId, Voice, moment
from sessions import SessionRecord

router = APIRouter(
    prefix="/api/session", tags=["sessions, first style"], dependencies=DOCUMENTED_CREDENTIALS
)


class StartRequest(CamelCased):
    """Whom a session is for, and how the agent begins."""

    user_name: Name = Field(description="the person's identity; a display name with a user's token")
    voice_id: Voice | None = Field(None, description="the voice of the agent")
    opening_line: Line | None = Field(None, description="what the agent says first")


class Started(CamelCased):
    """How the person joins."""

    success: bool
    session_id: str
    token: str
    server_url: str
    room_name: str
    message: str


class EndRequest(CamelCased):
    """Which session is to end."""

    session_id: SessionId


class EndDetails(BaseModel):
    """What the clean-up did; partial failures stand in ``errors``."""

    session_id: str
    celery_task_revoked: bool
    process_killed: bool
    redis_cleaned: bool
    room_deleted: bool
    process_exited: bool
    seconds: float
    errors: list[str]


class Ended(CamelCased):
    """How the end went."""

    success: bool
    message: str
    details: EndDetails


class SessionShown(CamelCased):
    """A live session."""

    session_id: str
    room_name: str
    status: str = Field(description="starting, ready, failed, or ending")
    user_name: str
    voice_id: str
    start_time: datetime
    style: str

    @classmethod
    def of(cls, record: SessionRecord, *, is_over: bool) -> SessionShown:
        """Return what is shown of a session."""
        return cls(
            session_id=record.id,
            room_name=record.room,
            status="ending" if is_over else record.status.value,
            user_name=record.user_name,
            voice_id=record.voice_id,
            start_time=moment(record.start_time),
            style=record.style.value,
        )


@router.post("/start", responses=problems(400, 401, 403, 409, 413, 422, 429, 503))
async def start(
    body: StartRequest, parts: AppParts, caller: Annotated[Caller, Depends(limited("start"))]
) -> Started:
    """Start a session: its room is made, the agent is on its way, the token opens it."""
    record = await parts.sessions.start(
        caller,
        user_name=body.user_name,
        voice_id=body.voice_id or "",
        opening_line=body.opening_line or "",
    )
    token = parts.tokens.make(
        room=record.room,
        identity=record.identity,
        name=record.user_name,
        room_config=parts.rooms.configuration_without_agent(record),
    )
    return Started(
        success=True,
        session_id=record.id,
        token=token,
        server_url=parts.settings.livekit_public_url,
        room_name=record.room,
        message="the session has started; join the room with the token",
    )


@router.post("/end", responses=problems(400, 401, 403, 404, 413, 422, 503))
async def end(body: EndRequest, parts: AppParts, caller: CurrentCaller) -> Ended:
    """End a session, and say what became of it."""
    report = await parts.sessions.end(caller, body.session_id, asked_by="end")
    message = "the session has ended"
    if report.errors:
        message = "the session has ended; not all went well, see details.errors"
    return Ended(success=True, message=message, details=EndDetails(**report.as_dict()))


@router.get("/{session_id}", responses=problems(401, 403, 404, 422, 503))
async def show(session_id: SessionId, parts: AppParts, caller: CurrentCaller) -> SessionShown:
    """Show a live session to who made it."""
    record = await parts.sessions.find(caller, session_id)
    return SessionShown.of(record, is_over=await parts.sessions.is_over(record))
