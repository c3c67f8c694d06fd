"""Serving over HTTP, from the settings' check to the last log line."""

from __future__ import annotations

import argparse
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from config import ConfigError, Settings
from orchestrator.addresses import is_loopback
from orchestrator.app import create_app
from orchestrator.callers.user_token import UserTokens
from orchestrator.log_lines import write_log_lines
from orchestrator.parts import open_parts
from orchestrator.voice.serving import server_options

logger = logging.getLogger("orchestrator")

_SHUTDOWN_S = 10
_STOPPING = (signal.SIGINT, signal.SIGTERM)


async def serve(settings: Settings, given: argparse.Namespace) -> int:
    """Serve until a signal says to stop.

    Args:
        settings: all of them.
        given: the command line, which says nothing here.

    Raises:
        ConfigError: a setting does not allow it; the text says what to do.
    """
    del given
    check(settings)
    write_log_lines(settings)
    _warn(settings)
    orchestrator = settings.orchestrator
    async with open_parts(settings) as parts:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(settings, parts),
                host=orchestrator.host,
                port=orchestrator.port,
                access_log=False,  # it would have query strings; guards.py logs requests
                log_config=None,
                proxy_headers=False,  # addresses.py believes TRUSTED_PROXIES only
                server_header=False,
                timeout_graceful_shutdown=_SHUTDOWN_S,
                **server_options(settings),
            )
        )
        with _signals_end_serving_only():
            await server.serve()
    return 0 if server.started else 1


@contextmanager
def _signals_end_serving_only() -> Iterator[None]:
    """Keep uvicorn from raising a signal again once it has served: there is more to close."""
    kept = {each: signal.signal(each, lambda *_: None) for each in _STOPPING}
    try:
        yield
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)


def check(settings: Settings) -> None:
    """Refuse what would let in who must not come in.

    Raises:
        ConfigError: development mode on an address that others reach, or no credential at
            all in production.
    """
    given = settings.orchestrator
    if given.mode == "development":
        if not is_loopback(f"[{given.host}]" if ":" in given.host else given.host):
            raise ConfigError(
                "ORCHESTRATOR_HOST: development mode listens on a loopback address only; "
                "set it to 127.0.0.1, or ORCHESTRATOR_MODE=production with keys"
            )
        return
    keys = given.api_keys or given.operator_keys
    if not keys and not UserTokens.are_configured(settings):
        raise ConfigError(
            "ORCHESTRATOR_API_KEYS: set one (openssl rand -hex 32), or configure Supabase's "
            "users; without any, nobody may call (ORCHESTRATOR_MODE=development needs none)"
        )


def _warn(settings: Settings) -> None:
    given = settings.orchestrator
    if given.mode == "development":
        logger.warning("development mode: callers are taken at their word, on loopback only")
    if given.webhook_allow_unsigned:
        logger.warning("[Webhook] unsigned webhooks are taken; never where others reach this")
    if not given.encryption_enabled:
        logger.warning("ENCRYPTION_ENABLED=false: anybody may create sessions of any namespace")
