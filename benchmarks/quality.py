"""How good what is remembered is: junk, missed and wrong facts, contradictions left.

Dialogues with what should be kept of them are played through the product's own gate,
recorder, extraction and store: ``python -m benchmarks.quality [--dialogues FILE ...]``.

Read twice: by the rules, and by a language model that is a stand-in, reached over the wire
through the real plugin. The stand-in's answers are fixed in the dialogues: its figures show
that the plumbing loses and doubles nothing, and say nothing of how well a model reads.

``dev.json`` is what the rules were written against; ``held_out.json`` is not, though faults that
it showed were mended (docs/adr/0014-extraction.md has the figures of its first run). Both were
written by the project, so both flatter: expect less of people.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.dialogue import Dialogue, read_dialogues
from benchmarks.playing import played_by_fixed_answers, played_by_rules
from benchmarks.report import print_table, write_json
from benchmarks.scoring import Score, scored

DIALOGUES = Path(__file__).parent / "dialogues"
DEFAULT = [DIALOGUES / "dev.json", DIALOGUES / "held_out.json"]

_COLUMNS = [
    "",
    "turns",
    "kept",
    "junk rate %",
    "lost turns %",
    "facts told",
    "missed %",
    "wrong",
    "wrong %",
    "contradictions",
    "category %",
    "expiry %",
]


def main() -> int:
    """Play, score, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--dialogues", type=Path, nargs="+", default=DEFAULT)
    parser.add_argument("--errors", action="store_true", help="print what went wrong, each")
    asked = parser.parse_args()
    figures: dict[str, object] = {}
    rows: list[list[object]] = []
    for file in asked.dialogues:
        dialogues = read_dialogues(file)
        for name, score in asyncio.run(_both(dialogues)).items():
            title = f"{name}, {file.stem}"
            rows.append(_row(title, score))
            figures[title] = {**asdict(score), **score.rates()}
            if asked.errors:
                _print_errors(title, score)
    print_table("What is remembered of the dialogues", _COLUMNS, rows)
    print(
        "\nkept: turns and facts. junk rate: of those, turns that say nothing of the person and "
        "wrong facts.\ncontradictions: things with two current values. stand-in: fixed answers "
        "from the dialogue files\nover the wire; it shows the plumbing, not a model's quality."
    )
    print(f"\nwritten to {write_json('quality', {'scores': figures})}")
    return 0


async def _both(dialogues: Sequence[Dialogue]) -> dict[str, Score]:
    return {
        "rules": scored(await played_by_rules(dialogues)),
        "stand-in LLM": scored(await played_by_fixed_answers(dialogues)),
    }


def _row(title: str, score: Score) -> list[object]:
    rates = score.rates()
    return [
        title,
        score.turns,
        score.kept,
        rates["junk_percent"],
        rates["lost_turns_percent"],
        score.expected_facts,
        rates["missed_percent"],
        len(score.wrong),
        rates["wrong_percent"],
        len(score.contradictions),
        rates["category_percent"],
        rates["expiry_percent"],
    ]


def _print_errors(title: str, score: Score) -> None:
    for what in ("junk_turns", "lost_turns", "missed", "wrong", "contradictions"):
        for line in getattr(score, what):
            print(f"{title}: {what}: {json.dumps(line, ensure_ascii=False)}")


if __name__ == "__main__":
    sys.exit(main())
