"""How errors are answered: one JSON shape, whatever went wrong."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from orchestrator.errors import OrchestratorError, UnavailableError
from sessions import StateUnreachableError

logger = logging.getLogger("orchestrator")


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """What every error answers."""

    detail: str = Field(description="what is wrong, and what to do")
    errors: list[FieldProblem] | None = Field(None, description="the fields that are wrong")
    error_id: str | None = Field(None, description="stands in the log; name it to the operator")


_MEANINGS = {
    400: "What was sent cannot be used.",
    401: "There is no credential, or none that is valid.",
    403: "The caller may not do this.",
    404: "There is no such thing, or it is somebody else's.",
    409: "What is there already does not allow it.",
    413: "The body is larger than MAX_BODY_BYTES.",
    422: "A field is missing or cannot be used.",
    429: "A limit is reached; Retry-After says when to try again.",
    500: "Something unforeseen, with an id that is in the log.",
    503: "Redis, LiveKit or the spawner is out of reach; try again.",
}


_NO_JSON = "send JSON, with the header Content-Type: application/json"


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route documents of its errors; 500 may come from any."""
    return {
        status: {"model": Problem, "description": _MEANINGS[status]}
        for status in sorted({*statuses, 500})
    }


def add_error_answers(app: FastAPI) -> None:
    """Answer all errors of an app's routes in the one shape."""
    app.add_exception_handler(OrchestratorError, _ours)
    app.add_exception_handler(StateUnreachableError, _state_unreachable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def problem(
    status: int,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """Return an error's answer."""
    return JSONResponse({"detail": detail, **more}, status_code=status, headers=headers)


def unforeseen(error_id: str) -> JSONResponse:
    """Return the answer to what nobody foresaw: the id of its log line, and nothing inner."""
    return problem(500, "something went wrong; the log has it under error_id", error_id=error_id)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    del request
    if not isinstance(error, OrchestratorError):
        raise error
    if error.status == OrchestratorError.status:
        error_id = secrets.token_hex(8)
        named = {"error_id": error_id, "cause": _cause_of(error)}
        logger.error("a request failed", extra=named)
        return problem(error.status, error.detail, headers=error.headers, error_id=error_id)
    if isinstance(error, UnavailableError):
        named = {"detail": error.detail, "cause": _cause_of(error)}
        logger.warning("a request could not be served", extra=named)
    return problem(error.status, error.detail, headers=error.headers)


def _cause_of(error: Exception) -> str:
    cause = error.__cause__
    return "none" if cause is None else f"{type(cause).__name__}: {cause}"


async def _state_unreachable(request: Request, error: Exception) -> JSONResponse:
    logger.warning("the state of sessions is out of reach", extra={"cause": str(error)})
    return await _ours(request, UnavailableError("Redis is out of reach; try again"))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    if any(each["type"] == "json_invalid" for each in error.errors()):
        return problem(400, "the body is not JSON")
    # What was given is left out: it may be a secret, or about a person.
    found = [{"field": _field(each["loc"]), "message": str(each["msg"])} for each in error.errors()]
    if [each["loc"] for each in error.errors()] == [("body",)] and not _says_json(request):
        found = [{"field": "body", "message": _NO_JSON}]
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in found)
    return problem(422, detail, errors=found)


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _field(location: Sequence[int | str]) -> str:
    path = [str(part) for part in location[1:]] or [str(part) for part in location]
    return ".".join(path)


async def _http(request: Request, error: Exception) -> JSONResponse:
    del request
    if not isinstance(error, HTTPException):
        raise error
    return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))
