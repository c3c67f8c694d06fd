"""``python -m devstack run``: LiveKit, Redis, worker and orchestrator, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from devstack.machine import PROJECT_ROOT
from devstack.participant import access_token
from devstack.ports import free_port, is_free
from devstack.servers.livekit import LiveKitOptions
from devstack.servers.orchestrator import Orchestrator, webhook_url
from devstack.servers.server import Server
from devstack.servers.worker import Worker
from devstack.stack import Service, Stack

AGENT_NAME = "voice-agent"
"""A name, as a nameless agent is sent to every new room by LiveKit itself: the orchestrator's
rooms would get it twice."""

_CHECK_EVERY_S = 0.5
_PORT = 8000
_DEVELOPMENT = {
    "LIVEKIT_AGENT_NAME": AGENT_NAME,
    # Whatever the developer's .env says for a deployment elsewhere.
    "LIVEKIT_PUBLIC_URL": "",
    "SPAWNER": "livekit",
    "WEBHOOK_ALLOW_UNSIGNED": "",
}

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
    try:
        with ExitStack() as running:
            stack, orchestrator, worker = _started(arguments, running)
            print(_how_to_reach(stack, orchestrator, arguments.log_dir), flush=True)
            _watch(stack, [orchestrator, worker])
    except KeyboardInterrupt:
        print("devstack: stopped", file=sys.stderr)
    return 0


def _started(
    arguments: argparse.Namespace, running: ExitStack
) -> tuple[Stack, Orchestrator, Worker]:
    log_dir: Path = arguments.log_dir
    port = _port(arguments.port)
    livekit = LiveKitOptions(webhook_urls=[webhook_url(port)])
    services = {Service.LIVEKIT, Service.REDIS}
    stack = running.enter_context(Stack(services, livekit=livekit, log_dir=log_dir))
    settings = {**_DEVELOPMENT, "REDIS_URL": stack.redis.info.url}
    worker = Worker(stack.livekit.info, {**settings, "IDLE_PROCESSES": "1"}, log_dir=log_dir)
    development = {**settings, "ORCHESTRATOR_MODE": "development"}
    orchestrator = Orchestrator(stack.livekit.info, development, port=port, log_dir=log_dir)
    running.enter_context(worker)
    running.enter_context(orchestrator)
    return stack, orchestrator, worker


def _port(wanted: int) -> int:
    if is_free(wanted):
        return wanted
    port = free_port()
    print(f"devstack: port {wanted} is taken; the orchestrator is on {port}", file=sys.stderr)
    return port


def _how_to_reach(stack: Stack, orchestrator: Orchestrator, logs: Path) -> str:
    livekit = stack.livekit.info
    return _HOW_TO_REACH_IT.format(
        orchestrator=orchestrator.url,
        livekit=livekit.url,
        key=livekit.api_key,
        secret=livekit.api_secret,
        redis=stack.redis.info.url,
        logs=logs,
        token=access_token(
            livekit, "you@example.com", "try-it", metadata={}, agent_name=AGENT_NAME
        ),
    )


def _watch(stack: Stack, servers: Sequence[Server]) -> None:
    never = threading.Event()
    while not never.wait(_CHECK_EVERY_S):
        stack.check()
        for server in servers:
            server.check()
