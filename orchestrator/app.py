"""The ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from config import Settings
from orchestrator.addresses import TrustedProxies
from orchestrator.answers import add_error_answers
from orchestrator.guards import BodyLimit, CrossOrigin, LoopbackOnly, Outermost
from orchestrator.parts import Parts, open_parts
from orchestrator.routes import namespaced, namespaces, operations, people, session, token, webhook
from orchestrator.voice import route as voice

_LOOPBACK_ORIGIN = r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?"


def create_app(settings: Settings, parts: Parts | None = None) -> FastAPI:
    """Return the application.

    Args:
        settings: all of them.
        parts: already opened ones, which the caller closes; by default the application
            opens its own when it starts and closes them when it ends.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if parts is not None:
            app.state.parts = parts
            yield
            return
        async with open_parts(settings) as opened:
            app.state.parts = opened
            yield

    app = FastAPI(
        title="Voice agent orchestrator",
        summary="Starts, watches and ends conversations with the voice agent",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # One would name http:// behind a proxy that speaks TLS, and take the credential along.
        redirect_slashes=False,
    )
    add_error_answers(app)
    _add_guards(app, settings)
    for module in (session, namespaced, namespaces, token, people, webhook, operations):
        app.include_router(module.router)
    app.include_router(voice.router)
    return app


def _add_guards(app: FastAPI, settings: Settings) -> None:
    """Add what each request passes; what is added last comes first."""
    given = settings.orchestrator
    development = given.mode == "development"
    app.add_middleware(BodyLimit, most=given.max_body_bytes)
    app.add_middleware(
        CrossOrigin,
        allow_origins=list(given.cors_origins),
        allow_origin_regex=_LOOPBACK_ORIGIN if development else None,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["*"],
        allow_credentials=True,
        expose_headers=["Retry-After"],
    )
    if development:
        app.add_middleware(LoopbackOnly)
    app.add_middleware(Outermost, proxies=TrustedProxies(given.trusted_proxies))
