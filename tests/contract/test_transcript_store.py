"""One suite for every back end that keeps transcripts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory import Category, MemoryInputError, NewMemory, open_memory_store
from memory.transcript import TranscriptStore, TranscriptTurn, open_transcript_store
from people import People, open_people
from profiles import open_profile_store
from storage import Storage, StorageRejectedError

NOON = datetime(2026, 5, 8, 12, 0, 0, 123456, tzinfo=timezone.utc)
RaiseFence = Callable[[str, int], None]


@pytest.fixture
def transcripts(storage: Storage) -> TranscriptStore:
    return open_transcript_store(storage)


@pytest.fixture
def people(storage: Storage) -> People:
    return open_people(storage)


def said(text: str = "hello", seconds: int = 0, **fields: object) -> TranscriptTurn:
    turn = TranscriptTurn(
        str(uuid.uuid4()), "s-1", "user", text, NOON + timedelta(seconds=seconds), 0
    )
    return replace(turn, **fields)  # type: ignore[arg-type]


def texts(turns: Sequence[TranscriptTurn]) -> list[str]:
    return [turn.text for turn in turns]


def test_what_was_said_is_kept_as_it_was_said_and_in_that_order(transcripts, user):
    answer = said("Hi, Anna.", 2, role="assistant")
    first = said("  Hello,\n'I' am \"Anna\" 👋 ", 1)
    assert sorted(transcripts.keep(user, [answer, first])) == sorted([answer.id, first.id])
    assert list(transcripts.turns(user)) == [first, answer]


def test_nothing_is_there_at_first_and_nothing_is_kept_of_nothing(transcripts, user):
    assert transcripts.keep(user, []) == []
    assert list(transcripts.turns(user)) == []
    assert transcripts.remove(user, []) == 0


def test_the_turns_of_one_session_can_be_told_from_those_of_another(transcripts, user):
    transcripts.keep(user, [said("one"), said("two", 1, session_id="s-2"), said("three", 2)])
    assert texts(list(transcripts.turns(user, "s-1"))) == ["one", "three"]
    assert texts(list(transcripts.turns(user, "s-2"))) == ["two"]
    assert list(transcripts.turns(user, "s-3")) == []


def test_a_turn_that_arrives_twice_is_one_and_stays_as_it_is(transcripts, user):
    turn = said("first")
    again = replace(turn, text="second")
    for batch in ([turn], [again], [again, again]):
        assert transcripts.keep(user, batch) == [turn.id]
    assert list(transcripts.turns(user)) == [turn]


def test_nobody_sees_removes_or_takes_over_somebody_elses_turns(
    transcripts, storage, user, other_user
):
    turn = said("mine")
    transcripts.keep(user, [turn])
    assert list(transcripts.turns(other_user)) == []
    assert transcripts.remove(other_user, [turn.id]) == 0
    if storage.supabase is not None:  # in SQLite another person is another file
        with pytest.raises(StorageRejectedError):
            transcripts.keep(other_user, [replace(turn, text="theirs")])
    assert list(transcripts.turns(user)) == [turn]


def test_turns_are_removed_by_their_ids(transcripts, user):
    turns = [said(f"turn {n}", n) for n in range(250)]
    transcripts.keep(user, turns)
    gone = [turn.id for turn in turns[:240]]
    assert transcripts.remove(user, [*gone, str(uuid.uuid4())]) == 240
    assert transcripts.remove(user, gone[:1]) == 0
    assert list(transcripts.turns(user)) == turns[240:]


def test_very_long_transcripts_are_read_in_pages_though_many_turns_have_one_time(transcripts, user):
    turns = [said(f"turn {n}", n // 400) for n in range(1_200)]
    for start in range(0, len(turns), 400):
        transcripts.keep(user, turns[start : start + 400])
    read = list(transcripts.turns(user, "s-1"))
    assert read == sorted(turns, key=lambda turn: (turn.said_at, turn.id))


def test_what_was_said_before_an_erasure_is_dropped_and_what_came_after_is_kept(
    transcripts, user, raise_fence: RaiseFence
):
    raise_fence(user, 2)
    late, new, now = said("late", generation=1), said("new", 1, generation=2), said("now", 2)
    kept = transcripts.keep(user, [late, new, replace(now, generation=None)])
    assert sorted(kept) == sorted([new.id, now.id])
    assert list(transcripts.turns(user)) == [new, replace(now, generation=2)]


def test_an_erasure_removes_the_transcript_and_nobody_elses(transcripts, people, user, other_user):
    for each in (user, other_user):
        transcripts.keep(each, [said("secret"), said("answer", role="assistant")])
    assert people.erase(user).profile is True
    assert list(transcripts.turns(user)) == []
    assert len(list(transcripts.turns(other_user))) == 2
    assert transcripts.keep(user, [said("late")]) == []


def test_of_who_is_not_remembered_nothing_is_kept(transcripts, people, storage, user):
    people.set_remembering(user, False)
    assert transcripts.keep(user, [said(generation=None), said(generation=9)]) == []
    assert list(transcripts.turns(user)) == []
    assert open_profile_store(storage).get_person(user).profile is None
    generation = people.set_remembering(user, True)
    assert len(transcripts.keep(user, [said(generation=generation)])) == 1


def test_a_turn_makes_the_persons_row_where_there_is_none(transcripts, storage, user):
    transcripts.keep(user, [said()])
    assert open_profile_store(storage).get_person(user).profile is not None


def test_what_is_too_old_is_deleted_of_everybody(transcripts, user, other_user):
    moment = datetime(1999, 1, 1, tzinfo=timezone.utc)  # older than what other tests keep
    just_before = moment - timedelta(microseconds=1)
    for each in (user, other_user):
        transcripts.keep(each, [said("old", said_at=just_before), said("new", said_at=moment)])
    assert transcripts.delete_before(moment) == 2
    assert transcripts.delete_before(moment) == 0
    for each in (user, other_user):
        assert texts(list(transcripts.turns(each))) == ["new"]


def test_a_move_takes_the_transcript_along(transcripts, people, storage, user, other_user):
    open_memory_store(storage).store(user, [NewMemory(Category.FACT, "color", "blue")])
    people.erase(other_user)
    transcripts.keep(user, [said("one"), said("three", 2)])
    transcripts.keep(other_user, [said("two", 1, generation=1)])
    assert people.move(user, other_user).moved is True
    moved = list(transcripts.turns(other_user))
    assert [(turn.text, turn.generation) for turn in moved] == [
        ("one", 1),
        ("two", 1),
        ("three", 1),
    ]
    assert list(transcripts.turns(user)) == []


def test_very_long_transcripts_are_moved_in_several_steps(
    transcripts, people, user, other_user, monkeypatch
):
    monkeypatch.setattr("people.supabase_store._MOVED_AT_ONCE", 2)
    transcripts.keep(user, [said(f"turn {n}", n) for n in range(7)])
    assert people.move(user, other_user).moved is True
    assert texts(list(transcripts.turns(other_user))) == [f"turn {n}" for n in range(7)]
    assert people.generation(user) == 1


def test_the_export_holds_the_transcript(transcripts, people, user):
    turn = said("hello")
    transcripts.keep(user, [turn])
    assert people.export(user)["turns"] == [
        {
            "id": turn.id,
            "session_id": "s-1",
            "role": "user",
            "text": "hello",
            "said_at": NOON.isoformat(),
            "generation": 0,
        }
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": ""},
        {"text": "a\x00b"},
        {"text": "\ud800"},
        {"text": "x" * 10_001},
        {"id": "not-a-uuid"},
        {"said_at": datetime(2026, 5, 8)},  # noqa: DTZ001 - what is refused
    ],
)
def test_what_no_back_end_can_keep_is_no_turn(fields):
    with pytest.raises(MemoryInputError):
        said(**fields)


def test_a_turn_that_the_database_refuses_keeps_the_others_of_its_batch_out(transcripts, user):
    with pytest.raises(StorageRejectedError):
        transcripts.keep(user, [said("good"), said("bad", role="system")])
    assert list(transcripts.turns(user)) == []


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(
        st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"),
        min_size=1,
        max_size=60,
    )
)
def test_any_text_comes_back_as_it_was(transcripts, user, text):
    turn = said(text)
    transcripts.keep(user, [turn])
    assert turn in list(transcripts.turns(user))
    transcripts.remove(user, [turn.id])
