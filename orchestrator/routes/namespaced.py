"""The second style: ``/api/v1/sessions``, for devices of a namespace."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from orchestrator.answers import problems
from orchestrator.callers import Caller, CallerKind, CurrentCaller
from orchestrator.callers.identification import NAMESPACE_HEADER
from orchestrator.errors import BadRequestError, ForbiddenError
from orchestrator.routes.entry import (
    DOCUMENTED_CREDENTIALS,
    DOCUMENTED_NAMESPACE,
    AppParts,
    parts_of,
    spend_address,
)
from orchestrator.service import Device
from orchestrator.voice.admission import may_speak_in
from orchestrator.voice.tickets import PATH
from orchestrator.wire import KeyHash, Label, NamespaceId, SessionId, moment
from sessions import SessionRecord, SessionStyle, Task, TaskState
from sessions.naming import now_ms

router = APIRouter(
    prefix="/api/v1/sessions",
    tags=["sessions, second style"],
    dependencies=[*DOCUMENTED_NAMESPACE, *DOCUMENTED_CREDENTIALS],
)

_SHOWN_OF_ID = 8
_CLOSED = "closed"


class CreateRequest(BaseModel):
    """Which namespace a session is for, and what the device is."""

    namespace_id: NamespaceId
    key_hash: KeyHash = Field(
        "", description="the namespace's registered key hash; a back end needs none"
    )
    device_type: Label = ""
    client_version: Label = ""


class Created(BaseModel):
    """A session, and where to connect to it."""

    id: str
    namespace_id: str
    status: str = Field(description="starting, ready, failed or closed")
    created_at: datetime
    websocket_url: str


class SessionShown(Created):
    """A session as it is now."""

    message_count: int
    pending_tasks_count: int
    device_type: str
    client_version: str


class Closed(BaseModel):
    """A session that is no more."""

    status: str
    session_id: str


class TaskShown(BaseModel):
    """A tool call of the agent, or work in the background."""

    id: str
    session_id: str
    type: str
    state: TaskState
    created_at: datetime
    updated_at: datetime
    result_available: bool
    error_message: str | None


class Stats(BaseModel):
    """Figures of a session; nothing personal."""

    session_id_truncated: str
    status: str
    age_seconds: float
    message_count: int
    pending_tasks_count: int
    audio_chunks_received: int
    audio_chunks_processed: int
    device_type: str


class Listed(BaseModel):
    """A session as operators see it."""

    id: str
    style: str
    status: str
    created_at: datetime
    room: str
    user_id: str
    agent_host: str
    agent_pid: int


class Page(BaseModel):
    """Some of the sessions, in the order in which they began."""

    sessions: list[Listed]
    next: str | None = Field(description="what to give as after for the next page")


async def _address_counted(request: Request) -> None:
    await spend_address(request, "sessions")


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(_address_counted)],
    responses=problems(400, 401, 403, 409, 413, 422, 429, 503),
)
async def create(body: CreateRequest, request: Request, parts: AppParts) -> Created:
    """Create a session; its client must connect within CONNECT_WITHIN_S seconds."""
    if request.headers.get(NAMESPACE_HEADER, body.namespace_id) != body.namespace_id:
        raise BadRequestError(f"namespace_id: {NAMESPACE_HEADER} names another one")
    namespace = await parts.callers.namespace(
        body.namespace_id,
        body.key_hash,
        vouched_by=await parts.callers.with_credential(request),
    )
    await parts.limits.spend("sessions", f"caller:{namespace.creator}")
    device = Device(body.device_type, body.client_version)
    record = await parts.sessions.create(namespace, body.namespace_id, device)
    return Created(**await _basics(request, namespace, record, record.status.value))


@router.get("", responses=problems(401, 403, 422, 503))
async def listing(
    parts: AppParts,
    caller: CurrentCaller,
    after: SessionId | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page:
    """List everybody's sessions; for operators."""
    if caller.kind not in (CallerKind.OPERATOR, CallerKind.DEVELOPMENT):
        raise ForbiddenError("an operator key is needed")
    records = await parts.sessions.page(after, limit)
    following = records[-1].id if len(records) == limit else None
    return Page(sessions=[_listed(each) for each in records], next=following)


