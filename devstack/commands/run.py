"""``python -m devstack run``: LiveKit and the worker, on embedded defaults, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from devstack.machine import PROJECT_ROOT
from devstack.participant import access_token
from devstack.servers.livekit import LiveKitInfo
from devstack.servers.worker import Worker
from devstack.stack import Service, Stack

_CHECK_EVERY_S = 0.5

_HOW_TO_REACH_IT = """
The agent is running.

  LiveKit server   {url}
  API key, secret  {key} {secret}
  Logs             {logs}

Join with any LiveKit client, in any room: every room gets the agent. A token for you:

  {token}

  lk room join --url {url} --token TOKEN try-it        (LiveKit's command line)
  https://agents-playground.livekit.io                 (Manual: the URL and the token)

No server needed: make chat. Two scripted conversations: make demo. Ctrl-C ends this.
"""


def add_run(register: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = register("run", help="run LiveKit and the worker on embedded defaults")
    parser.add_argument(
        "--log-dir",
        type=Path,
        default=PROJECT_ROOT / ".cache" / "logs",
        help="the folder for the servers' logs",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        with Stack({Service.LIVEKIT}, log_dir=arguments.log_dir) as stack:
            livekit = stack.livekit.info
            settings = {"IDLE_PROCESSES": "1", "LIVEKIT_AGENT_NAME": ""}
            worker = Worker(livekit, settings, log_dir=arguments.log_dir)
            with worker:
                print(_how_to_reach(livekit, arguments.log_dir), flush=True)
                _watch(stack, worker)
    except KeyboardInterrupt:
        print("devstack: stopped", file=sys.stderr)
    return 0


def _how_to_reach(livekit: LiveKitInfo, logs: Path) -> str:
    return _HOW_TO_REACH_IT.format(
        url=livekit.url,
        key=livekit.api_key,
        secret=livekit.api_secret,
        logs=logs,
        token=access_token(livekit, "you@example.com", "try-it"),
    )


def _watch(stack: Stack, worker: Worker) -> None:
    never = threading.Event()
    while not never.wait(_CHECK_EVERY_S):
        stack.check()
        worker.check()
