"""Which of the told turns that answer a question the search finds.

``python -m benchmarks.recall FILE [--backend sqlite|supabase|both]``. The file is JSON in the
form of LoCoMo (Maharana et al., ACL 2024): ``{"conversations": [{"conversation", "turns":
[{"dia_id", "speaker", "text", "session_date_time"}], "questions": [{"question", "evidence",
"category"}]}]}``. Every turn becomes a memory of one person, through the product's store; every
question is asked through the product's search. Recall at k is the share of a question's
evidence turns among the first k found, averaged over the questions that have evidence. Plain
FTS5 with BM25 over the same texts stands beside it. Of a turn longer than a memory may be, its
beginning is stored, as in a conversation.
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import sys
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.report import percentile, print_table, write_json
from config import Settings
from devstack.stack import Service, Stack
from memory import Category, MemoryManager, NewMemory, open_memory_store
from memory.model import MAX_VALUE_LENGTH, TURN_KEY
from migrations.apply import apply
from session_context import set_session_user
from storage import open_storage

DEPTHS = (5, 10, 20)

_SESSION_TIMES = ("%I:%M %p on %d %B, %Y", "%d %B, %Y", "%Y/%m/%d (%a) %H:%M")
"""LoCoMo's, a day alone, and LongMemEval's. ISO 8601 is read as well."""
_BATCH = 200

Search = Callable[[str], Sequence[str]]
"""Returns the keys of what it found, best first."""


@dataclass(frozen=True)
class Turn:
    """A turn of a conversation.

    Attributes:
        key: its dia_id.
        text: with its speaker, as a transcript has it.
        session: when the session began, as the file says it; names the session.
        told_at: that time, a second later for each turn.
    """

    key: str
    text: str
    session: str
    told_at: datetime


@dataclass(frozen=True)
class Asked:
    """A question, the keys of the turns that answer it, and its category."""

    text: str
    evidence: frozenset[str]
    category: str


@dataclass(frozen=True)
class Conversation:
    """A conversation and what is asked about it."""

    name: str
    turns: list[Turn]
    questions: list[Asked]


@dataclass(frozen=True)
class Result:
    """What one search made of one question: its recall at each depth."""

    conversation: str
    category: str
    recall: tuple[float, ...]
    took_ms: float


def main() -> int:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recall", description=__doc__)
    parser.add_argument("file", type=Path, help="conversations in the form of LoCoMo")
    parser.add_argument("--backend", choices=["sqlite", "supabase", "both"], default="sqlite")
    asked = parser.parse_args()
    conversations = read_conversations(asked.file)
    backends = ["sqlite", "supabase"] if asked.backend == "both" else [asked.backend]
    results = {"FTS5, BM25": measure(conversations, plain_fts5)}
    for backend in backends:
        with _product(backend) as search_over:
            results[backend] = measure(conversations, search_over)
    _print(results)
    file = write_json(f"recall-{asked.backend}", _figures(results))
    print(f"\nwritten to {file}")
    return 0


def read_conversations(file: Path) -> list[Conversation]:
    """Read a file of conversations; questions without evidence in it are left out."""
    given = json.loads(file.read_text(encoding="utf-8"))["conversations"]
    read = [_conversation(each) for each in given]
    skipped = sum(len(each["questions"]) for each in given) - sum(len(c.questions) for c in read)
    turns = sum(len(c.turns) for c in read)
    print(f"{len(read)} conversations, {turns} turns; {skipped} questions without evidence skipped")
    return read


def plain_fts5(turns: Sequence[Turn]) -> Search:
    """Return a search by FTS5's own ranking, any word of the question counting."""
    database = sqlite3.connect(":memory:")
    database.execute(
        "CREATE VIRTUAL TABLE turn USING fts5 (key UNINDEXED, text, tokenize = 'porter unicode61')"
    )
    database.executemany("INSERT INTO turn VALUES (?, ?)", [(t.key, t.text) for t in turns])

    def search(question: str) -> list[str]:
        match = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", question))
        if not match:
            return []
        sql = "SELECT key FROM turn WHERE turn MATCH ? ORDER BY rank LIMIT ?"
        return [key for (key,) in database.execute(sql, (match, max(DEPTHS)))]

    weakref.finalize(search, database.close)
    return search


