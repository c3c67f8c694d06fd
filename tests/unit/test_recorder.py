"""What is said is kept, in order, however the store behaves, and never on the voice path."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from memory import Memory, MemoryManager, NewMemory
from memory.recorder import Recorder, UserTurn
from session_context import get_session_user_uuid, set_session_user
from storage import StorageRejectedError, StorageUnavailableError, StoreThreads

SAID_AT = 1_700_000_000.123


class ScriptedStore:
    """A store that fails as told, and keeps what it took and for whom."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.kept: list[Memory] = []
        self.gate = threading.Event()
        self.gate.set()

    def drain(self, user: str, deadline_s: float) -> bool:
        return True

    def store(self, user: str, memories: Sequence[NewMemory]) -> list[Memory]:
        self.gate.wait(10)
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        made = [Memory(m.id, user, m.category, m.key, m.value, m.created_at) for m in memories]
        self.kept += made
        return made


@pytest.fixture
def threads():
    made = StoreThreads(2)
    yield made
    made.close()


def recorder_over(store: ScriptedStore, threads: StoreThreads) -> Recorder:
    set_session_user("alice@example.com")
    made = Recorder(MemoryManager(lambda: store), threads, "session-1")  # type: ignore[arg-type,return-value]
    made.start()
    return made


async def test_turns_are_stored_in_the_order_in_which_they_were_said(threads):
    store = ScriptedStore()
    recorder = recorder_over(store, threads)
    for number in range(30):
        recorder.hear(UserTurn(f"fact number {number}", f"item-{number}", SAID_AT + number))
    await recorder.aclose(5)
    assert [memory.value for memory in store.kept] == [f"fact number {n}" for n in range(30)]
    assert {memory.user for memory in store.kept} == {get_session_user_uuid()}


async def test_a_turn_is_kept_under_the_millisecond_it_was_said_in(threads):
    store = ScriptedStore()
    recorder = recorder_over(store, threads)
    recorder.hear(UserTurn("I love reading books", "item-1", SAID_AT))
    await recorder.aclose(5)
    [memory] = store.kept
    assert (memory.key, memory.category.value) == ("user_input_1700000000123", "INTEREST")


async def test_a_turn_delivered_twice_carries_the_same_id(threads):
    store = ScriptedStore()
    recorder = recorder_over(store, threads)
    recorder.hear(UserTurn("I am a nurse", "item-1", SAID_AT))
    recorder.hear(UserTurn("I am a nurse", "item-1", SAID_AT))
    recorder.hear(UserTurn("I am a nurse", "item-2", SAID_AT))
    await recorder.aclose(5)
    first, again, other = (memory.id for memory in store.kept)
    assert first == again != other


async def test_filler_is_not_kept(threads):
    store = ScriptedStore()
    recorder = recorder_over(store, threads)
    for said in ("uh", "yes okay", "I am a nurse"):
        recorder.hear(UserTurn(said, said, SAID_AT))
    await recorder.aclose(5)
    assert [memory.value for memory in store.kept] == ["I am a nurse"]


async def test_a_store_that_is_away_is_tried_again_and_the_order_stays(threads):
    away = StorageUnavailableError("away")
    store = ScriptedStore(away, None, away)
    recorder = recorder_over(store, threads)
    for said in ("first thing", "second thing", "third thing"):
        recorder.hear(UserTurn(said, said, SAID_AT))
    await recorder.aclose(10)
    assert [memory.value for memory in store.kept] == ["first thing", "second thing", "third thing"]


@pytest.mark.parametrize("failure", [StorageRejectedError("no"), RuntimeError("a bug")])
async def test_a_turn_that_can_never_be_stored_holds_up_no_other(threads, failure, caplog):
    store = ScriptedStore(failure)
    recorder = recorder_over(store, threads)
    recorder.hear(UserTurn("poison", "1", SAID_AT))
    recorder.hear(UserTurn("fine words", "2", SAID_AT))
    await recorder.aclose(5)
    assert [memory.value for memory in store.kept] == ["fine words"]
    assert "poison" not in caplog.text
    assert "a turn" in caplog.text


async def test_a_turn_that_holds_what_cannot_be_stored_is_counted_and_not_retried(threads, caplog):
    store = ScriptedStore()
    recorder = recorder_over(store, threads)
    recorder.hear(UserTurn("a\x00b", "1", SAID_AT))
    recorder.hear(UserTurn("x" * 1_000_000, "2", SAID_AT))
    await recorder.aclose(5)
    assert [len(memory.value) for memory in store.kept] == [10_000]
    assert "a turn cannot be stored" in caplog.text
    assert "a turn was cut" in caplog.text


async def test_closing_gives_up_at_its_deadline_and_says_what_is_lost(threads, caplog):
    store = ScriptedStore()
    store.gate.clear()
    recorder = recorder_over(store, threads)
    for number in range(3):
        recorder.hear(UserTurn("some words", str(number), SAID_AT))
    await recorder.aclose(0.05)
    store.gate.set()
    [line] = [r for r in caplog.records if r.message.startswith("turns were lost")]
    assert line.turns == 3


async def test_hearing_never_waits_for_the_store(threads):
    store = ScriptedStore()
    store.gate.clear()
    recorder = recorder_over(store, threads)
    for number in range(1000):
        recorder.hear(UserTurn("some words", str(number), SAID_AT))
    assert not await recorder.flush(0.01)
    store.gate.set()
    assert await recorder.flush(10)
    await recorder.aclose(1)


async def test_what_was_said_is_logged_only_where_it_is_allowed(threads, caplog):
    caplog.set_level("INFO")
    recorder = recorder_over(ScriptedStore(), threads)
    recorder.hear(UserTurn("I love reading books", "1", SAID_AT))
    await recorder.aclose(5)
    tags = [record.message for record in caplog.records]
    assert tags == ["[MEMORY CATEGORIZATION]", "[MEMORY STORED]"]
    assert all(record.user_uuid == get_session_user_uuid() for record in caplog.records)
    assert not any("books" in str(vars(record)) for record in caplog.records)


async def test_the_first_turn_that_is_kept_is_noted_once_however_often_it_takes(threads):
    noted: list[str] = []

    def note() -> None:
        noted.append("tried")
        if len(noted) < 3:
            raise StorageUnavailableError("away")

    set_session_user("alice@example.com")
    memory = MemoryManager(lambda: ScriptedStore())  # type: ignore[arg-type,return-value]
    recorder = Recorder(memory, threads, "session-1", on_first_kept=note)
    recorder.start()
    recorder.hear(UserTurn("uh", "0", SAID_AT))
    assert await recorder.flush(5)
    assert noted == []
    recorder.hear(UserTurn("I am a nurse", "1", SAID_AT))
    recorder.hear(UserTurn("I am a baker", "2", SAID_AT))
    await recorder.aclose(10)
    assert noted == ["tried"] * 3


async def test_closing_what_was_never_started_is_a_no_op(threads):
    recorder = Recorder(MemoryManager(ScriptedStore), threads, "session-1")  # type: ignore[arg-type]
    await asyncio.wait_for(recorder.aclose(5), 1)