@router.get("/{session_id}", responses=problems(401, 403, 404, 422, 503))
async def show(
    session_id: SessionId, request: Request, parts: AppParts, caller: CurrentCaller
) -> SessionShown:
    """Show a session to who made it."""
    record, status = await _found(request, caller, session_id)
    counts = await parts.state.agents.counts(session_id)
    return SessionShown(
        **await _basics(request, caller, record, status),
        message_count=counts.get("messages", 0),
        pending_tasks_count=len(await _pending(request, session_id)),
        device_type=record.device_type,
        client_version=record.client_version,
    )


@router.delete("/{session_id}", responses=problems(401, 403, 404, 422, 503))
async def close(session_id: SessionId, parts: AppParts, caller: CurrentCaller) -> Closed:
    """End a session, and return when it has."""
    style = SessionStyle.NAMESPACE
    if caller.kind is CallerKind.OPERATOR:
        await parts.sessions.end(caller, session_id, asked_by="operator")
    else:
        await parts.sessions.end(caller, session_id, asked_by="delete", style=style)
    return Closed(status=_CLOSED, session_id=session_id)


@router.get("/{session_id}/tasks", responses=problems(401, 403, 404, 422, 503))
async def tasks(
    session_id: SessionId,
    request: Request,
    parts: AppParts,
    caller: CurrentCaller,
    state: Annotated[TaskState | None, Query(description="only tasks in this state")] = None,
) -> list[TaskShown]:
    """List a session's tool calls and background work, oldest first."""
    await _found(request, caller, session_id)
    states = [state] if state is not None else []
    return [_task(each) for each in await parts.state.agents.tasks(session_id, states)]


@router.get("/{session_id}/stats", responses=problems(401, 403, 404, 422, 503))
async def stats(
    session_id: SessionId, request: Request, parts: AppParts, caller: CurrentCaller
) -> Stats:
    """Return figures of a session."""
    record, status = await _found(request, caller, session_id)
    counts = await parts.state.agents.counts(session_id)
    return Stats(
        session_id_truncated=f"{record.id[:_SHOWN_OF_ID]}...",
        status=status,
        age_seconds=max(0, now_ms() - record.start_time) / 1000,
        message_count=counts.get("messages", 0),
        pending_tasks_count=len(await _pending(request, session_id)),
        audio_chunks_received=counts.get("audio_chunks_received", 0),
        audio_chunks_processed=counts.get("audio_chunks_processed", 0),
        device_type=record.device_type,
    )


async def _found(request: Request, caller: Caller, session_id: str) -> tuple[SessionRecord, str]:
    sessions = parts_of(request).sessions
    record = await sessions.find(caller, session_id, SessionStyle.NAMESPACE)
    over = await sessions.is_over(record)
    return record, _CLOSED if over else record.status.value


async def _pending(request: Request, session_id: str) -> list[Task]:
    waiting = [TaskState.PENDING, TaskState.RUNNING]
    return await parts_of(request).state.agents.tasks(session_id, waiting)


async def _basics(
    request: Request, caller: Caller, record: SessionRecord, status: str
) -> dict[str, Any]:
    return {
        "id": record.id,
        "namespace_id": record.namespace_id,
        "status": status,
        "created_at": moment(record.start_time),
        "websocket_url": await _websocket_url(request, caller, record),
    }


async def _websocket_url(request: Request, caller: Caller, record: SessionRecord) -> str:
    """Return where the client connects, as the client sees us, with a ticket to do so once."""
    parts = parts_of(request)
    origin = parts.proxies.origin_of(request)
    given = parts.settings.orchestrator
    host = origin.host or f"{given.host}:{given.port}"
    scheme = "wss" if origin.secure else "ws"
    base = f"{scheme}://{host}"
    if may_speak_in(caller, record):
        return await parts.voice.tickets.websocket_url(base, record.id)
    return f"{base}{PATH}?session_id={record.id}"


def _task(task: Task) -> TaskShown:
    return TaskShown(
        id=task.id,
        session_id=task.session_id,
        type=task.type,
        state=task.state,
        created_at=moment(task.created_at),
        updated_at=moment(task.updated_at),
        result_available=task.result_available,
        error_message=task.error_message,
    )


def _listed(record: SessionRecord) -> Listed:
    return Listed(
        id=record.id,
        style=record.style.value,
        status=record.status.value,
        created_at=moment(record.start_time),
        room=record.room,
        user_id=record.user_id,
        agent_host=record.agent_host,
        agent_pid=record.agent_pid,
    )
