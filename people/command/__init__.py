"""``python -m memory``: what an operator does with what is held about people.

What is asked for goes to standard output as JSON, everything else to standard error.
"""

from people.command.command_line import main

__all__ = ["main"]
