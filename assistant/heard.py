"""What somebody can have heard of an answer before the connection to them was lost."""

from __future__ import annotations

from livekit.agents.llm import ChatMessage


def heard_part(text: str, started_at: float, stopped_at: float, until: float) -> str:
    """Return the beginning of a text that was spoken by a moment, in whole words.

    Args:
        text: what was spoken, at an even pace.
        started_at: when it began, in seconds.
        stopped_at: when it ended, on the same clock.
        until: until when somebody listened.
    """
    if until >= stopped_at:
        return text
    if until <= started_at:
        return ""
    length = int(len(text) * (until - started_at) / (stopped_at - started_at))
    if text[length : length + 1].isspace():
        return text[:length].rstrip()
    words = text[:length].rsplit(maxsplit=1)
    return words[0] if len(words) > 1 else ""


def cut(message: ChatMessage, until: float) -> bool:
    """Leave of an answer what was heard until then; returns whether that is all of it.

    The framework takes for heard whatever it has played. To a client that is gone it plays on.
    """
    started_at = message.metrics.get("started_speaking_at", message.created_at)
    stopped_at = message.metrics.get("stopped_speaking_at", started_at)
    text = message.text_content or ""
    part = heard_part(text, started_at, stopped_at, until)
    if part == text:
        return True
    message.content = [part]
    message.interrupted = True
    return False
