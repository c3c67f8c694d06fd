"""The routes about people over a real store, called as their callers do."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from config import Settings
from memory import Category, Memory, NewMemory
from orchestrator.errors import BadRequestError, ForbiddenError, OrchestratorError
from orchestrator.people_access import PeopleAccess, open_people_access
from orchestrator.person_data import PersonData, open_person_data
from orchestrator.routes.people import router
from session_context import livekit_identity_to_uuid

ADDRESS = "http://127.0.0.1"


@dataclass
class StandInCaller:
    """Says ``user <identity>``, ``backend`` or ``operator`` in Authorization, and is believed."""

    kind: str
    identity: str = ""

    def user_for(self, identity: str | None, *, field: str = "identity") -> str:
        if self.kind == "operator":
            raise ForbiddenError("an operator key acts for nobody")
        if self.kind == "backend":
            if not identity:
                raise BadRequestError(f"{field}: name the user")
            return identity
        if identity not in (None, self.identity):
            raise ForbiddenError(f"{field}: this credential acts for its own user only")
        return self.identity


class StandInCallers:
    async def identify(self, request: Request, response: Response) -> StandInCaller:
        return StandInCaller(*request.headers["Authorization"].split(" ", 1))


class Someone:
    """A person with a client of their own."""

    def __init__(self, app: FastAPI, identity: str | None = None) -> None:
        self.identity = identity or f"person-{uuid.uuid4()}"
        self.uuid = livekit_identity_to_uuid(self.identity)
        self._app = app

    async def asks(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"user {self.identity}", **more.pop("headers", {})}
        return await request(self._app, method, path, headers=headers, **more)

    async def gets(self, path: str, **params: object) -> Any:
        answer = await self.asks("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def values(self) -> list[str]:
        return [each["value"] for each in (await self.gets("/memories"))["memories"]]


async def request(app: FastAPI, method: str, path: str, **more: Any) -> httpx.Response:
    # A failure of a route is what its caller would see, not an exception of the test's.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
        return await client.request(method, f"/api/v1/me{path}", **more)


@dataclass
class World:
    """The routes, and what is under them."""

    app: FastAPI
    access: PeopleAccess
    data: PersonData

    def someone(self, identity: str | None = None) -> Someone:
        return Someone(self.app, identity)

    async def told(self, person: Someone, *values: str, **fields: Any) -> list[Memory]:
        """Have a conversation store values, each under a key of its own unless one is named."""
        key = fields.pop("key", None)
        new = [NewMemory(Category.FACT, key or f"key {v}", v, **fields) for v in values]
        return await self.access.call(lambda data: data._memory.store(person.uuid, new))


def app_over(access: PeopleAccess) -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    app.state.parts = SimpleNamespace(callers=StandInCallers(), people=access)

    async def answer(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OrchestratorError)
        return JSONResponse({"detail": error.detail}, error.status, headers=error.headers)

    app.add_exception_handler(OrchestratorError, answer)
    return app


@asynccontextmanager
async def world_of(variables: dict[str, str]) -> AsyncIterator[World]:
    access = open_people_access(Settings.from_environment(variables))
    try:
        data = await access.call(lambda data: data)
        yield World(app_over(access), access, data)
    finally:
        await access.aclose()


@asynccontextmanager
async def world_over(data: PersonData, *, deadline_s: float) -> AsyncIterator[World]:
    access = PeopleAccess(lambda: data, deadline_s=deadline_s, erase_deadline_s=deadline_s)
    try:
        yield World(app_over(access), access, data)
    finally:
        await access.aclose()


def opened(variables: dict[str, str]) -> PersonData:
    return open_person_data(Settings.from_environment(variables))
