"""``python -m devstack run``: LiveKit, Redis, worker and orchestrator, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from devstack.development import AGENT_NAME, Development, development
from devstack.machine import PROJECT_ROOT
from devstack.participant import access_token
from devstack.ports import free_port, is_free

_CHECK_EVERY_S = 0.5
_PORT = 8000

_HOW_TO_REACH_IT = """
The agent is running.

  Orchestrator     {orchestrator}   (development mode: no key, this machine only)
  LiveKit server   {livekit}
  API key, secret  {key} {secret}
  Redis            {redis}
  Logs             {logs}

Start a conversation, join it with the token that comes back, end it:

  curl -s {orchestrator}/health
  curl -s {orchestrator}/api/session/start -H 'Content-Type: application/json' \\
    -d '{{"userName": "you@example.com"}}'
  curl -s {orchestrator}/api/session/end -H 'Content-Type: application/json' \\
    -d '{{"sessionId": "SESSION_ID"}}'

LiveKit's front ends take {orchestrator}/api/token as their token endpoint. A token to join with
right now, in a room of its own:

  {token}

  lk room join --url {livekit} --token TOKEN try-it        (LiveKit's command line)
  https://agents-playground.livekit.io                 (Manual: the URL and the token)

No server needed: make chat. Two scripted conversations: make demo. Ctrl-C ends this.
"""


def add_run(register: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = register("run", help="run LiveKit, Redis, the worker and the orchestrator")
    parser.add_argument(
        "--log-dir",
        type=Path,
        default=PROJECT_ROOT / ".cache" / "logs",
        help="the folder for the servers' logs",
    )
    parser.add_argument(
        "--port", type=int, default=_PORT, help=f"the orchestrator's ({_PORT} by default)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    log_dir: Path = arguments.log_dir
    try:
        with development(port=_port(arguments.port), log_dir=log_dir) as running:
            print(_how_to_reach(running, log_dir), flush=True)
            _watch(running)
    except KeyboardInterrupt:
        print("devstack: stopped", file=sys.stderr)
    return 0


def _port(wanted: int) -> int:
    if is_free(wanted):
        return wanted
    port = free_port()
    print(f"devstack: port {wanted} is taken; the orchestrator is on {port}", file=sys.stderr)
    return port


def _how_to_reach(running: Development, logs: Path) -> str:
    livekit = running.livekit
    token = access_token(livekit, "you@example.com", "try-it", metadata={}, agent_name=AGENT_NAME)
    return _HOW_TO_REACH_IT.format(
        orchestrator=running.orchestrator.url,
        livekit=livekit.url,
        key=livekit.api_key,
        secret=livekit.api_secret,
        redis=running.stack.redis.info.url,
        logs=logs,
        token=token,
    )


def _watch(running: Development) -> None:
    never = threading.Event()
    while not never.wait(_CHECK_EVERY_S):
        running.check()
