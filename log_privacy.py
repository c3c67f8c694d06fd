"""What a log line may say about a person.

What somebody said, and who they are, stays out of every log line at info level or above
unless the operator asks for it (`allow_personal_data`). Our own lines add such values
through `personal()`. The framework's lines are not ours to write: `PersonalDataFilter`
takes the identity and the spoken text out of them on their way to the handlers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

_FRAMEWORK_FIELDS = frozenset(
    {
        "participant",
        "participant_identity",
        "lk.participant_identity",
        "identity",
        "user_input",
        "transcript",
        "user_transcript",
        "text",
        "arguments",
        "output",
        "speech",
    }
)
_FRAMEWORK_PREFIX = "lk.pii."
"""livekit-agents marks personal values in its own log lines with this prefix."""

REDACTED = "[personal data]"

_allowed = False


def allow_personal_data(allowed: bool) -> None:
    """Switch personal data in log lines on or off for this process (off at first)."""
    global _allowed
    _allowed = allowed


def personal(**fields: object) -> dict[str, object]:
    """Return the fields for a log line's ``extra``, or nothing while they are not allowed."""
    return dict(fields) if _allowed else {}


class PersonalDataFilter(logging.Filter):
    """Takes personal data out of the records that pass, where it is not allowed.

    Args:
        identity: returns the current participant's identity, or None; wherever that text
            stands in a message or a traceback, it is replaced.
    """

    def __init__(self, identity: Callable[[], str | None]) -> None:
        super().__init__()
        self._identity = identity

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place; never drops one."""
        if _allowed or record.levelno < logging.INFO:
            return True
        for name in list(vars(record)):
            if name in _FRAMEWORK_FIELDS or name.startswith(_FRAMEWORK_PREFIX):
                setattr(record, name, REDACTED)
        identity = self._identity()
        if identity:
            self._replace_identity(record, identity)
        return True

    def _replace_identity(self, record: logging.LogRecord, identity: str) -> None:
        # As a word of its own: an identity such as "a" stands within many words.
        mention = re.compile(rf"(?<!\w){re.escape(identity)}(?!\w)")
        message = record.getMessage()
        if mention.search(message):
            record.msg, record.args = mention.sub(REDACTED, message), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text and mention.search(record.exc_text):
            record.exc_text = mention.sub(REDACTED, record.exc_text)
            record.exc_info = None
