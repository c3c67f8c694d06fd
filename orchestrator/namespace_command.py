"""``python -m orchestrator namespace``: which namespaces may create sessions."""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from contextlib import aclosing
from typing import Any

from config import ConfigError, Settings
from orchestrator.callers.keys import hash_of
from orchestrator.routes.namespaces import KEY_HASH_LENGTH
from sessions import open_session_state
from sessions.contract import Namespaces

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,128}")
_KEY_HASH = re.compile(rf"[\x21-\x7e]{{{KEY_HASH_LENGTH},512}}")


def add_namespace_command(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("namespace", help="register namespaces")
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="register one, or give it another key hash")
    add.add_argument("namespace_id")
    add.add_argument(
        "key_hash", nargs="?", help="what its clients send; default: a new key is made and shown"
    )
    actions.add_parser("list", help="list them")
    remove = actions.add_parser("remove", help="unregister one")
    remove.add_argument("namespace_id")
    parser.set_defaults(run=_run)


async def _run(settings: Settings, given: argparse.Namespace) -> int:
    if settings.sessions.redis_url is None:
        raise ConfigError(
            "REDIS_URL: set it, as namespaces live in Redis; an orchestrator without one is "
            "told of them by PUT /api/v1/namespaces/ID"
        )
    state = open_session_state(settings.sessions)
    async with aclosing(state):
        return await _ACTIONS[given.action](state.namespaces, given)


async def _add(namespaces: Namespaces, given: argparse.Namespace) -> int:
    if not _NAME.fullmatch(given.namespace_id):
        raise ConfigError("a namespace's name has letters, digits and ._@- only, 128 at most")
    key_hash = given.key_hash
    if key_hash is None:
        key = secrets.token_urlsafe(32)
        key_hash = hash_of(key)
        _say(f"key       {key}")
        _say(f"key hash  {key_hash}")
    elif not _KEY_HASH.fullmatch(key_hash):
        raise ConfigError(f"a key hash has {KEY_HASH_LENGTH} to 512 printable characters")
    await namespaces.put(given.namespace_id, key_hash)
    _say(f"registered {given.namespace_id}")
    return 0


async def _list(namespaces: Namespaces, given: argparse.Namespace) -> int:
    del given
    for each in await namespaces.all():
        _say(each)
    return 0


async def _remove(namespaces: Namespaces, given: argparse.Namespace) -> int:
    if await namespaces.remove(given.namespace_id):
        _say(f"unregistered {given.namespace_id}")
        return 0
    sys.stderr.write(f"orchestrator: there is no namespace {given.namespace_id}\n")
    return 1


_ACTIONS = {"add": _add, "list": _list, "remove": _remove}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
