"""The transcript of a session is kept behind it, and holds nothing the person wants left out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest

import session_context
from devstack.waiting import eventually
from memory import Category, Memory
from memory.transcript import TranscriptKeeper, TranscriptStore, TranscriptTurn
from session_context import (
    get_session_user_uuid,
    set_session_generation,
    set_session_remembered,
    set_session_user,
)
from storage import StorageRejectedError, StorageUnavailableError


class ScriptedStore(TranscriptStore):
    """A store that fails as told, and keeps what it took and for whom."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.batches: list[list[str]] = []
        self.kept: dict[str, TranscriptTurn] = {}
        self.users: set[str] = set()
        self.fence = 0
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()

    def keep(self, user: str, turns: Sequence[TranscriptTurn]) -> list[str]:
        self.asked.set()
        self.gate.wait(10)
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        if any(turn.text == "poison" for turn in turns):
            raise StorageRejectedError("refused for good")
        self.users.add(user)
        self.batches.append([turn.text for turn in turns])
        wanted = [t for t in turns if t.generation is None or t.generation >= self.fence]
        self.kept.update({turn.id: turn for turn in wanted})
        return [turn.id for turn in wanted]

    def turns(self, user: str, session_id: str | None = None) -> Iterator[TranscriptTurn]:
        yield from sorted(self.kept.values(), key=lambda turn: turn.said_at)

    def remove(self, user: str, ids: Sequence[str]) -> int:
        return sum(self.kept.pop(each, None) is not None for each in ids)

    def delete_before(self, moment: datetime) -> int:
        raise NotImplementedError

    @property
    def texts(self) -> list[str]:
        return [turn.text for turn in self.kept.values()]


@pytest.fixture(autouse=True)
def in_a_job() -> Iterator[None]:
    """What the session learns of its person holds for all of its tasks."""
    token = session_context._context_binding.set(session_context.JobBinding())
    yield
    session_context._context_binding.reset(token)


@pytest.fixture
def store() -> Iterator[ScriptedStore]:
    made = ScriptedStore()
    yield made
    made.gate.set()


def keeper_over(store: ScriptedStore, **options: Any) -> TranscriptKeeper:
    set_session_user("alice@example.com")
    made = TranscriptKeeper(store, "s-1", **options)
    made.start()
    return made


async def asked(store: ScriptedStore) -> None:
    assert await asyncio.to_thread(store.asked.wait, 10)


def talk(keeper: TranscriptKeeper, *texts: str) -> None:
    """The two sides take turns, the person first; each text is its item's id."""
    for number, text in enumerate(texts):
        keeper.hear("assistant" if number % 2 else "user", text, text, time.time())


async def test_what_both_sides_say_is_kept_in_order_with_when_and_in_which_session(store):
    keeper = keeper_over(store)
    keeper.hear("user", "item-1", "hello", 1_700_000_000.25)
    keeper.hear("assistant", "item-2", "hi", 1_700_000_001)
    await keeper.aclose(5)
    first, second = store.kept.values()
    assert (first.role, first.text, first.session_id) == ("user", "hello", "s-1")
    assert (second.role, second.text) == ("assistant", "hi")
    assert first.said_at == datetime.fromtimestamp(1_700_000_000.25, timezone.utc)
    assert store.users == {get_session_user_uuid()}


async def test_the_same_item_is_always_the_same_turn(store):
    for _ in range(2):
        keeper = keeper_over(store)
        talk(keeper, "hello")
        await keeper.aclose(5)
    assert store.texts == ["hello"]


async def test_what_comes_while_the_store_works_is_written_in_one_batch(store):
    store.gate.clear()
    keeper = keeper_over(store)
    talk(keeper, "one")
    await asked(store)
    keeper.hear("assistant", "two", "two", time.time())
    talk(keeper, "three", "four")
    store.gate.set()
    await keeper.aclose(5)
    assert store.batches == [["one"], ["two", "three", "four"]]


async def test_a_store_that_is_away_is_asked_again(store, monkeypatch):
    monkeypatch.setattr("memory.retry._FIRST_RETRY_S", 0.001)
    store.failures = [StorageUnavailableError("away")] * 3
    keeper = keeper_over(store)
    talk(keeper, "one", "two")
    await keeper.aclose(5)
    assert sorted(store.texts) == ["one", "two"]


async def test_a_turn_that_is_refused_for_good_keeps_no_other_out(store):
    store.gate.clear()
    keeper = keeper_over(store)
    talk(keeper, "first")
    await asked(store)
    talk(keeper, "one", "poison", "two")
    store.gate.set()
    await keeper.aclose(5)
    assert store.texts == ["first", "one", "two"]


async def test_an_unknown_failure_loses_its_batch_and_nothing_after(store, caplog):
    store.failures = [RuntimeError("what was said")]
    keeper = keeper_over(store)
    talk(keeper, "one")
    await asked(store)
    talk(keeper, "two")
    await keeper.aclose(5)
    assert store.texts == ["two"]
    assert [record.error for record in caplog.records] == ["RuntimeError"]
    assert "what was said" not in caplog.text


async def test_to_hear_never_waits_and_what_does_not_fit_is_dropped(store, monkeypatch, caplog):
    monkeypatch.setattr("memory.transcript.keeper.MOST_WAITING_TURNS", 3)
    store.gate.clear()
    keeper = keeper_over(store)
    talk(keeper, "under way")
    await asked(store)
    talk(keeper, *"abcde")
    store.gate.set()
    await keeper.aclose(5)
    assert store.texts == ["under way", "a", "b", "c"]
    assert caplog.text.count("the store has been away for too long") == 2


