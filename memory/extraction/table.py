"""Reads the table of patterns (patterns.txt says how its rows are written)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from memory.extraction.fact import ExtractionError
from memory.extraction.slots import SLOTS, Reading
from memory.model import Category

BUILT_IN = Path(__file__).parent / "patterns.txt"

_SLOT = re.compile(r"\{([A-Za-z]+?)(\d?)\}")
_PIECE = re.compile(r"\{[^}]*\}|\.\.\. |\] |[\[\]()<>|{ ]|[^\[\]()<>|{ .]+|\.")
_SPACE = ",? "
_SIMPLE = {
    " ": _SPACE,
    "(": "(?:",
    ")": ")",
    "<": "(?P<said>",
    ">": ")",
    "|": "|",
    "... ": r"(?:[\w'-]{1,40},? ){0,5}?",
}


class PatternError(ExtractionError):
    """A row of a table cannot be used; the text names the file and the line, and the mend."""


@dataclass(frozen=True)
class Found:
    """What a row found in a clause."""

    category: Category
    key: str
    value: str
    confidence: float


@dataclass(frozen=True)
class Row:
    """One form, ready to be compared with clauses.

    Attributes:
        category: of its facts.
        key: of its facts, with slots.
        said: what is said.
        value: of its facts, with slots.
        confidence: how sure we are, 0 to 1.
        needs_capital: whether one of its slots has to begin with a capital.
    """

    category: Category
    key: str
    said: re.Pattern[str]
    value: str
    confidence: float

    def find(self, clause: str, *, has_capitals: bool) -> list[Found]:
        """Return what the clause tells in this form: nothing, a fact or several."""
        match = self.said.match(clause)
        if match is None:
            return []
        readings: dict[str, list[Reading]] = {}
        for name, text in match.groupdict().items():
            kind = name.rstrip("0123456789")
            read = SLOTS[kind].read(text, has_capitals) if kind in SLOTS else [(text, text)]
            if read is None:
                return []
            readings[name] = read
        return [
            Found(
                self.category,
                _filled(self.key, readings, number, part=0),
                _filled(self.value, readings, number, part=1),
                self.confidence,
            )
            for number in range(max(map(len, readings.values()), default=1))
        ]


@dataclass(frozen=True)
class Answer:
    """What a short answer to a question of the agent says."""

    asked: str
    said: str


@dataclass(frozen=True)
class Table:
    """Rows and answers, in the order in which they are tried."""

    rows: tuple[Row, ...]
    answers: tuple[Answer, ...]


@cache
def read_table(own: Path | None = None) -> Table:
    """Read the built-in table, and before it an operator's own.

    Args:
        own: the operator's file.

    Raises:
        PatternError: a file cannot be read, or a row of it cannot be used.
    """
    rows: list[Row] = []
    answers: list[Answer] = []
    for file in [BUILT_IN] if own is None else [own, BUILT_IN]:
        for where, cells in _lines(file):
            if cells[0] == "ANSWER" and len(cells) == 3:
                answers.append(Answer(cells[1].casefold(), cells[2]))
            else:
                rows.append(_row(where, cells))
    return Table(tuple(rows), tuple(answers))


def _lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PatternError(f"{file}: cannot be read ({type(error).__name__})") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{file.name}, line {number}", _cells(line)


def _cells(line: str) -> list[str]:
    # A bar between brackets parts alternatives and no cells.
    return [cell.strip() for cell in re.split(r"(?<=\s)\|(?=\s)", line.strip())]


def _row(where: str, cells: list[str]) -> Row:
    if len(cells) != 5:
        raise PatternError(f"{where}: a row has 5 cells, this one has {len(cells)}; see the head")
    category, key, said, value, confidence = cells
    if category not in Category.__members__:
        raise PatternError(f"{where}: there is no category {category}")
    try:
        row = Row(Category[category], key, compiled(said), value, float(confidence))
    except (KeyError, re.error, ValueError) as error:
        raise PatternError(f"{where}: {error}") from error
    known = {"0", *row.said.groupindex}
    used = {a + b for a, b in _SLOT.findall(f"{key} {value}")}
    if not used <= known or not 0 <= row.confidence <= 1 or ("{0}" in value and _unnamed(row)):
        raise PatternError(
            f"{where}: a slot of the key or value is not in what is said, "
            "or the confidence is not between 0 and 1"
        )
    return row


def _unnamed(row: Row) -> bool:
    return "said" not in row.said.groupindex


def compiled(said: str) -> re.Pattern[str]:
    """Return the regular expression of what is said in a row.

    Raises:
        ValueError: a slot is of no known kind, or the brackets do not fit.
        re.error: the same slot stands there twice; tell them apart by a digit.
    """
    tail = r"[\s,.!?]*$" if said.endswith("$") else r"(?![\w'-])"
    regex = ""
    closers: list[str] = []
    for piece in _PIECE.findall(said.rstrip("$")):
        if piece == "[":
            regex, closers = f"{regex}(?:(?:", [*closers, ")" + _SPACE + ")?"]
        elif piece.startswith("]"):
            if not closers:
                raise ValueError("the brackets do not fit")
            *closers, closer = closers
            if piece == "]":  # at the end, the space stands before it
                closer, regex = "))?", _space_moved_in(regex)
            regex += closer
        else:
            regex += _SIMPLE.get(piece) or (_slot(piece) if piece[0] == "{" else re.escape(piece))
    if closers:
        raise ValueError("the brackets do not fit")
    return re.compile(rf"(?:{regex}){tail}", re.IGNORECASE)


def _space_moved_in(regex: str) -> str:
    before, _, within = regex.rpartition(f"{_SPACE}(?:(?:")
    return f"{before}(?:{_SPACE}(?:{within}"


def _slot(text: str) -> str:
    match = _SLOT.fullmatch(text)
    if match is None or match[1] not in SLOTS:
        raise ValueError(f"there is no slot {text}; slots.py has the kinds")
    return rf"(?P<{match[1]}{match[2]}>{SLOTS[match[1]].pattern})"


def _filled(template: str, readings: dict[str, list[Reading]], number: int, *, part: int) -> str:
    def words(match: re.Match[str]) -> str:
        found = readings[match[1] + match[2]]
        return found[min(number, len(found) - 1)][part]

    said = readings.get("said", [("", "")])[0][part]
    return _SLOT.sub(words, template.replace("{0}", said))
