"""For those who run it: health, liveness, readiness, metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from orchestrator.answers import problems
from orchestrator.errors import UnavailableError
from orchestrator.routes.entry import AppParts

router = APIRouter(tags=["operations"])


class HealthShown(BaseModel):
    """What is within reach; false also where it is not configured."""

    status: Literal["healthy", "degraded"]
    livekit_url: str
    livekit_configured: bool
    redis_connected: bool
    celery_available: bool = Field(description="whether a Celery worker answered")


class Alive(BaseModel):
    """It runs."""

    status: Literal["ok"] = "ok"


@router.get("/health", responses=problems())
async def health(parts: AppParts) -> HealthShown:
    """Say what is within reach; degraded is a 200, too."""
    reach = await parts.health.look()
    worker = parts.settings.worker
    return HealthShown(
        status="healthy" if reach.is_healthy else "degraded",
        livekit_url=parts.settings.livekit_public_url,
        livekit_configured=worker.livekit_is_configured,
        redis_connected=bool(reach.redis),
        celery_available=bool(reach.spawner),
    )


@router.get("/livez", responses=problems())
async def livez() -> Alive:
    """Say that the process serves."""
    return Alive()


@router.get("/readyz", responses=problems(503))
async def readyz(parts: AppParts) -> Alive:
    """Say whether sessions can be started."""
    reach = await parts.health.look()
    if reach.redis is False or not reach.livekit:
        raise UnavailableError("Redis or LiveKit is out of reach, or LiveKit is not configured")
    return Alive()


@router.get("/metrics", response_class=PlainTextResponse, responses=problems())
async def metrics(parts: AppParts) -> Response:
    """Return figures in Prometheus's format; none of them is about a person."""
    await parts.health.measure()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
