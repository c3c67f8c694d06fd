"""The text of a walk, with what differs from run to run replaced."""

from __future__ import annotations

import re

from demo.walk import ORCHESTRATOR, Step

_INTRODUCTION = """# A session by plain curl

Written by `make transcript`, which runs every command below as it stands against the stack of
`make run` (development mode: no key, this machine only). What differs from run to run is replaced:
ids, tokens (`eyJ...`), times and process ids (`...`), and ports. `LIVEKIT_API_SECRET` is the secret
that `make run` prints.
"""

_SAME = (
    (re.compile(r"ws://127\.0\.0\.1:\d+"), "ws://127.0.0.1:7880"),
    (re.compile(r"session_\d{13}_[0-9a-f]{32}"), "session_1767225600000_" + "0123456789abcdef" * 2),
    (re.compile(r"eyJ[\w.-]+"), "eyJ..."),
    (
        re.compile(r'"(\w*(?:[Tt]ime|[Ss]econds|[Pp]id|_at|At|_id_in_log))":\s*"?[\d.TZ:+-]+"?'),
        r'"\1":...',
    ),
    (re.compile(r'"(error_?[iI]d|hash|agent_?[hH]ost)":\s*"[^"]*"'), r'"\1":...'),
)


class Transcript:
    """Grows by what is run and said.

    Args:
        orchestrator: the orchestrator's real URL.
    """

    def __init__(self, orchestrator: str) -> None:
        self._orchestrator = orchestrator
        self._parts = [_INTRODUCTION]

    def ran(self, step: Step, command: str, answer: str) -> None:
        """Add a command, as it was run, and what it printed."""
        self._parts.append(
            f"{step.title}\n\n```sh\n{command}\n```\n\n```text\n{answer.strip()}\n```\n"
        )

    def said(self, title: str, lines: list[str]) -> None:
        """Add a stretch of the conversation."""
        conversation = "\n".join(lines)
        self._parts.append(f"{title}\n\n```text\n{conversation}\n```\n")

    def text(self) -> str:
        """Return the document."""
        text = "\n".join(self._parts).replace(self._orchestrator, ORCHESTRATOR)
        for pattern, replacement in _SAME:
            text = pattern.sub(replacement, text)
        return text
