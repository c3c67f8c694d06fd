"""``python -m demo.curl_walk``: one session by plain curl, and the transcript of it.

Starts the stack of ``make run``, runs each command of the walk in sh as it stands in the
transcript, lets a scripted person join over WebRTC with the token that curl got, and writes
docs/orchestrator-transcript.md. Run again, it writes the same file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from config import variables
from demo.transcript import Transcript
from demo.walk import (
    END,
    END_AGAIN,
    HEALTH,
    LOOK,
    LOOK_AGAIN,
    ORCHESTRATOR,
    SAID,
    START,
    TOKEN,
    UNSIGNED,
    WEBHOOK,
    Step,
)
from devstack.development import Development, development
from devstack.errors import DevstackError
from devstack.machine import PROJECT_ROOT, Machine
from devstack.participant import Participant

DOCUMENT = PROJECT_ROOT / "docs" / "orchestrator-transcript.md"
_TIMEOUT_S = 60.0
_LOOKS = 50
_PROGRAMS = ("curl", "openssl", "sh")


class WalkFailedError(Exception):
    """The walk cannot be made, or a step did not do what it must; the text says what."""


class Walk:
    """One walk along a running stack.

    Args:
        running: the stack.
    """

    def __init__(self, running: Development) -> None:
        self._running = running
        self._session = ""
        self.transcript = Transcript(running.orchestrator.url)

    async def go(self) -> None:
        """Walk from start to end.

        Raises:
            WalkFailedError: a step did not do what it must.
        """
        await self._run(HEALTH)
        started = await self._run(START)
        self._session = str(started["sessionId"])
        await self._talk(str(started["token"]))
        for step in (END_AGAIN, LOOK_AGAIN, TOKEN):
            await self._run(step)

    async def _talk(self, token: str) -> None:
        try:
            async with Participant(self._running.livekit, token) as anna:
                lines = [f"agent: {(await anna.hear(_TIMEOUT_S)).text}", f"anna:  {SAID}"]
                lines.append(f"agent: {await anna.ask(SAID)}")
                self.transcript.said(
                    "Join with the token: here a scripted person over WebRTC, who types.", lines
                )
                await self._until_ready()
                for step in (LOOK, WEBHOOK, UNSIGNED):
                    await self._run(step)
                await self._run(END)
                await asyncio.wait_for(anna.disconnected.wait(), 10.0)
        except asyncio.TimeoutError:
            raise WalkFailedError("the agent did not answer, or its room did not end") from None

    async def _until_ready(self) -> None:
        # The job notes that it is ready beside the conversation.
        for _ in range(_LOOKS):
            if LOOK.answers[0] in await asyncio.to_thread(self._shell, self._command(LOOK)):
                return
            await asyncio.sleep(0.1)

    def _command(self, step: Step) -> str:
        command = step.command.replace(ORCHESTRATOR, self._running.orchestrator.url)
        return command.replace("SESSION_ID", self._session)

    async def _run(self, step: Step) -> dict[str, Any]:
        command = self._command(step)
        answer = await asyncio.to_thread(self._shell, command)
        body, _, status = answer.strip().rpartition("\nHTTP ")
        lacking = [text for text in step.answers if text not in body.replace('": ', '":')]
        if status != str(step.status) or lacking:
            raise WalkFailedError(f"{command}\nmust answer {step.status} {lacking}, not:\n{answer}")
        self.transcript.ran(step, command, answer)
        parsed: dict[str, Any] = json.loads(body)
        return parsed

    def _shell(self, command: str) -> str:
        secret = self._running.livekit.api_secret
        done = subprocess.run(
            ["sh", "-euc", command],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env={"PATH": os.environ.get("PATH", os.defpath), "LIVEKIT_API_SECRET": secret},
        )
        return done.stdout + done.stderr


def missing_programs() -> list[str]:
    """Return the programs that the walk needs and this machine lacks."""
    machine = Machine.current()
    return [name for name in _PROGRAMS if machine.which(name) is None]


def untouched_machine() -> Machine:
    """Return this machine without any setting of the developer's."""
    ours = {*variables(), "ENV_FILE"}
    environ = {name: value for name, value in os.environ.items() if name not in ours}
    return replace(Machine.current(), environ={**environ, "ENV_FILE": os.devnull})


def walked(*, port: int | None = None) -> str:
    """Make the walk and return its transcript.

    Args:
        port: the orchestrator's; a free one by default.

    Raises:
        WalkFailedError: a program is missing, or a step did not do what it must.
        DevstackError: this machine cannot have one of the servers.
    """
    if missing := missing_programs():
        raise WalkFailedError(f"the walk needs {' and '.join(missing)} on PATH: install them")
    with tempfile.TemporaryDirectory(prefix="walk-") as folder:
        settings = {"DATA_DIR": str(Path(folder) / "data")}
        with development(settings, port=port, machine=untouched_machine()) as running:
            walk = Walk(running)
            asyncio.run(walk.go())
    return walk.transcript.text()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the transcript and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.curl_walk", description=__doc__)
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="the file to write")
    output: Path = parser.parse_args(arguments).output
    try:
        text = walked()
    except (WalkFailedError, DevstackError) as error:
        sys.stderr.write(f"the walk failed: {error}\n")
        return 1
    output.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{text}\nwritten to {output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
