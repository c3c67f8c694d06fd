"""Everything is erased when the person has confirmed it, and the session begins anew."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.consent import affirms
from assistant.persona import erase_question, is_erase_question
from devstack.waiting import eventually
from memory.recorder import UserTurn
from session_context import get_session_generation
from storage import StorageUnavailableError
from tests.unit.tool_calls import QUESTION, Talk, talk_of

ALICE = "alice@example.com"
ERASE: tuple[str, dict[str, object]] = ("forget_everything", {})


async def known(talk: Talk) -> None:
    """The person has told this and that, and nobody looks for an erasure any more."""
    talk.profiles.change_details(first_name="Anna")
    talk.memory.store("FACT", "city", "Rome")
    await talk.says("I love hiking")
    await eventually(lambda: not talk.person._watch._looks)  # type: ignore[union-attr]


def is_known(talk: Talk) -> bool:
    return bool(talk.values()) and talk.profiles.get().details.first_name == "Anna"


async def test_it_asks_once_and_erases_after_a_yes(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        assert await talk.says("forget everything", ERASE) == []
        assert talk.said_by_agent[-1] == QUESTION
        assert is_known(talk)
        [answer] = await talk.says("Yes, erase it", ERASE)
        assert answer.startswith("everything about them is erased for good")
        assert talk.said_by_agent.count(QUESTION) == 1
        assert talk.values() == []
        assert talk.profiles.get().details.first_name is None


def is_new(talk: Talk) -> bool:
    profile = talk.profiles.get().profile
    return profile is None or profile.is_first_login


async def test_afterwards_the_model_sees_nothing_of_before_and_the_session_goes_on(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        await talk.says("forget everything", ERASE)
        await talk.says("yes", ERASE)
        during = talk.model.seen
        assert during[0] == "system: You talk with None."
        assert not any("hiking" in line or "Anna" in line for line in during)
        await talk.says("I love the sea")
        assert talk.model.seen == ["system: You talk with None.", "user: I love the sea"]
        assert [i.text_content for i in talk.session.history.messages()][:1] == ["I love the sea"]
        assert talk.values() == ["I love the sea"]
        await eventually(lambda: not is_new(talk))
        assert get_session_generation() == 1


async def test_the_model_cannot_erase_by_calling_twice(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        await talk.says("what a day", ERASE, ERASE)
        assert is_known(talk)


@pytest.mark.parametrize(
    "answer",
    [
        "no",
        "What is the weather like?",
        "yes, but not my name",
        "Are you sure?",
        "I told my sister yes",
        "wait",
        "",
    ],
)
async def test_without_a_yes_the_models_call_is_refused_and_asked_again(data_dir, answer):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        await talk.says("forget everything", ERASE)
        await talk.says(answer or "...", ERASE)
        assert is_known(talk)
        assert talk.said_by_agent.count(QUESTION) == 2


async def test_a_yes_to_something_else_is_no_confirmation(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        await talk.says("yes, erase everything", ERASE)  # said before the question
        assert is_known(talk)
        await talk.says("tell me a story")  # the question was not answered
        await talk.says("yes", ERASE)
        assert is_known(talk)


async def test_a_yes_counts_only_where_the_question_was_really_said(data_dir, monkeypatch):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        say = talk.session.say
        monkeypatch.setattr(talk.session, "say", lambda _: say("Would you like some ice cream?"))
        await talk.says("forget everything", ERASE)
        await talk.says("yes", ERASE)
        assert is_known(talk)


async def test_it_cannot_be_undone_and_says_so(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        await talk.says("forget everything", ERASE)
        await talk.says("yes", ERASE)
        [answer] = await talk.says("undo", ("undo_last_change", {}))
        assert answer == "there is nothing to undo: forgetting everything cannot be taken back"
        assert talk.values() == []


async def test_a_turn_that_waits_to_be_stored_is_dropped_with_the_rest(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        gate = threading.Event()
        store = talk.memory.store_all

        def slowly(memories):
            gate.wait(10)
            return store(memories)

        talk.memory.store_all = slowly  # type: ignore[method-assign]
        for number in range(3):
            talk.person.hear(UserTurn(f"my secret number is {number}", f"item-{number}", 1.7e9))
        await asyncio.sleep(0)
        talk.erasures.by_the_session()
        await talk.person._begin_anew(None)
        gate.set()
        await talk.person.recorder.flush(5)
        assert talk.values() == []


async def test_a_failed_erasure_is_admitted_and_nothing_of_it_is_spoken_of(data_dir):
    def away() -> None:
        raise StorageUnavailableError("secret address 10.0.0.1")

    async with talk_of(ALICE, data_dir, erase=away) as talk:
        await known(talk)
        await talk.says("forget everything", ERASE)
        [answer] = await talk.says("yes", ERASE)
        assert answer.startswith("it could not be done just now")
        assert talk.model.outputs[-1].is_error
        await talk.says("hello")
        assert not any("Anna" in line for line in talk.model.seen)


async def test_an_erasure_from_elsewhere_is_noticed_before_the_next_reply(data_dir):
    async with talk_of(ALICE, data_dir, RECALL_DEADLINE_MS="60000") as talk:
        await known(talk)
        talk.erasures.from_elsewhere()
        await talk.says("what was it again")
        assert talk.model.seen == ["system: You talk with None.", "user: what was it again"]
        assert get_session_generation() == 1
        await talk.says("I love the sea")
        assert "I love the sea" in talk.values()
        assert "I love hiking" not in talk.values()
        assert not any("hiking" in line for line in talk.model.seen)


async def test_an_erasure_from_elsewhere_is_noticed_by_a_refused_write(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        talk.person._watch = None
        talk.erasures.from_elsewhere()
        talk.person.hear(UserTurn("I love the mountains", "item-9", 1.7e9))
        await talk.person.recorder.flush(5)
        await asyncio.gather(*talk.person._tasks)
        assert get_session_generation() == 1
        assert [i.text_content for i in talk.session.history.messages()] == []
        await talk.says("I love the sea")
        assert talk.values() == ["I love the sea"]


async def test_an_erasure_from_elsewhere_is_noticed_by_a_tool(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)

        async def blind() -> bool:
            return False

        talk.person._watch.erased_meanwhile = blind  # type: ignore[method-assign, union-attr]
        talk.erasures.from_elsewhere()
        told = {"category": "FACT", "key": "pet", "value": "a cat"}
        [answer] = await talk.says("I have a cat", ("store_memory", told))
        assert "erased meanwhile" in answer
        assert talk.values() == []
        await eventually(lambda: get_session_generation() == 1)
        await talk.says("I have a dog")
        assert talk.values() == ["I have a dog"]


@pytest.mark.parametrize("trouble", ["raises", "hangs"])
async def test_a_reply_is_given_in_time_where_nobody_can_say(data_dir, trouble):
    gate = threading.Event()

    def generation() -> int:
        if trouble == "hangs":
            gate.wait(10)
        raise StorageUnavailableError("away")

    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        talk.person._watch._generation = generation  # type: ignore[union-attr]
        await asyncio.wait_for(talk.says("what was it again"), 5)
        gate.set()
        assert talk.said_by_agent[-1] == "I hear you"
        assert any("hiking" in line for line in talk.model.seen)


async def test_an_erasure_that_is_seen_too_late_for_its_reply_is_noticed_before_the_next_turn(
    data_dir,
):
    gate = threading.Event()
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        watch = talk.person._watch
        assert watch is not None
        now = watch._generation

        def slow() -> int:
            gate.wait(10)
            return now()

        watch._generation = slow
        talk.erasures.from_elsewhere()
        await talk.says("what was it again")
        assert get_session_generation() == 0
        gate.set()
        await eventually(lambda: get_session_generation() == 1)
        await asyncio.gather(*talk.person._tasks)
        told = {"category": "FACT", "key": "pet", "value": "a cat"}
        await talk.says("I have a cat", ("store_memory", told))
        assert set(talk.values()) == {"a cat", "I have a cat"}


async def test_a_store_that_is_away_when_the_session_begins_anew_is_tried_again(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await known(talk)
        ensure = talk.profiles.ensure_exists
        failures = [StorageUnavailableError("away")]

        def at_first_away() -> bool:
            if failures:
                raise failures.pop()
            return ensure()

        talk.profiles.ensure_exists = at_first_away  # type: ignore[method-assign]
        talk.erasures.from_elsewhere()
        await talk.says("I love the sea")
        await eventually(lambda: get_session_generation() == 1)
        await asyncio.gather(*talk.person._tasks)
        await talk.says("I love the mountains")
        assert talk.values() == ["I love the mountains"]
        await talk.says("what was it again")
        assert any("the mountains" in line for line in talk.model.seen)


@pytest.mark.parametrize("keeps_transcript", [False, True])
async def test_what_is_said_after_an_erasure_was_noticed_is_kept_though_binding_failed(
    data_dir, keeps_transcript
):
    async with talk_of(ALICE, data_dir, keeps_transcript=keeps_transcript) as talk:
        await known(talk)

        def away() -> bool:
            raise StorageUnavailableError("away")

        talk.profiles.ensure_exists = away  # type: ignore[method-assign]
        talk.erasures.from_elsewhere()
        await talk.says("what was it again")
        await eventually(lambda: get_session_generation() == 1)
        await talk.says("I love the sea")
        assert talk.values() == ["I love the sea"]


async def test_an_erasure_that_a_look_sees_while_the_session_is_bound_anew_is_not_lost(data_dir):
    async with talk_of(ALICE, data_dir, RECALL_DEADLINE_MS="60000") as talk:
        await known(talk)
        gate, begun = threading.Event(), threading.Event()

        def away() -> bool:
            begun.set()
            gate.wait(10)
            raise StorageUnavailableError("away")

        talk.profiles.ensure_exists = away  # type: ignore[method-assign]
        talk.erasures.from_elsewhere()
        noticing = asyncio.create_task(talk.person._erased_elsewhere())  # by a refused write
        assert await asyncio.to_thread(begun.wait, 5)
        saying = asyncio.create_task(talk.says("what was it again"))
        await eventually(lambda: talk.person._watch._known == 1)  # type: ignore[union-attr]
        gate.set()
        await noticing
        await saying
        assert get_session_generation() == 1
        await talk.says("I love the sea")
        assert talk.values() == ["I love the sea"]


@pytest.mark.parametrize(
    "text",
    ["yes", "Yes.", "uh, yes please", "Yeah, delete it all", "go ahead", "Ja, bitte", "Sí", "oui",
     "Sure", "I\u2019m sure", "erase everything"],
)  # fmt: skip
def test_a_yes_is_understood(text):
    assert affirms(text)


@pytest.mark.parametrize(
    "text",
    ["no", "Yes?", "yes and no", "not now", "yes, wait", "maybe", "Nein", "yesterday was fine",
     "don\u2019t do it", "I do", "", "should I say yes?", "keep everything", "oui, mais pas tout"],
)  # fmt: skip
def test_what_is_not_clearly_a_yes_is_none(text):
    assert not affirms(text)


@given(st.text(max_size=80))
def test_no_text_with_a_question_mark_is_a_yes(text):
    assert not affirms(f"{text}?")


@pytest.mark.parametrize("language", ["en", "de-AT", "fr", "xx"])
def test_the_question_is_known_in_each_language_it_is_asked_in(language):
    question = erase_question(language)
    assert is_erase_question(question)
    assert "?" in question
