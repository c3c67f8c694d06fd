"""The kinds of words that stand in a pattern's slots: what they match and what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from memory.extraction.keys import singular, slug, topic
from memory.extraction.kinds import (
    JOB_ENDINGS,
    JOBS,
    LANGUAGES,
    NOT_NAMES,
    NUMBER_WORDS,
    ORDINALS,
    PASSED_OVER_ADJECTIVES,
    PETS,
    RELATION_ADJECTIVES,
    RELATION_PLURALS,
    RELATIONS,
    TENS,
    number_of,
)

Reading = tuple[str, str]
"""What a slot's words mean: as a part of a key, and as a part of a value."""

_WORD = r"[^\W_](?:[\w'&+/-]|\.(?=\w)){0,39}"
_CAPITAL = r"(?-i:[A-Z\u00c0-\u00de])[\w'-]{0,39}"
_WORDS = rf"{_WORD}(?: {_WORD}){{0,7}}"

_TIME = (
    r"now|nowadays|currently|anymore|these days|at the moment|yesterday|today|tomorrow|tonight"
    r"|(?:last|this|next|every) \w+|since|for (?:\w+ )?(?:\d|years?|months?|a (?:while|long))"
    r"|(?:\w+ )?(?:years?|months?|weeks?|days?) ago|already|recently|again|too|as well|though"
    r"|from now|right now|anyway|please|actually|either|honestly|myself|to be (?:honest|fair)"
    r"|(?:funnily|sadly|strangely) enough|i (?:guess|think|suppose)"
)
_LINK = r"because|but|so|which|who|whose|that|when|where|while|if|although|and (?:i|my|we|he|she)"


@dataclass(frozen=True)
class Slot:
    """A kind of words.

    Attributes:
        pattern: what they look like, as a bounded regular expression.
        read: what they mean, or None where they are not of this kind after all. Several
            meanings are several facts. Takes the words, and whether the text has capitals.
    """

    pattern: str
    read: Callable[[str, bool], list[Reading] | None]


def _until(*stops: str) -> Callable[[str], str]:
    stop = re.compile(rf"(?:^|\s)(?:{'|'.join((_TIME, _LINK, *stops))})(?=\s|$)", re.IGNORECASE)

    def cut(text: str) -> str:
        found = stop.search(text)
        return (text[: found.start()] if found else text).strip(" ,.'-")

    return cut


def _phrase(
    *stops: str, key: Callable[[str], str] = slug, not_first: str = ""
) -> Callable[[str, bool], list[Reading] | None]:
    cut = _until(*stops)
    refused = frozenset(not_first.split())

    def read(text: str, _has_capitals: bool) -> list[Reading] | None:
        value = cut(text)
        if not value or value.split()[0].casefold() in refused or not key(value):
            return None
        return [(key(value), value)]

    return read


def _several(
    *stops: str, key: Callable[[str], str] = singular, not_first: str = ""
) -> Callable[[str, bool], list[Reading] | None]:
    one = _phrase(*stops, key=key, not_first=not_first)

    def read(text: str, has_capitals: bool) -> list[Reading] | None:
        readings: list[Reading] = []
        # Commas part a list where it ends in "and"; else an aside follows.
        is_list = re.search(r" (?:and|or) ", text)
        items = re.sub(r"^to ", "", text if is_list else text.split(", ")[0])
        for part in re.split(r",? (?:and|or) |, ", items):
            found = one(part, has_capitals)
            if found is None:
                break
            readings += found
        return readings or None

    return read


def _name(text: str, has_capitals: bool) -> list[Reading] | None:
    said = re.sub(r"'s$", "", text.strip(" '-"))
    first, *others = said.split()
    if first.casefold() in NOT_NAMES or not first[0].isalpha():
        return None
    if not has_capitals:
        return [(slug(first), first.title())]
    kept = [first, *(each for each in others if each[0].isupper() and each != "I")]
    value = " ".join(each if any(c.isupper() for c in each) else each.title() for each in kept)
    return [(slug(value), value)]


def _place(text: str, has_capitals: bool) -> list[Reading] | None:
    value = _until("with", "and", "near", "by", "as", "for", "about", "after", "before")(text)
    if not value:
        return None
    words = value.split()
    if words[0].casefold() in {"a", "an", "my", "this", "that", "our", "your", "it", "here"}:
        return None
    if not has_capitals:
        value = " ".join(words[:3]).title()
    elif not any(word[0].isupper() for word in words):
        return None
    return [(slug(value), value)]


def _job(text: str, _has_capitals: bool) -> list[Reading] | None:
    value = _until("at", "for", "in", "with", "and", "from", "by", "on", "of", "near")(text)
    if not value:
        return None
    last = value.split()[-1].casefold()
    if last in JOBS or last.endswith(JOB_ENDINGS):
        return [(slug(value), value)]
    return None


