"""LiveKit's webhooks come in here: ``/webhook/livekit``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from orchestrator.answers import problems
from orchestrator.routes.entry import AppParts

router = APIRouter(tags=["webhooks"])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/webhook+json": {"schema": {"type": "object"}}},
    }
}


class Received(BaseModel):
    """The event was taken."""

    status: str
    event: str


@router.post("/webhook/livekit", openapi_extra=_BODY, responses=problems(400, 401, 403, 413, 503))
async def livekit(request: Request, parts: AppParts) -> Received:
    """Take an event; what it leads to may go on when this has been answered."""
    taken = await parts.webhooks.receive(
        await request.body(),
        authorization=request.headers.get("Authorization"),
        signature=request.headers.get("X-LiveKit-Signature"),
    )
    return Received(**taken)
