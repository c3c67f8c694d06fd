"""What a route asks for to know its caller: ``caller: CurrentCaller``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from orchestrator.callers.caller import Caller
from orchestrator.callers.identification import Callers


async def current_caller(request: Request, response: Response) -> Caller:
    """Return who calls; see `Callers.identify`."""
    callers: Callers = request.app.state.parts.callers
    return await callers.identify(request, response)


CurrentCaller = Annotated[Caller, Depends(current_caller)]
