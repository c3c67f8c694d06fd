"""LiveKit's standard token endpoint: ``/api/token``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from orchestrator.answers import problems
from orchestrator.callers import Caller
from orchestrator.routes.entry import DOCUMENTED_CREDENTIALS, AppParts, limited
from orchestrator.token_request import TokenRequest, read_token_request

router = APIRouter(prefix="/api", tags=["token endpoint"], dependencies=DOCUMENTED_CREDENTIALS)

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": TokenRequest.model_json_schema()}},
    }
}


class Joining(BaseModel):
    """Where to connect, and with what; in both casings, as starters read either."""

    server_url: str
    participant_token: str
    server_url_camel: str = Field(serialization_alias="serverUrl")
    participant_token_camel: str = Field(serialization_alias="participantToken")


@router.post(
    "/token",
    status_code=201,
    openapi_extra=_BODY,
    responses=problems(400, 401, 403, 404, 413, 429, 503),
)
async def token(
    request: Request, parts: AppParts, caller: Annotated[Caller, Depends(limited("token"))]
) -> Joining:
    """Give a token; nothing is made before somebody joins with it."""
    wish = read_token_request(await request.body())
    made = await parts.token_service.token(caller, wish)
    url = parts.settings.livekit_public_url
    return Joining(
        server_url=url,
        participant_token=made,
        server_url_camel=url,
        participant_token_camel=made,
    )
