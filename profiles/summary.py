"""The part of the profile text that is written from conversations.

The text may be somebody's own: the person's, the operator's, the model's through its tool. It
is theirs and stays as it is. What extraction writes follows it, after a heading of its own,
and only that part is replaced.
"""

from __future__ import annotations

from profiles.model import MAX_TEXT_LENGTH

HEADING = "From conversations: "
LONGEST_SUMMARY = 600
"""Characters."""


def with_summary(text: str, summary: str) -> str:
    r"""Return the profile text with its summary replaced.

    Args:
        text: the profile text as it is.
        summary: what conversations say of the person. An empty one leaves the text as it is,
            and so does one for which there is no room; a long one is cut at a word.

    >>> with_summary("Likes to be called Bo.", "Lives in Lyon.")
    'Likes to be called Bo.\n\nFrom conversations: Lives in Lyon.'
    """
    short = _cut(" ".join(summary.split()))
    own = own_text(text)
    written = f"{own}\n\n{HEADING}{short}" if own else f"{HEADING}{short}"
    return text if not short or len(written) > MAX_TEXT_LENGTH else written


def own_text(text: str) -> str:
    """Return the profile text without the part that is written from conversations."""
    if text.startswith(HEADING):
        return ""
    return text.rpartition(f"\n\n{HEADING}")[0] if f"\n\n{HEADING}" in text else text


def _cut(summary: str) -> str:
    if len(summary) <= LONGEST_SUMMARY:
        return summary
    return summary[: LONGEST_SUMMARY - 3].rsplit(" ", maxsplit=1)[0] + "..."
