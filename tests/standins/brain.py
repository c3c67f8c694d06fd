"""A brain that follows a script."""

from __future__ import annotations

from collections.abc import Callable

from tests.standins.chat_answer import Answer, Brain
from tests.standins.chat_request import ChatRequest

Reply = Answer | str | Brain
"""An answer, a text to say, or a function that makes one of them from the request."""

Predicate = Callable[[ChatRequest], bool]


def echo(request: ChatRequest) -> str:
    """Say back what was heard last: the tools' output, or the user's message."""
    if request.tool_results:
        return "The tools answered: " + "; ".join(r.output for r in request.tool_results)
    return f"You said: {request.last_user_text}"


class ScriptedBrain:
    """Answers by rules; the first that fits wins, and every rule fits any number of times.

    >>> brain = ScriptedBrain()
    >>> brain.when("color is blue", call("remember", value="blue"))
    >>> brain.after("remember", "I will remember that.")

    Args:
        default: the answer when no rule fits.
    """

    def __init__(self, default: Reply = echo) -> None:
        self._default = default
        self._rules: list[tuple[Predicate, Reply]] = []

    def when(self, heard: str | Predicate, reply: Reply) -> ScriptedBrain:
        """Answer a message of the user.

        Args:
            heard: a part of the user's latest message, upper or lower case, or a predicate
                on the whole request. The rule is not asked once tools have answered, nor
                where an answer in JSON is wanted.
            reply: the answer.

        Returns:
            The brain itself.
        """
        fits = _contains(heard) if isinstance(heard, str) else heard
        self._rules.append(
            (lambda r: not r.tool_results and r.response_format is None and fits(r), reply)
        )
        return self

    def in_json(self, reply: Reply) -> ScriptedBrain:
        """Answer where an answer in JSON is wanted.

        Args:
            reply: the answer.

        Returns:
            The brain itself.
        """
        self._rules.append((lambda request: request.response_format is not None, reply))
        return self

    def after(self, tool: str, reply: Reply) -> ScriptedBrain:
        """Answer when this tool was the last to answer.

        Args:
            tool: the tool's name.
            reply: the answer.

        Returns:
            The brain itself.
        """
        self._rules.append(
            (lambda r: bool(r.tool_results) and r.tool_results[-1].name == tool, reply)
        )
        return self

    def __call__(self, request: ChatRequest) -> Answer | str:
        replies = (reply for fits, reply in self._rules if fits(request))
        reply = next(replies, self._default)
        return reply(request) if callable(reply) else reply


def _contains(part: str) -> Predicate:
    return lambda request: part.casefold() in request.last_user_text.casefold()
