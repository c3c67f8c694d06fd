"""The recall benchmark counts what it says it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import recall

FIRST, SECOND = "1:56 pm on 8 May, 2023", "9:05 am on 3 June, 2023"


def turn(name: str, text: str, session: str) -> dict[str, str]:
    return {"dia_id": name, "speaker": "Ana", "text": text, "session_date_time": session}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    asked = [
        {"question": "When did Ana sail?", "evidence": ["D1:1", "D2:1"], "category": 2},
        {"question": "Who cooks?", "evidence": ["D9:9"], "category": 1},
        {"question": "Why?", "evidence": [], "category": 5},
    ]
    turns = [turn("D1:1", "I sailed all day", FIRST), turn("D1:2", "It rained", FIRST)]
    turns.append(turn("D2:1", "Sailing again!", SECOND))
    conversation = {"conversation": "1", "turns": turns, "questions": asked}
    made = tmp_path / "conversations.json"
    made.write_text(json.dumps({"conversations": [conversation]}))
    return made


def test_questions_without_evidence_in_the_file_are_skipped_and_counted(file, capsys):
    [conversation] = recall.read_conversations(file)
    assert [asked.text for asked in conversation.questions] == ["When did Ana sail?"]
    assert "2 questions without evidence skipped" in capsys.readouterr().out


def test_both_searches_are_measured_over_the_same_turns(file, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.report.RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["recall", str(file)])
    assert recall.main() == 0
    printed = capsys.readouterr().out
    assert "FTS5, BM25" in printed
    written = json.loads((tmp_path / "recall-sqlite.json").read_text())
    assert written["all"]["sqlite"] == {
        "questions": 1,
        "recall_at": {"5": 100.0, "10": 100.0, "20": 100.0},
    }


def test_a_turn_that_is_found_late_counts_only_where_it_is(file):
    [conversation] = recall.read_conversations(file)
    [result] = recall.measure([conversation], lambda _: lambda _: ["D1:1", *"abcdefgh", "D2:1"])
    assert result.recall == (0.5, 1.0, 1.0)


def test_a_question_without_a_word_finds_nothing_and_a_turn_of_any_length_is_stored(
    file, monkeypatch, tmp_path
):
    given = json.loads(file.read_text())
    [conversation] = given["conversations"]
    conversation["turns"].append(turn("D2:2", "I sailed " + "on and " * 2_000 + "home", SECOND))
    conversation["questions"] = [
        {"question": "?!", "evidence": ["D1:1"], "category": 1},
        {"question": "Who sailed home?", "evidence": ["D2:2"], "category": 1},
    ]
    file.write_text(json.dumps(given))
    monkeypatch.setattr("benchmarks.report.RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["recall", str(file)])
    assert recall.main() == 0
    written = json.loads((tmp_path / "recall-sqlite.json").read_text())
    for search in ("FTS5, BM25", "sqlite"):
        assert written["all"][search]["recall_at"]["20"] == 50.0
