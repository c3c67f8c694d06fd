"""One suite for every memory back end: what the contract promises, they all keep."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import Category, Memory, MemoryStore, NewMemory, open_memory_store
from memory.forgetting import MemoryOf, whole_of
from memory.query import search_words
from memory.search import search
from people import open_people_store
from storage import Storage, StorageRejectedError

FACT, GOAL = Category.FACT, Category.GOAL
NOON = datetime(2026, 5, 8, 12, 0, 0, 123456, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)

storable_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=80
).filter(str.strip)


@pytest.fixture
def store(storage: Storage) -> MemoryStore:
    return open_memory_store(storage)


def new(value: str, key: str = "color", category: Category = FACT, **fields: object) -> NewMemory:
    return NewMemory(category, key, value, **fields)  # type: ignore[arg-type]


def put(store: MemoryStore, user: str, *memories: NewMemory) -> list[Memory]:
    return store.store(user, memories)


def values(memories: list[Memory]) -> list[str]:
    return [memory.value for memory in memories]


def found(store: MemoryStore, user: str, text: str, limit: int = 10) -> list[Memory]:
    return search(store, user, text, limit, now=datetime.now(timezone.utc))


def test_what_was_stored_is_retrieved(store, user):
    [stored] = put(store, user, new("blue", created_at=NOON, session_id="s-1"))
    assert store.retrieve(user, FACT, "color") == stored
    assert (stored.user, stored.value, stored.created_at) == (user, "blue", NOON)
    assert (stored.session_id, stored.superseded_at) == ("s-1", None)


def test_what_was_never_stored_is_not_there(store, user):
    assert store.retrieve(user, FACT, "color") is None
    assert store.history(user, FACT, "color") == []
    assert store.list_memories(user, None, 10) == []
    assert found(store, user, "color", 10) == []
    assert store.forget(user, FACT, "color") == 0
    assert store.store(user, []) == []


def test_facts_are_what_is_current_and_no_turn(store, user):
    put(store, user, new("blue", created_at=NOON), new("red", created_at=NOON + SECOND))
    put(store, user, new("I like red", "user_input_1700000000123", created_at=NOON + 2 * SECOND))
    put(store, user, new("nurse", "job", created_at=NOON + 3 * SECOND, category=GOAL))
    assert [memory.value for memory in store.list_facts(user, 10)] == ["nurse", "red"]
    assert [memory.value for memory in store.list_facts(user, 1)] == ["nurse"]


def test_a_new_value_supersedes_the_old_one_which_stays_as_history(store, user):
    put(store, user, new("blue", created_at=NOON))
    put(store, user, new("red", created_at=NOON + timedelta(seconds=1)))
    assert store.retrieve(user, FACT, "color").value == "red"
    red, blue = store.history(user, FACT, "color")
    assert (red.value, red.superseded_at) == ("red", None)
    assert (blue.value, blue.superseded_at) == ("blue", NOON + timedelta(seconds=1))


def test_one_key_in_two_categories_is_two_memories(store, user):
    put(store, user, new("a fact"), new("a goal", category=GOAL))
    assert store.retrieve(user, FACT, "color").value == "a fact"
    assert store.retrieve(user, GOAL, "color").value == "a goal"


def test_an_older_value_that_arrives_late_enters_the_history_closed(store, user):
    hour = timedelta(hours=1)
    put(store, user, new("first", created_at=NOON), new("third", created_at=NOON + 2 * hour))
    put(store, user, new("second", created_at=NOON + hour))
    assert store.retrieve(user, FACT, "color").value == "third"
    ends = {m.value: m.superseded_at for m in store.history(user, FACT, "color")}
    assert ends == {"third": None, "second": NOON + 2 * hour, "first": NOON + hour}


def test_of_two_values_of_one_moment_the_greater_id_is_current_in_either_order(store, user):
    low, lower, high, higher = sorted(str(uuid.uuid4()) for _ in range(4))
    put(store, user, new("low", created_at=NOON, id=low), new("high", created_at=NOON, id=high))
    put(store, user, new("HIGH", "k", created_at=NOON, id=higher))
    put(store, user, new("LOW", "k", created_at=NOON, id=lower))
    assert store.retrieve(user, FACT, "color").value == "high"
    assert store.retrieve(user, FACT, "k").value == "HIGH"


def test_a_write_delivered_again_changes_nothing(store, user):
    write = new("blue", created_at=NOON)
    put(store, user, write)
    put(store, user, new("red", created_at=NOON + timedelta(seconds=1)))
    before = store.history(user, FACT, "color")
    [again] = put(store, user, write)
    assert again.value == "blue"
    assert store.history(user, FACT, "color") == before


def test_the_same_write_sixty_times_at_once_is_one_memory(store, user):
    write = new("blue")
    with ThreadPoolExecutor(12) as executor:
        list(executor.map(lambda _: store.store(user, [write]), range(60)))
    assert values(store.history(user, FACT, "color")) == ["blue"]


def test_writes_at_once_to_one_key_leave_one_current_value_and_all_in_the_history(store, user):
    writes = [new(str(n), created_at=NOON + timedelta(milliseconds=n)) for n in range(24)]
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda write: store.store(user, [write]), writes))
    history = store.history(user, FACT, "color")
    assert values(history) == [str(n) for n in reversed(range(24))]
    assert [m.superseded_at for m in history] == [None, *(m.created_at for m in history[:-1])]


def test_a_key_that_may_move_on_takes_the_next_free_number(store, user):
    turns = [
        new(str(n), "user_input_1700000000123", list(Category)[n], next_free_key=True)
        for n in range(3)
    ]
    keys = [memory.key for memory in put(store, user, *turns)]
    assert keys == [f"user_input_170000000012{n}" for n in (3, 4, 5)]
    assert [memory.key for memory in put(store, user, turns[1])] == [keys[1]]


def test_all_of_a_batch_is_stored_or_nothing(store, user):
    batch = [new("a", "first"), new("b", "second")]
    object.__setattr__(batch[1], "value", None)
    with pytest.raises(StorageRejectedError):
        store.store(user, batch)
    assert store.list_memories(user, None, 10) == []


def test_the_list_is_newest_first_and_bounded(store, user):
    for n in range(5):
        put(store, user, new(str(n), f"k{n}", created_at=NOON + timedelta(seconds=n)))
    put(store, user, new("goal", "g", GOAL, created_at=NOON + timedelta(minutes=1)))
    put(store, user, new("4 again", "k4", created_at=NOON + timedelta(minutes=2)))
    assert values(store.list_memories(user, FACT, 3)) == ["4 again", "3", "2"]
    assert values(store.list_memories(user, None, 2)) == ["4 again", "goal"]


@pytest.mark.parametrize("category", [None, FACT])
def test_pages_of_the_list_hold_each_current_memory_once_also_those_of_one_moment(
    store, user, category
):
    put(store, user, *(new(str(n), key=f"k{n}", created_at=NOON) for n in range(5)))
    put(store, user, *(new(f"{n} again", key=f"k{n}", created_at=NOON + SECOND) for n in range(2)))
    put(store, user, new("later", key="k9", created_at=NOON + 2 * SECOND))
    pages, before = [], None
    while page := store.list_memories(user, category, 2, before):
        pages.append(page)
        before = page[-1].position
        # What is told meanwhile moves nothing.
        put(store, user, new("meanwhile", key=f"new{len(pages)}"))
    assert [len(page) for page in pages] == [2, 2, 2]
    listed = [memory for page in pages for memory in page]
    assert sorted(values(listed)) == ["0 again", "1 again", "2", "3", "4", "later"]
    assert listed == sorted(listed, key=lambda memory: memory.position, reverse=True)


def test_a_search_finds_words_by_their_stem_in_any_case_also_in_the_key(store, user):
    put(store, user, new("I love READING books", "hobby"), new("blue", "favorite_color"))
    put(store, user, new("The weather was fine", "weather"))
    assert values(found(store, user, "read", 10)) == ["I love READING books"]
    assert values(found(store, user, "favorite color", 10)) == ["blue"]
    assert values(found(store, user, "book zebra", 10)) == ["I love READING books"]
    assert found(store, user, "zebra", 10) == []
    assert found(store, user, "", 10) == []


@pytest.mark.parametrize(
    "text", ["Meine Stra\u00dfe", "na\u00efve caf\u00e9", "\u0435\u0434\u0430"]
)
def test_words_with_other_letters_are_found_as_they_are_written(store, user, text):
    put(store, user, new(text))
    for word in search_words(text):
        assert values(found(store, user, word, 10)) == [text]


def test_a_search_is_bounded_and_finds_what_fits_better_first(store, user):
    put(store, user, new("a cat and a dog", "k1"), new("a cat, a cat and a dog", "k2"))
    put(store, user, *(new(f"my dog number {n}", f"d{n}") for n in range(8)))
    assert len(found(store, user, "cat dog", 4)) == 4
    assert {"k1", "k2"} == {m.key for m in found(store, user, "cat dog", 2)}


def test_irregular_forms_of_a_word_find_each_other(store, user):
    put(store, user, new("We went to Lisbon", "k1"), new("The children slept", "k2"))
    assert values(found(store, user, "Where did they go? Going somewhere?")) == []
    assert values(found(store, user, "Does the child sleep?")) == ["The children slept"]
    assert values(found(store, user, "lisbon going")) == ["We went to Lisbon"]


def test_what_stands_beside_a_hit_in_its_session_is_found_with_it(store, user, other_user):
    told = ["one", "two", "Which instrument?", "A cello", "five", "six"]
    spoken = [new(text, f"k{n}", session_id="s-1") for n, text in enumerate(told)]
    put(store, user, *spoken, new("of another session", "x", session_id="s-2"))
    put(store, other_user, new("of somebody else", session_id="s-1"))
    around = values(found(store, user, "instrument"))
    assert set(around[:2]) == {"Which instrument?", "A cello"}
    assert set(around) == set(told[:5])


def test_neighbours_that_are_superseded_or_expired_are_not_found(store, user):
    put(store, user, new("my cello", "k1", session_id="s-1"))
    put(store, user, new("old", "k2", session_id="s-1", created_at=NOON))
    put(store, user, new("gone", "k3", session_id="s-1", expires_at=NOON))
    put(store, user, new("new", "k2", session_id="s-9"))
    assert values(found(store, user, "cello")) == ["my cello"]


@pytest.mark.parametrize("only_relevant", [False, True])
def test_somebody_called_will_is_told_from_the_verb(store, user, other_user, only_relevant):
    put(store, user, new("Will", "brother_name"), new("I went to Paris with Will", "k1"))
    put(store, user, new("I will go to the gym", "k2"), new("Will it rain?", "k3"))
    put(store, user, new("My willow is old", "k4"), new("Will Smith", "gone", expires_at=NOON))
    put(store, other_user, new("Will of somebody else"))
    both = {"Will", "I went to Paris with Will"}
    for text in ("Who is Will?", "Tell me about Will", "And Will's name?"):
        assert set(asked(store, user, text, only_relevant=only_relevant)) == both
    assert asked(store, user, "Who went to Paris with Will?")[0] == "I went to Paris with Will"
    assert asked(store, user, "Will I?") == []


MAY, AUGUST = NOON, NOON.replace(month=8)
AFTER = NOON.replace(month=9)


def asked(store: MemoryStore, user: str, text: str, limit: int = 10, **how: bool) -> list[str]:
    return values(search(store, user, text, limit, now=AFTER, **how))


@pytest.mark.parametrize("only_relevant", [False, True])
def test_a_question_of_nothing_but_a_time_finds_what_was_told_then(
    store, user, other_user, only_relevant
):
    paris, marathon = "I went to Paris", "I ran a marathon in Oslo"
    put(store, user, new(paris, "k1", created_at=MAY), new(marathon, "k2", created_at=AUGUST))
    put(store, other_user, new("of somebody else", created_at=MAY))
    for text, told in (
        ("What did I do last May?", [paris]),
        ("Where was I in May?", [paris]),
        ("What did I tell you in August 2026?", [marathon]),
        ("What did we talk about last month?", [marathon]),
        ("What did I do in 2026?", [marathon, paris]),
        ("What did I do in June?", []),
        ("What did I do in May 2025?", []),
        ("What did I tell you yesterday?", []),
    ):
        assert asked(store, user, text, only_relevant=only_relevant) == told


def test_what_was_told_in_a_time_is_newest_first_and_bounded_and_current(store, user):
    told = [new(str(n), f"k{n}", created_at=MAY + n * SECOND) for n in range(6)]
    put(store, user, *told, new("gone", "x", created_at=MAY, expires_at=MAY + SECOND))
    put(store, user, new("5 again", "k5", created_at=AUGUST))
    assert asked(store, user, "What did I do last May?", 3) == ["4", "3", "2"]
    assert asked(store, user, "What did I do last May?") == ["4", "3", "2", "1", "0"]


def test_a_month_of_any_year_is_the_last_in_which_something_was_told(store, user):
    put(store, user, new("2022", "k1", created_at=MAY.replace(year=2022)))
    put(store, user, new("2024", "k2", created_at=MAY.replace(year=2024)))
    put(store, user, new("later", "k3", created_at=AUGUST.replace(year=2025)))
    assert asked(store, user, "Where was I in May?", 1) == ["2024"]
    assert asked(store, user, "Where was I in May?") == ["2024"]


def test_of_a_day_that_is_named_the_days_after_count_where_it_has_nothing(store, user):
    put(store, user, new("that day", "k1", created_at=MAY))
    put(store, user, new("the day after", "k2", created_at=MAY + timedelta(days=1)))
    assert asked(store, user, "What did I do on May 8?") == ["that day"]
    assert asked(store, user, "What did I do on May 7?") == ["the day after", "that day"]
    assert asked(store, user, "What did I do on May 10?") == []


def test_what_names_the_time_is_found_with_what_was_told_then(store, user):
    put(store, user, *(new(f"in May {n}", f"k{n}", created_at=MAY) for n in range(9)))
    put(store, user, new("I fly to Rome in June", "plan", created_at=AUGUST))
    put(store, user, new("June was hot", "heat", created_at=NOON.replace(month=6, day=2)))
    assert set(asked(store, user, "What will I do in June?", 2)) == {
        "June was hot",
        "I fly to Rome in June",
    }


def test_candidates_say_how_common_the_words_are(store, user, other_user):
    put(store, user, *(new(f"a dog and number {n}", f"d{n}") for n in range(4)), new("a cat", "c"))
    put(store, other_user, new("a cat and a dog"))
    candidates = store.candidates(user, [["dog"], ["cat", "kitten"], ["zebra"]], 2)
    assert list(candidates.frequencies) == [4, 1, 0]
    assert candidates.total >= 5
    assert len(candidates.found) == 2
    hit = candidates.found[0]
    [memory] = candidates.read([hit.id])
    assert (memory.id, memory.value, memory.user) == (hit.id, hit.value, user)


def test_no_words_have_no_candidates(store, user):
    put(store, user, new("a cat"))
    assert list(store.candidates(user, [], 10).found) == []
    assert list(store.candidates(user, [["the"]], 10).frequencies) in ([0], [1])
    assert list(store.candidates(user, [[" "]], 10).found) == []


def test_a_superseded_value_is_never_found(store, user):
    put(store, user, new("I live in Berlin", "home", created_at=NOON))
    put(store, user, new("I live in Rome", "home", created_at=NOON + timedelta(days=1)))
    put(store, user, new("I live in Paris", "home", created_at=NOON - timedelta(days=1)))
    assert values(found(store, user, "live berlin paris", 10)) == ["I live in Rome"]
    assert values(store.list_memories(user, None, 10)) == ["I live in Rome"]


def test_what_is_forgotten_is_gone_with_its_history(store, user):
    put(store, user, new("blue", created_at=NOON), new("keep me", "other"))
    put(store, user, new("red", created_at=NOON + timedelta(seconds=1)))
    assert store.forget(user, FACT, "color") == 2
    assert store.retrieve(user, FACT, "color") is None
    assert store.history(user, FACT, "color") == []
    assert found(store, user, "red blue color", 10) == []
    assert values(store.list_memories(user, None, 10)) == ["keep me"]


def test_without_a_category_a_key_is_forgotten_in_every_one(store, user):
    put(store, user, new("a fact"), new("a goal", category=GOAL), new("keep me", "other"))
    assert store.forget(user, None, "color") == 2
    assert values(store.list_memories(user, None, 10)) == ["keep me"]


def test_after_forgetting_a_key_it_can_be_filled_again(store, user):
    put(store, user, new("blue"))
    store.forget(user, FACT, "color")
    put(store, user, new("green"))
    assert values(store.history(user, FACT, "color")) == ["green"]


def test_nobody_reaches_another_persons_memories(store, user, other_user):
    put(store, user, new("alice's secret"))
    put(store, other_user, new("bob's own"))
    assert store.retrieve(other_user, FACT, "color").value == "bob's own"
    assert found(store, other_user, "alice secret", 10) == []
    assert values(store.history(other_user, FACT, "color")) == ["bob's own"]
    assert values(store.list_memories(other_user, None, 10)) == ["bob's own"]
    assert store.forget(other_user, FACT, "color") == 1
    assert store.retrieve(user, FACT, "color").value == "alice's secret"


HOSTILE = [
    "'; DROP TABLE memory; --",
    "x') OR 1=1 --",
    '"unbalanced OR NEAR(',
    "a AND NOT b*",
    "key:eq.1,user_id.neq.0",
    "eq.anything&limit=0",
    "*",
    "%_\\",
    "(a,b).{c}",
    "\u202e\u05d0\u05d1 \u0645\u0631\u062d\u0628\u0627",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "line\nbreak\ttab",
    "null",
    "../../etc/passwd",
    "a\\b\"c'd",
    "\u0000".replace("\u0000", "\u0001"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(store, user, other_user, text):
    put(store, other_user, new("not yours", text[:200]))
    put(store, user, new(text, text[:200]), new("plain", "plain"))
    assert store.retrieve(user, FACT, text[:200]).value == text
    assert values(store.history(user, FACT, text[:200])) == [text]
    assert values(found(store, user, text, 10)) in ([], [text])
    assert {hit.value for hit in store.candidates(user, [[text]], 10).found} <= {text}
    assert store.forget(user, FACT, text[:200]) == 1
    assert values(store.list_memories(user, None, 10)) == ["plain"]
    assert store.retrieve(other_user, FACT, text[:200]).value == "not yours"


@settings(max_examples=25)
@given(key=storable_text, value=storable_text)
def test_any_text_comes_back_as_it_was(store, user, key, value):
    put(store, user, new(value, key))
    assert store.retrieve(user, FACT, key).value == value
    assert len(found(store, user, value, 5)) <= 5
    store.candidates(user, [[value]], 5)


def test_the_longest_texts_are_kept_whole(store, user):
    put(store, user, new("\u00e9" * 10_000, "\u00e9" * 200))
    assert store.retrieve(user, FACT, "\u00e9" * 200).value == "\u00e9" * 10_000


@settings(max_examples=15)
@given(st.permutations(range(5)))
def test_in_whatever_order_values_arrive_the_latest_is_current(store, user, order):
    key = f"k-{uuid.uuid4()}"
    for n in order:
        put(store, user, new(str(n), key, created_at=NOON + timedelta(seconds=n)))
    assert store.retrieve(user, FACT, key).value == "4"
    history = store.history(user, FACT, key)
    assert values(history) == ["4", "3", "2", "1", "0"]
    assert [m.superseded_at for m in history] == [None, *(m.created_at for m in history[:-1])]


def test_what_a_fact_was_derived_from_and_how_sure_we_are_is_kept(store, user):
    source = str(uuid.uuid4())
    end = NOON.replace(year=2999)
    [stored] = put(store, user, new("b", confidence=0.75, source_id=source, expires_at=end))
    assert store.retrieve(user, FACT, "color") == stored
    assert (stored.confidence, stored.source_id, stored.expires_at) == (0.75, source, end)


def test_what_has_expired_is_only_in_the_history(store, user):
    put(store, user, new("a trip to Oslo", "trip", expires_at=NOON - timedelta(days=1)))
    assert store.retrieve(user, FACT, "trip") is None
    assert store.list_memories(user, None, 10) == []
    assert store.list_memories(user, FACT, 10) == []
    assert found(store, user, "a trip to Oslo") == []
    assert values(store.history(user, FACT, "trip")) == ["a trip to Oslo"]


def test_memories_of_a_session_know_their_place_in_it(store, user, other_user):
    put(store, user, new("1", "a", session_id="s-1"), new("2", "b", session_id="s-1"))
    put(store, user, new("3", "c", session_id="s-2"), new("4", "d"))
    put(store, other_user, new("5", "e", session_id="s-1"))
    put(store, user, new("6", "f", session_id="s-1"))
    places = {m.value: m.place for m in store.list_memories(user, None, 10)}
    assert places == {"1": 1, "2": 2, "3": 1, "4": None, "6": 3}


def test_a_write_of_an_older_generation_is_dropped(store, user, raise_fence):
    put(store, user, new("first"))
    raise_fence(user, 2)
    late = new("late", created_at=NOON.replace(year=2999), generation=1)
    kept = put(store, user, late, new("told since", generation=2))
    assert values(kept) == ["told since"]
    assert put(store, user, new("late too", "other", generation=0)) == []
    assert values(store.list_memories(user, None, 10)) == ["told since"]


def test_what_is_told_now_has_the_current_generation(store, user, raise_fence):
    [first] = put(store, user, new("first"))
    raise_fence(user, 1)
    [second] = put(store, user, new("second", "other"))
    assert (first.generation, second.generation) == (0, 1)


def test_a_withdrawn_write_gives_its_place_back_to_the_value_before(store, user):
    put(store, user, new("blue", created_at=NOON, session_id="s", confidence=0.5))
    [red] = put(store, user, new("red", created_at=NOON + timedelta(seconds=1)))
    before = store.history(user, FACT, "color")[1]
    assert store.withdraw(user, red.id) is True
    [blue] = store.history(user, FACT, "color")
    assert (blue.id, blue.superseded_at, blue.place) == (before.id, None, before.place)
    assert store.retrieve(user, FACT, "color") == blue
    assert values(found(store, user, "blue")) == ["blue"]
    assert found(store, user, "red") == []
    assert store.withdraw(user, red.id) is False


def test_a_value_withdrawn_from_the_middle_leaves_the_others_in_order(store, user):
    told = [new(str(n), created_at=NOON + timedelta(seconds=n)) for n in range(3)]
    put(store, user, *told)
    assert store.withdraw(user, told[1].id) is True
    latest, first = store.history(user, FACT, "color")
    assert (latest.value, first.value) == ("2", "0")
    assert (latest.superseded_at, first.superseded_at) == (None, latest.created_at)
    assert store.withdraw(user, told[0].id) is True
    assert values(store.history(user, FACT, "color")) == ["2"]


def test_the_first_value_is_withdrawn_to_nothing(store, user):
    [only] = put(store, user, new("blue"))
    assert store.withdraw(user, only.id) is True
    assert store.retrieve(user, FACT, "color") is None
    assert found(store, user, "blue") == []


def test_nobody_withdraws_what_another_person_told(store, user, other_user):
    [theirs] = put(store, other_user, new("blue"))
    assert store.withdraw(user, theirs.id) is False
    assert store.withdraw(user, str(uuid.uuid4())) is False
    assert store.retrieve(other_user, FACT, "color").value == "blue"


@settings(max_examples=15)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_storing_and_withdrawing_is_as_if_it_had_never_been(store, user, seconds, data):
    key, other = f"k-{uuid.uuid4()}", f"o-{uuid.uuid4()}"
    told = [(f"{n}", NOON + timedelta(seconds=at)) for n, at in enumerate(seconds)]
    gone = data.draw(st.sets(st.integers(0, len(told) - 1)))
    # The same ids in both orders of events, but for their last digit, which breaks no tie.
    ids = [f"{uuid.uuid4()}"[:-1] for _ in told]
    put(
        store,
        user,
        *(new(v, key, created_at=at, id=f"{i}1") for i, (v, at) in zip(ids, told, strict=True)),
    )
    for n in gone:
        store.withdraw(user, f"{ids[n]}1")
    kept = [n for n in range(len(told)) if n not in gone]
    put(
        store, user, *(new(told[n][0], other, created_at=told[n][1], id=f"{ids[n]}2") for n in kept)
    )
    first, second = store.history(user, FACT, key), store.history(user, FACT, other)
    assert [(m.value, m.created_at, m.superseded_at) for m in first] == [
        (m.value, m.created_at, m.superseded_at) for m in second
    ]


def test_writes_and_what_was_derived_from_them_are_found_together(store, user, other_user):
    told, other = new("I live in Rome", "user_input_1"), new("I have a cat", "user_input_2")
    fact = new("Rome", "city", source_id=told.id)
    put(store, user, told, fact, other)
    put(store, user, new("Oslo", "city"))  # what was superseded is found as well
    put(store, other_user, new("not yours", "city", source_id=told.id))
    assert values(store.related(user, [told.id])) == ["I live in Rome", "Rome"]
    assert values(store.related(user, [fact.id, other.id])) == ["I have a cat", "Rome"]
    assert store.related(user, [str(uuid.uuid4())]) == []
    assert store.related(user, []) == []


def test_what_is_related_to_many_writes_is_found_once_each_oldest_first(store, user):
    turns, facts = told_many_addresses(store, user)
    told = sorted([*turns, *facts], key=lambda each: (each.created_at, each.id))
    related = store.related(user, [each.id for each in reversed(told)])
    assert [each.id for each in related] == [each.id for each in told]


def test_all_of_a_long_history_is_found_to_be_forgotten(store, user):
    turns, facts = told_many_addresses(store, user)
    current = store.retrieve(user, FACT, "address")
    assert current is not None
    whole = whole_of(MemoryOf(store, user), current)
    assert {each.id for each in whole} == {each.id for each in [*turns, *facts]}


def told_many_addresses(store: MemoryStore, user: str) -> tuple[list[NewMemory], list[NewMemory]]:
    """Store more turns, and a fact from each, than the URL of one request has room to name."""
    moments = [NOON + n * SECOND for n in range(160)]
    turns = [new(f"{n} Elm Street", f"user_input_{n}", created_at=t) for n, t in enumerate(moments)]
    facts = [
        new(each.value, "address", created_at=each.created_at, source_id=each.id) for each in turns
    ]
    put(store, user, *turns, *facts)
    return turns, facts


def test_what_was_derived_is_found_also_where_its_source_is_gone(store, user):
    gone = str(uuid.uuid4())
    put(store, user, new("Rome", "city", source_id=gone))
    assert values(store.related(user, [gone])) == ["Rome"]


def test_the_generation_is_that_of_the_last_erasure(store, user, raise_fence):
    assert store.generation(user) == 0
    raise_fence(user, 3)
    assert store.generation(user) == 3


def test_who_is_not_remembered_has_no_generation_to_tell_in(store, storage, user):
    people = open_people_store(storage)
    people.set_remembering(user, False)
    assert store.generation(user) is None
    people.set_remembering(user, True)
    assert store.generation(user) == 1


def test_facts_are_listed_without_turns_newest_first_and_bounded(store, user):
    put(store, user, new("first", "one"), new("said", "user_input_17"), new("second", "two"))
    assert values(store.list_facts(user, 10)) == ["second", "first"]
    assert values(store.list_facts(user, 1)) == ["second"]
