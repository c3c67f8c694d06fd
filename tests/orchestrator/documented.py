"""The commands in a document that are marked to be run, and what they must print."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(
    r"^```sh runnable\n(?P<command>.*?)^```\n(?:\n```text\n(?P<expected>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Documented:
    """A command, and the texts that its output must have, in this order."""

    command: str
    expected: tuple[str, ...]

    def missing_in(self, output: str) -> list[str]:
        """The expected texts that the output lacks, or has in another order."""
        at, missing = 0, []
        for text in self.expected:
            found = output.find(text, at)
            if found < 0:
                missing.append(text)
            else:
                at = found + len(text)
        return missing


def commands_of(document: str) -> list[Documented]:
    """Every marked command, in the order of the document."""
    return [
        Documented(found["command"], tuple((found["expected"] or "").splitlines()))
        for found in _BLOCK.finditer(document)
    ]
