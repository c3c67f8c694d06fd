"""Facts are read behind the conversation, stored under one key a thing, and nothing gets out."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone

import pytest

from memory import Category, Memory, MemoryManager, NewMemory
from memory.extraction import Extraction, Fact, FactModelError, RuleModel, ToldTurn
from memory.extraction.extractor import Extractor
from memory.extraction.settling import settled
from memory.recorder import Recorder, UserTurn, write_id
from session_context import set_session_generation, set_session_user
from storage import StorageUnavailableError

pytest_plugins = ["tests.unit.extraction_fixtures"]

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)


class FixedModel:
    """Answers as told, and keeps what it was asked."""

    def __init__(self, *answers: Extraction | Exception, delay_s: float = 0) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[list[str], list[str], list[str]]] = []
        self.delay_s = delay_s
        self.cancelled = 0
        self.was_asked = asyncio.Event()

    async def read(
        self,
        turns: Sequence[ToldTurn],
        known: Sequence[Memory],
        earlier: Sequence[ToldTurn] = (),
    ) -> Extraction:
        self.asked.append(
            ([t.text for t in turns], [m.value for m in known], [t.text for t in earlier])
        )
        self.was_asked.set()
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        answer = self.answers.pop(0) if self.answers else Extraction()
        if isinstance(answer, Exception):
            raise answer
        return answer


def extractor(memory, threads, model, **options) -> Extractor:
    wanted = {"deadline_s": 5.0, "wait_s": 0.0, "least_confidence": 0.6, "fallback": RuleModel()}
    made = Extractor(memory, threads, "session-1", model=model, **{**wanted, **options})
    made.start()
    return made


def told(text: str, number: int = 0, **more) -> ToldTurn:
    return ToldTurn(text, f"item-{number}", NOON + timedelta(minutes=number), **more)


def fact(key: str, value: str, turn: int = 0, confidence: float = 0.9, **more) -> Fact:
    return Fact(turn, Category.FACT, key, value, confidence, **more)


def held(memory: MemoryManager) -> dict[str, str]:
    return {each.key: each.value for each in memory.list_facts()}


async def test_a_fact_keeps_its_turn_its_time_and_how_sure_we_are(memory, threads):
    source = write_id("session-1", "item-0", "turn")
    expires_at = datetime(2099, 1, 1, tzinfo=timezone.utc)
    model = FixedModel(Extraction((fact("job", "nurse", expires_at=expires_at),)))
    reading = extractor(memory, threads, model)
    reading.hear(told("I'm a nurse until the end of the century", memory_id=source))
    await reading.aclose(5)
    [kept] = memory.list_facts()
    assert (kept.key, kept.value, kept.created_at) == ("job", "nurse", NOON)
    assert (kept.source_id, kept.session_id, kept.expires_at) == (source, "session-1", expires_at)
    assert kept.confidence == pytest.approx(0.9)
    assert kept.id == write_id("session-1", "item-0", "fact", 0)


async def test_a_correction_supersedes_and_the_history_stays(memory, threads):
    reading = extractor(memory, threads, RuleModel())
    for number, text in enumerate(
        ["My sister is called Anna.", "No, my sister is called Ana.", "My sister is called Ana."]
    ):
        reading.hear(told(text, number))
        assert await reading.flush(5)
    await reading.aclose(5)
    assert held(memory) == {"sister_name": "Ana"}
    told_values = [m.value for m in memory.history("RELATIONSHIP", "sister_name")]
    assert told_values == ["Ana", "Ana", "Anna"]


async def test_turns_read_twice_are_stored_once(memory, threads):
    for _ in range(2):
        reading = extractor(memory, threads, RuleModel())
        reading.hear(told("I live in Lyon."))
        await reading.aclose(5)
    assert len(memory.history("FACT", "home_city")) == 1


async def test_turns_that_come_close_together_are_read_together(memory, threads):
    model = FixedModel()
    reading = extractor(memory, threads, model, wait_s=60)
    for number in range(3):
        reading.hear(told(f"thing {number}", number))
    assert await reading.flush(5)
    reading.hear(told("more", 3))
    await reading.aclose(5)
    assert [turns for turns, _, _ in model.asked] == [["thing 0", "thing 1", "thing 2"], ["more"]]
    assert model.asked[1][2] == ["thing 0", "thing 1", "thing 2"]


async def test_the_model_sees_the_facts_that_are_current_and_no_turns(memory, threads):
    memory.store("FACT", "job", "nurse")
    memory.store("FACT", "job", "doctor")
    memory.store("FACT", "user_input_1700000000123", "I love chess")
    model = FixedModel()
    reading = extractor(memory, threads, model)
    reading.hear(told("hello there"))
    await reading.aclose(5)
    assert model.asked == [(["hello there"], ["doctor"], [])]


@pytest.mark.parametrize("failure", [FactModelError("malformed"), "late"])
async def test_the_rules_read_what_the_model_cannot(memory, threads, failure):
    late = failure == "late"
    model = FixedModel(delay_s=60) if late else FixedModel(failure)
    reading = extractor(memory, threads, model, deadline_s=0.05 if late else 5)
    reading.hear(told("I live in Lyon."))
    assert await reading.flush(5)
    await reading.aclose(5)
    assert held(memory) == {"home_city": "Lyon"}
    assert model.cancelled == late


async def test_at_the_end_the_rules_read_what_the_model_has_not(memory, threads):
    reading = extractor(memory, threads, FixedModel(delay_s=60), deadline_s=60)
    reading.hear(told("I live in Lyon."))
    await reading.aclose(1)
    assert held(memory) == {"home_city": "Lyon"}


async def test_a_bug_in_a_model_ends_nothing(memory, threads, caplog):
    reading = extractor(memory, threads, FixedModel(ValueError("quotes what was said")))
    reading.hear(told("first thing"))
    assert await reading.flush(5)
    reading.hear(told("second thing", 1))
    await reading.aclose(5)
    assert "no facts were read" in caplog.text
    assert "quotes what was said" not in caplog.text


async def test_a_store_that_is_away_is_tried_again(memory, threads, monkeypatch):
    store = memory._store()
    failures = [StorageUnavailableError("away")]
    real: Callable[[str, Sequence[NewMemory]], list[Memory]] = store.store

    def flaky(user: str, memories: Sequence[NewMemory]) -> list[Memory]:
        if failures:
            raise failures.pop()
        return real(user, memories)

    monkeypatch.setattr(store, "store", flaky)
    reading = extractor(memory, threads, RuleModel())
    reading.hear(told("I live in Lyon."))
    await reading.aclose(10)
    assert held(memory) == {"home_city": "Lyon"}


async def test_closing_gives_up_at_its_deadline(memory, threads, monkeypatch, caplog):
    def away(*_: object) -> list[Memory]:
        raise StorageUnavailableError("away")

    monkeypatch.setattr(memory._store(), "list_facts", away)
    reading = extractor(memory, threads, RuleModel())
    reading.hear(told("I live in Lyon."))
    await asyncio.wait_for(reading.aclose(0.1), 5)
    assert "the last turns were not read" in caplog.text


async def test_what_was_said_before_something_is_forgotten_comes_back_as_no_fact(memory, threads):
    model = FixedModel(Extraction((fact("address", "5 High Street"),)), delay_s=0.2)
    reading = extractor(memory, threads, model)
    reading.hear(told("I live at 5 High Street"))
    await asyncio.wait_for(model.was_asked.wait(), 5)
    reading.hear(told("it is number five", 1))
    assert reading.drop_waiting() == 1
    await reading.aclose(5)
    assert held(memory) == {}
    assert len(model.asked) == 1


async def test_of_a_turn_that_is_taken_back_nothing_is_made_before_or_while_it_is_read(
    memory, threads
):
    taken_back: set[str] = set()
    model = FixedModel(Extraction((fact("address", "5 High Street"),)), delay_s=0.1)
    reading = extractor(memory, threads, model, is_taken_back=taken_back.__contains__)
    reading.hear(told("I live at 5 High Street", memory_id="turn-0"))
    await asyncio.wait_for(model.was_asked.wait(), 5)
    taken_back |= {"turn-0", "turn-1"}
    reading.hear(told("I live at number five", 1, memory_id="turn-1"))
    await reading.aclose(5)
    assert held(memory) == {}
    assert len(model.asked) == 1


async def test_what_was_told_before_an_erasure_is_not_stored(memory, threads, caplog):
    people = memory._store()._people
    user = set_session_user("alice@example.com")
    memory.store("FACT", "old", "value")
    with people.writing(user) as file:
        file.execute("UPDATE fence SET generation = 3")
    set_session_generation(3)
    reading = extractor(memory, threads, RuleModel())
    reading.hear(told("I live in Lyon.", generation=2))
    await reading.aclose(5)
    assert "home_city" not in held(memory)
    assert "facts cannot be stored" in caplog.text


async def test_the_summary_is_kept_with_the_facts(memory, threads):
    kept: list[str] = []
    stored: list[bool] = []
    reading = extractor(
        memory,
        threads,
        FixedModel(Extraction((fact("job", "nurse"),), "A nurse."), Extraction((), "Nobody.")),
        keep_summary=kept.append,
        on_stored=lambda: stored.append(True),
    )
    for number in range(2):
        reading.hear(told("some words", number))
        assert await reading.flush(5)
    await reading.aclose(5)
    assert (kept, stored) == (["A nurse."], [True])


async def test_a_summary_is_not_kept_of_what_was_forgotten_while_the_store_was_away(
    memory, threads
):
    kept: list[str] = []
    tried, back = threading.Event(), threading.Event()

    def keep(summary: str) -> None:
        tried.set()
        if not back.is_set():
            raise StorageUnavailableError("away")
        kept.append(summary)

    model = FixedModel(Extraction((fact("job", "nurse"),), "A nurse."))
    reading = extractor(memory, threads, model, keep_summary=keep)
    reading.hear(told("I'm a nurse"))
    assert await asyncio.to_thread(tried.wait, 5)
    reading.drop_waiting()
    back.set()
    assert await reading.flush(5)
    await reading.aclose(5)
    assert kept == []


async def test_facts_are_logged_without_what_they_say(memory, threads, caplog):
    caplog.set_level(logging.INFO)
    reading = extractor(memory, threads, RuleModel())
    reading.hear(told("My sister is called Ana."))
    await reading.aclose(5)
    assert "[MEMORY STORED]" in caplog.text
    assert not any("Ana" in str(vars(r)) or "sister" in str(vars(r)) for r in caplog.records)


async def test_the_recorder_hands_on_what_the_gate_kept(memory, threads):
    model = FixedModel()
    reading = extractor(memory, threads, model)
    recorder = Recorder(memory, threads, "session-1", on_kept=reading.hear)
    recorder.start()
    for number, text in enumerate(["uh", "I live in Lyon.", "What's the time?", "I love chess"]):
        recorder.hear(UserTurn(text, f"i{number}", NOON.timestamp(), recalled=("I love chess",)))
    await recorder.aclose(5)
    await reading.aclose(5)
    assert [text for turns, _, _ in model.asked for text in turns] == [
        *("I live in Lyon.", "I love chess")
    ]
    [turn] = memory.list_memories()
    assert turn.value == "I live in Lyon."


async def test_closing_what_was_never_started_is_a_no_op(memory, threads):
    unstarted = Extractor(
        *(memory, threads, "s"),
        model=FixedModel(),
        fallback=FixedModel(),
        deadline_s=1,
        wait_s=0,
        least_confidence=0.5,
    )
    await asyncio.wait_for(unstarted.aclose(5), 1)


@pytest.mark.parametrize(
    "unusable",
    [
        fact("job", "nurse", confidence=0.3),
        fact("job", "nurse", confidence=1.5),
        fact("job", " "),
        fact("job", "x" * 600),
        fact("job", "nul\x00"),
        fact("Job Title", "nurse"),
        fact("", "nurse"),
        fact("user_input_123", "nurse"),
        fact("k" * 201, "nurse"),
        fact("job", "nurse", turn=1),
        fact("job", "nurse", turn=-1),
    ],
)
def test_a_fact_that_cannot_be_used_is_left_out(unusable):
    made = settled([unusable], [told("x")], [], session_id="s", least_confidence=0.6)
    assert made == []


def test_a_fact_goes_where_its_key_is_current_so_that_nothing_contradicts_it():
    known = [
        Memory("1", "u", category, "favorite_color", "blue", NOON)
        for category in (Category.PREFERENCE, Category.FACT)
    ]
    new = Fact(0, Category.OPINION, "favorite_color", "red", 0.9)
    made = settled([new], [told("x")], known, session_id="s", least_confidence=0.6)
    assert [(m.category.value, m.value) for m in made] == [("FACT", "red"), ("PREFERENCE", "red")]
    assert len({m.id for m in made}) == 2


def test_of_one_key_in_one_turn_the_last_value_is_kept():
    facts = [fact("home_city", "Boston"), fact("home_city", "Denver")]
    [made] = settled(facts, [told("x")], [], session_id="s", least_confidence=0.6)
    assert made.value == "Denver"
