"""What whoever types the command can get wrong."""

from __future__ import annotations


class CommandError(Exception):
    """Base of these; nothing was changed, and the text says what to do."""
