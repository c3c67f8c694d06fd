"""Arguments that are one of a few words."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

E = TypeVar("E", bound=Enum)


def one_of(choices: type[E]) -> Callable[[str], E]:
    """Return the ``type`` of an argument whose words are the values of an enumeration.

    Argparse's own ``choices`` does not go with ``nargs="*"`` and no argument at all.
    """

    def convert(word: str) -> E:
        try:
            return choices(word)
        except ValueError:
            known = ", ".join(str(choice.value) for choice in choices)
            raise argparse.ArgumentTypeError(f"there is no {word!r}; choose from {known}") from None

    return convert
