"""The WebSocket's route: refused before the handshake, or served."""

from __future__ import annotations

import logging

from fastapi import APIRouter
from starlette.websockets import WebSocket

from orchestrator.answers import problem
from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.voice.metrics import REFUSED
from orchestrator.voice.tickets import PATH
from sessions import StateUnreachableError

logger = logging.getLogger("orchestrator.voice")

router = APIRouter()


@router.websocket(PATH)
async def voice(websocket: WebSocket) -> None:
    """Carry a session's conversation over a WebSocket; see docs/voice-websocket.md."""
    given = websocket.app.state.parts.voice
    try:
        admitted = await given.admission.admit(websocket)
        serving = given.gateway.serve(websocket, admitted.record, admitted.sample_rate)
    except OrchestratorError as error:
        await _refuse(websocket, error)
    except StateUnreachableError:
        await _refuse(websocket, UnavailableError("Redis is out of reach; try again"))
    else:
        await serving


async def _refuse(websocket: WebSocket, error: OrchestratorError) -> None:
    REFUSED.labels(str(error.status)).inc()
    logger.info("[Session] a voice connection was refused", extra={"status": error.status})
    answer = problem(error.status, error.detail, headers=error.headers)
    await websocket.send_denial_response(answer)
