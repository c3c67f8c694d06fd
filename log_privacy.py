"""What a log line may say about a person.

What somebody said, and who they are, stays out of every log line at info level or above
unless the operator asks for it (`allow_personal_data`). Our own lines add such values
through `personal()`. The framework's lines are not ours to write: `hide_personal_data` puts
a filter before the handlers, which takes identities, spoken text and the messages of foreign
exceptions out of them.
"""

from __future__ import annotations

import logging
import re
import traceback
from urllib.parse import quote

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
_identities: set[str] = set()


def allow_personal_data(allowed: bool) -> None:
    """Switch personal data in log lines on or off for this process (off at first)."""
    global _allowed
    _allowed = allowed


def personal(**fields: object) -> dict[str, object]:
    """Return the fields for a log line's ``extra``, or nothing while they are not allowed."""
    return dict(fields) if _allowed else {}


def hide_identity(identity: str) -> None:
    """From now on, take this identity out of every log line of this process."""
    _identities.update({identity, quote(identity, safe="")})


def hide_personal_data() -> None:
    """Filter what the root logger's handlers write; a second call changes nothing."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(each, PersonalDataFilter) for each in handler.filters):
            handler.addFilter(PersonalDataFilter())


class PersonalDataFilter(logging.Filter):
    """Takes personal data out of the records that pass, where it is not allowed."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place; never drops one, never raises."""
        if _allowed or record.levelno < logging.INFO:
            return True
        _redact_fields(record)
        _redact_exception(record)
        _redact_message(record)
        return True


def _redact_fields(record: logging.LogRecord) -> None:
    for name, value in list(vars(record).items()):
        if name in _FRAMEWORK_FIELDS or name.startswith(_FRAMEWORK_PREFIX):
            setattr(record, name, REDACTED)
        elif isinstance(value, str) and name not in ("msg", "message", "exc_text"):
            setattr(record, name, _without_identities(value))


def _redact_exception(record: logging.LogRecord) -> None:
    # The message of somebody else's exception may quote a row, an argument, an utterance.
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = _without_identities(_frames_and_types(record.exc_info[1]))
        record.exc_info = None


def _redact_message(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):
        return  # logging reports a malformed line itself
    redacted = _without_identities(message)
    if redacted != message:
        record.msg, record.args = redacted, ()


def _without_identities(text: str) -> str:
    for identity in _identities:
        # As a word of its own: an identity such as "a" stands within many words.
        if identity in text:
            text = re.sub(rf"(?<!\w){re.escape(identity)}(?!\w)", REDACTED, text)
    return text


def _frames_and_types(error: BaseException) -> str:
    lines: list[str] = []
    chain: BaseException | None = error
    while chain is not None:
        frames = "".join(traceback.format_tb(chain.__traceback__))
        lines.append(f"{frames}{type(chain).__module__}.{type(chain).__qualname__}")
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    return "\ncaused by\n".join(lines)
