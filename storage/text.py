"""Which text every back end can keep."""

from __future__ import annotations


def check_storable(text: object, name: str, longest: int, error: type[ValueError]) -> str:
    """Return the text if SQLite and Postgres can both keep it.

    Args:
        text: what is to be stored.
        name: what it is called in the complaint, which never repeats the text.
        longest: how many characters it may have.
        error: the class of the complaint.

    Raises:
        error: it is no text, too long, or holds what Postgres cannot (NUL, lone surrogates).
    """
    if not isinstance(text, str):
        raise error(f"the {name} is not text")
    if len(text) > longest:
        raise error(f"the {name} is longer than {longest} characters; shorten it")
    if "\x00" in text:
        raise error(f"the {name} holds a NUL character; remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise error(f"the {name} is not valid Unicode text") from None
    return text
