"""Registering namespaces, for back ends: ``/api/v1/namespaces``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from orchestrator.answers import problems
from orchestrator.callers import Caller, CallerKind, CurrentCaller
from orchestrator.errors import ForbiddenError, NotFoundError
from orchestrator.routes.entry import DOCUMENTED_CREDENTIALS, AppParts
from orchestrator.wire import KeyHash, NamespaceId

router = APIRouter(
    prefix="/api/v1/namespaces", tags=["namespaces"], dependencies=DOCUMENTED_CREDENTIALS
)

KEY_HASH_LENGTH = 16


async def _registrar(caller: CurrentCaller) -> Caller:
    if caller.kind not in (CallerKind.BACKEND, CallerKind.DEVELOPMENT):
        raise ForbiddenError("an API key is needed")
    return caller


Registrar = Annotated[Caller, Depends(_registrar)]


class Registration(BaseModel):
    """A namespace's key hash."""

    key_hash: Annotated[KeyHash, Field(min_length=KEY_HASH_LENGTH)]


class Registered(BaseModel):
    """A namespace that may create sessions."""

    namespace_id: str


@router.put("/{namespace_id}", responses=problems(400, 401, 403, 413, 422, 503))
async def register(
    namespace_id: NamespaceId, body: Registration, parts: AppParts, caller: Registrar
) -> Registered:
    """Register a namespace, or give it another key hash."""
    del caller
    await parts.state.namespaces.put(namespace_id, body.key_hash)
    return Registered(namespace_id=namespace_id)


@router.delete("/{namespace_id}", responses=problems(401, 403, 404, 422, 503))
async def unregister(namespace_id: NamespaceId, parts: AppParts, caller: Registrar) -> Registered:
    """Unregister a namespace; its live sessions go on."""
    del caller
    if not await parts.state.namespaces.remove(namespace_id):
        raise NotFoundError("there is no such namespace")
    return Registered(namespace_id=namespace_id)