def _relation(text: str, _has_capitals: bool) -> list[Reading]:
    *adjectives, noun = text.casefold().split()
    kept = [word for word in adjectives if word in RELATION_ADJECTIVES]
    name = "_".join([*kept, RELATIONS[noun]])
    return [(name, name.replace("_", " "))]


def _looked_up(names: dict[str, str]) -> Callable[[str, bool], list[Reading] | None]:
    def read(text: str, _has_capitals: bool) -> list[Reading] | None:
        name = names.get(text.casefold())
        return [(name, text.casefold())] if name else None

    return read


def _number(text: str, _has_capitals: bool) -> list[Reading] | None:
    number = number_of(text)
    return None if number is None else [(str(number), str(number))]


def _as_said(text: str, _has_capitals: bool) -> list[Reading] | None:
    return [(slug(text), text)] if slug(text) else None


def _any_of(words: object) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))  # type: ignore[call-overload]


def _plural(pet: str) -> str:
    if pet.endswith("y"):
        return f"{pet[:-1]}ies"
    return pet if pet.endswith("fish") else f"{pet}s"


_PETS = {pet: pet.replace("-", "_") for pet in PETS}
_PETS_COUNTED = {form: _plural(pet) for pet in PETS for form in (pet, _plural(pet))}
_ADJECTIVES = _any_of([*RELATION_ADJECTIVES, *PASSED_OVER_ADJECTIVES])
_NOT_LIKED = (
    "it that this these those you him her them how when what where who my your being having "
    "doing i me us there one"
)
_NAME = rf"[^\W\d_][\w'-]{{0,39}}(?: {_CAPITAL}){{0,2}}"

SLOTS: dict[str, Slot] = {
    "name": Slot(_NAME, _name),
    "Name": Slot(rf"{_CAPITAL}(?: {_CAPITAL}){{0,2}}", _name),
    "place": Slot(rf"[^\W\d_][\w'.-]{{0,39}}(?: {_WORD}){{0,4}}", _place),
    "job": Slot(_WORDS, _job),
    "role": Slot(_WORDS, _phrase("at", "for", "in", "with", "and", "from", "mostly")),
    "company": Slot(_WORDS, _phrase("and", "as", "in", "near", "on", not_first="a an my me")),
    "subject": Slot(_WORDS, _phrase("at", "in", "and", "with", not_first="at in for with hard")),
    "thing": Slot(_WORDS, _phrase()),
    "likes": Slot(
        rf"{_WORD}(?:,? {_WORD}){{0,9}}",
        _several("very much", "a lot", "more than", "over", not_first=_NOT_LIKED + " some"),
    ),
    "food": Slot(rf"{_WORD}(?:,? {_WORD}){{0,5}}", _several(not_first="it that them much any a")),
    "aim": Slot(_WORDS, _phrase("before", key=topic)),
    "plan": Slot(_WORDS, _phrase(key=topic)),
    "number": Slot(
        rf"\d{{1,3}}|(?:{_any_of(TENS)})(?:[- ](?:{_any_of(NUMBER_WORDS)}))?"
        rf"|{_any_of(NUMBER_WORDS)}|an?",
        _number,
    ),
    "ordinal": Slot(rf"\d{{1,2}}(?:st|nd|rd|th)|{_any_of(ORDINALS)}", _as_said),
    "year": Slot(r"(?:19|20)\d\d", _as_said),
    "date": Slot(_WORDS, _as_said),
    "relation": Slot(rf"(?:(?:{_ADJECTIVES}) ){{0,3}}(?:{_any_of(RELATIONS)})", _relation),
    "relations": Slot(_any_of(RELATION_PLURALS), _looked_up(RELATION_PLURALS)),
    "pet": Slot(_any_of(_PETS), _looked_up(_PETS)),
    "pets": Slot(_any_of(_PETS_COUNTED), _looked_up(_PETS_COUNTED)),
    "language": Slot(
        rf"(?:{_any_of(LANGUAGES)})(?:,? (?:and )?(?:a little |some |a bit of )?"
        rf"(?:{_any_of(LANGUAGES)})){{0,4}}",
        lambda text, _: [
            (each.casefold(), each.title())
            for each in re.findall(rf"\b(?:{_any_of(LANGUAGES)})\b", text, re.IGNORECASE)
        ],
    ),
    "Company": Slot(rf"{_CAPITAL}(?: {_CAPITAL}){{0,3}}", _phrase("and", "as", "in")),
    "vehicle": Slot(rf"{_CAPITAL}(?: {_WORD}){{0,3}}", _phrase("and", "to")),
    "verb": Slot(
        "fly|start|go|leave|travel|move|return|turn|see|meet|come|finish|play|get", _as_said
    ),
    "ing": Slot(r"[a-z]{2,20}ing", _as_said),
}
"""A slot's name in a pattern, less a digit at its end, is a key of this table."""