@contextmanager
def _product(backend: str) -> Iterator[Callable[[Sequence[Turn]], Search]]:
    with ExitStack() as running:
        settings = {"DATA_DIR": running.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))}
        if backend == "supabase":
            stack = running.enter_context(Stack({Service.SUPABASE}))
            apply(stack.postgres.info.url)
            stack.supabase.reload_schema()
            wanted = ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY")
            settings |= {name: stack.environment()[name] for name in wanted}
        storage = open_storage(Settings.from_environment(settings).store)
        running.callback(storage.close)
        memory = MemoryManager(lambda: open_memory_store(storage))

        def search_over(turns: Sequence[Turn]) -> Search:
            set_session_user(f"bench-{uuid.uuid4()}")
            keys = {_key(number): turn.key for number, turn in enumerate(turns)}
            told = [_memory(number, turn) for number, turn in enumerate(turns)]
            for start in range(0, len(told), _BATCH):
                memory.store_all(told[start : start + _BATCH])
            return lambda text: [keys[found.key] for found in memory.search(text, max(DEPTHS))]

        yield search_over


def _memory(number: int, turn: Turn) -> NewMemory:
    text = turn.text[:MAX_VALUE_LENGTH]
    return NewMemory(
        Category.FACT, _key(number), text, created_at=turn.told_at, session_id=turn.session
    )


def _key(number: int) -> str:
    return f"{TURN_KEY}{number}"


def measure(
    conversations: Sequence[Conversation], search_over: Callable[[Sequence[Turn]], Search]
) -> list[Result]:
    """Return each question's recall.

    Args:
        conversations: what was told and is asked.
        search_over: makes a search of a conversation's turns, which returns their keys.
    """
    results = []
    for conversation in conversations:
        search = search_over(conversation.turns)
        for asked in conversation.questions:
            began = time.perf_counter()
            found = search(asked.text)
            took_ms = (time.perf_counter() - began) * 1000
            recall = tuple(
                len(asked.evidence.intersection(found[:depth])) / len(asked.evidence)
                for depth in DEPTHS
            )
            results.append(Result(conversation.name, asked.category, recall, took_ms))
    return results


def _conversation(given: dict[str, Any]) -> Conversation:
    turns = [_turn(number, turn) for number, turn in enumerate(given["turns"])]
    keys = {turn.key for turn in turns}
    asked = [
        Asked(each["question"], _evidence(each) & keys, str(each.get("category", "?")))
        for each in given["questions"]
    ]
    name = str(given.get("conversation", "?"))
    return Conversation(name, turns, [each for each in asked if each.evidence])


def _evidence(question: dict[str, Any]) -> frozenset[str]:
    # LoCoMo has some with several turns in one text: "D8:6; D9:17".
    given = question.get("evidence") or ()
    return frozenset(key for text in given for key in re.split(r"[;,\s]+", text) if key)


def _turn(number: int, given: dict[str, Any]) -> Turn:
    session = given["session_date_time"]
    told_at = _session_time(session) + timedelta(seconds=number)
    return Turn(given["dia_id"], f"{given['speaker']}: {given['text']}", session, told_at)


def _session_time(text: str) -> datetime:
    """Read when a session began; a time without a zone is UTC.

    Raises:
        ValueError: it is in none of the forms.
    """
    for form in _SESSION_TIMES:
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
    read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return read if read.tzinfo is not None else read.replace(tzinfo=timezone.utc)


def _print(results: dict[str, list[Result]]) -> None:
    columns = ["", "questions", *(f"@{depth}" for depth in DEPTHS), "p50 ms", "p99 ms"]
    for heading, chosen in _groups(results).items():
        print_table(
            f"Evidence recall, %, {heading}", columns, [_row(n, r) for n, r in chosen.items()]
        )


def _groups(results: dict[str, list[Result]]) -> dict[str, dict[str, list[Result]]]:
    """Return the results of each search: of all questions, and by category and conversation."""
    groups = {"all": results}
    for kind in ("category", "conversation"):
        for value in sorted({getattr(each, kind) for each in next(iter(results.values()))}):
            groups[f"{kind} {value}"] = {
                name: [each for each in found if getattr(each, kind) == value]
                for name, found in results.items()
            }
    return groups


def _row(name: str, results: Sequence[Result]) -> list[object]:
    times = [each.took_ms for each in results]
    return [name, len(results), *_means(results), percentile(times, 0.5), percentile(times, 0.99)]


def _means(results: Sequence[Result]) -> list[float]:
    return [100 * sum(r.recall[i] for r in results) / len(results) for i in range(len(DEPTHS))]


def _figures(results: dict[str, list[Result]]) -> dict[str, object]:
    depths = list(map(str, DEPTHS))
    return {
        heading: {
            name: {
                "questions": len(chosen),
                "recall_at": dict(zip(depths, _means(chosen), strict=True)),
            }
            for name, chosen in of_each.items()
        }
        for heading, of_each in _groups(results).items()
    }


if __name__ == "__main__":
    sys.exit(main())