async def test_the_end_waits_no_longer_than_its_deadline_and_says_what_is_lost(store, caplog):
    store.gate.clear()
    keeper = keeper_over(store)
    talk(keeper, "one", "two", "three")
    await asked(store)
    began = time.monotonic()
    await keeper.aclose(0.05)
    assert time.monotonic() - began < 5
    [lost] = [record for record in caplog.records if "lost" in record.message]
    assert lost.turns == 3


async def test_to_close_what_never_began_is_nothing(store):
    await TranscriptKeeper(store, "s-1").aclose(1)


async def test_silence_is_no_turn_and_what_is_too_long_is_cut(store, caplog):
    keeper = keeper_over(store)
    talk(keeper, "  ", "", "x" * 10_001, "a\x00b", "end")
    await keeper.aclose(5)
    assert store.texts == ["x" * 10_000, "end"]
    assert "NUL" in caplog.records[0].error


async def test_in_a_pause_neither_side_is_heard(store):
    keeper = keeper_over(store)
    talk(keeper, "one", "two")
    keeper.pause()
    talk(keeper, "secret", "about the secret")
    keeper.resume()
    talk(keeper, "three", "four")
    await keeper.aclose(5)
    assert store.texts == ["one", "two", "three", "four"]


@pytest.mark.parametrize("when", ["stored", "under way", "waiting"])
async def test_a_turn_that_is_taken_back_goes_with_its_answers(store, when):
    if when != "stored":
        store.gate.clear()
    keeper = keeper_over(store)
    if when == "waiting":
        talk(keeper, "hello", "hi")
        await asked(store)
    talk(keeper, "secret", "your secret is safe", "bye", "goodbye")
    await asked(store)
    keeper.take_back("secret")
    store.gate.set()
    await keeper.aclose(5)
    assert store.texts == [*(["hello", "hi"] if when == "waiting" else []), "bye", "goodbye"]


async def test_an_answer_to_what_was_taken_back_is_not_kept_when_it_comes_later(store):
    keeper = keeper_over(store)
    talk(keeper, "forget my address")
    keeper.take_back("forget my address")
    keeper.hear("assistant", "answer", "I forgot 5 Main Street", time.time())
    talk(keeper, "thanks")
    await keeper.aclose(5)
    assert store.texts == ["thanks"]


async def test_the_turns_in_which_a_forgotten_memory_was_told_go_with_their_answers(store):
    keeper = keeper_over(store)
    talk(keeper, "I live in Rome", "Rome is nice", "and I like tea", "so do I")
    await eventually(lambda: store.kept)  # under way it would be neither kept nor waiting
    told_at = next(turn.said_at for turn in (keeper_turns(store, keeper)) if "Rome" in turn.text)
    forgotten = Memory("i", "u", Category.FACT, "home", "Rome", told_at, session_id="s-1")
    keeper.forget([forgotten])
    await keeper.aclose(5)
    assert store.texts == ["and I like tea", "so do I"]


def keeper_turns(store: ScriptedStore, keeper: TranscriptKeeper) -> list[TranscriptTurn]:
    """All turns, those that wait as well."""
    waiting = [turn for turn in keeper._waiting._queue if turn is not None]  # type: ignore[attr-defined]
    return [*store.kept.values(), *waiting]


async def test_turns_carry_the_generation_in_which_they_were_said(store):
    store.gate.clear()
    keeper = keeper_over(store)
    set_session_generation(3)
    talk(keeper, "before")
    await asked(store)
    set_session_generation(4)
    talk(keeper, "after")
    store.gate.set()
    await keeper.aclose(5)
    assert [turn.generation for turn in store.kept.values()] == [3, 4]


async def test_who_was_erased_meanwhile_is_noticed_by_a_turn_that_comes_too_late(store):
    noticed: list[int | None] = []
    keeper = keeper_over(store, on_erased=noticed.append)
    set_session_generation(0)
    store.fence = 1
    talk(keeper, "late")
    await keeper.aclose(5)
    assert (store.texts, noticed) == ([], [0])


async def test_to_begin_anew_drops_what_waits_and_what_is_being_said(store):
    store.gate.clear()
    store.fence = 1
    keeper = keeper_over(store)
    set_session_generation(0)
    talk(keeper, "under way")
    await asked(store)
    talk(keeper, "waits", "waits too")
    began = time.time()
    keeper.begin_anew()
    set_session_generation(1)
    keeper.hear("assistant", "item", "what I know of Alice is", began - 0.01)
    keeper.hear("user", "new", "hello again", time.time() + 1)
    store.gate.set()
    await keeper.aclose(5)
    assert store.texts == ["hello again"]


@pytest.mark.parametrize("known", ["at once", "later"])
async def test_of_who_is_not_remembered_nothing_is_written(store, known):
    noticed: list[int | None] = []
    keeper = keeper_over(store, on_erased=noticed.append)
    if known == "later":
        talk(keeper, "one")
    set_session_remembered(False)
    talk(keeper, "two")
    await keeper.aclose(5)
    assert (store.batches, noticed) == ([], [])


async def test_what_was_said_is_in_no_log(store, caplog):
    caplog.set_level("DEBUG")
    store.failures = [StorageRejectedError("23514")]
    keeper = keeper_over(store)
    talk(keeper, "my locker code is 4711")
    await keeper.aclose(5)
    assert caplog.records
    assert "4711" not in "".join(str(vars(record)) for record in caplog.records)
