"""The person decides: correct, forget, undo, pause. Through the tools, in a real session."""

from __future__ import annotations

import asyncio
import threading

import pytest

from memory import NewMemory
from session_context import get_session_generation
from tests.unit.tool_calls import talk_of

ALICE = "alice@example.com"

Call = tuple[str, dict[str, object]]


def store(key: str, value: str, category: str = "FACT") -> Call:
    return "store_memory", {"category": category, "key": key, "value": value}


async def test_a_correction_replaces_the_value_and_says_the_old_and_the_new(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk("store_memory", category="FACT", key="sister", value="Anna")
        answer = await talk("correct_memory", category=None, key="sister", value="Ana")
        assert answer.output == "corrected sister: Anna; it is now: Ana"
        history = [value.value for value in talk.memory.history("FACT", "sister")]
        assert history == ["Ana", "Anna"]


async def test_what_is_corrected_may_be_named_in_other_words_than_its_key(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("My home address is 5 Main Street", store("home_address", "5 Main Street"))
        answer = await talk("correct_memory", category="GOAL", key="address", value="7 Main Street")
        assert answer.output.startswith("corrected home address: 5 Main Street")
        assert talk.memory.retrieve("FACT", "home_address") == "7 Main Street"


async def test_a_correction_that_could_mean_several_changes_nothing_and_asks(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk("store_memory", category="FACT", key="home_address", value="5 Main Street")
        await talk("store_memory", category="FACT", key="work_address", value="1 High Street")
        answer = await talk("correct_memory", category=None, key="address", value="7 Main Street")
        assert answer.output.startswith("nothing is changed yet; ask which is meant")
        assert "7 Main Street" not in [fact.value for fact in talk.memory.list_facts()]


async def test_a_name_is_corrected_in_the_profile_and_in_what_the_agent_is_told(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.profiles.change_details(first_name="Anna")
        answer = await talk("correct_memory", category=None, key="name", value="Ana")
        assert answer.output == "corrected first name: Anna; it is now: Ana"
        assert talk.profiles.get().details.first_name == "Ana"
        await talk.says("hello there my friend")
        assert talk.model.seen[0] == "system: You talk with Ana."


async def test_forget_that_takes_what_was_said_with_what_came_of_it_and_nothing_else(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("I love hiking", store("hobby", "hiking"))
        await talk.says("My PIN is 1234", store("pin", "1234"))
        said = talk.person.recorder.turn_id(
            next(i.id for i in talk.session.history.messages() if "PIN" in (i.text_content or ""))
        )
        derived = NewMemory("FACT", "secret_number", "1234", source_id=said)  # type: ignore[arg-type]
        talk.memory.store_all([derived])
        [answer] = await talk.says("forget that", ("forget_last", {"what": "said"}))
        assert answer.startswith("forgot ")
        assert "1234" in answer
        assert sorted(talk.values()) == ["I love hiking", "hiking"]


async def test_forget_that_brings_back_the_value_that_was_current_before(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("I live in Rome", store("city", "Rome"))
        await talk.says("I live in Oslo", store("city", "Oslo"))
        await talk.says("forget that", ("forget_last", {"what": "said"}))
        assert talk.memory.retrieve("FACT", "city") == "Rome"


async def test_filler_in_between_is_not_what_is_meant_by_that(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("My PIN is 1234")
        await talk.says("uhm, okay")
        await talk.says("forget that", ("forget_last", {"what": "said"}))
        assert talk.values() == []


async def test_with_nothing_said_before_nothing_is_forgotten(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.memory.store("FACT", "city", "Rome")
        for what in ("said", "recalled"):
            [answer] = await talk.says("forget that", ("forget_last", {"what": what}))
            assert answer.startswith(
                ("nothing was said", "nothing was recalled", "nothing was kept")
            )
        assert talk.values() == ["Rome"]


async def test_forget_that_takes_the_one_memory_that_was_looked_up(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.memory.store("FACT", "city", "Rome")
        talk.memory.store("FACT", "pet", "a cat")
        looked_up = ("retrieve_memory", {"category": None, "key": "city"})
        await talk.says("which city is mine?", looked_up)
        await talk.says("forget that", ("forget_last", {"what": "recalled"}))
        assert {fact.value for fact in talk.memory.list_facts()} == {"a cat"}


async def test_where_several_were_recalled_they_are_named_and_the_choice_is_the_persons(data_dir):
    async with talk_of(ALICE, data_dir, RECALL_DEADLINE_MS="60000") as talk:
        for key, value in (("home_city", "Rome"), ("work_city", "Oslo"), ("pet", "a cat")):
            talk.memory.store("FACT", key, value)
        await talk.says("what about my city")
        [answer] = await talk.says("forget that", ("forget_last", {"what": "recalled"}))
        assert answer.startswith("which of these should be forgotten? 1. ")
        assert {"Rome", "Oslo", "a cat"} <= set(talk.values())
        number = 1 if answer.index("Rome") < answer.index("Oslo") else 2
        [answer] = await talk.says("Rome", ("forget_choices", {"numbers": [number]}))
        assert answer == "forgot home city: Rome"
        assert {fact.value for fact in talk.memory.list_facts()} == {"Oslo", "a cat"}


@pytest.mark.parametrize("numbers", [[], [0], [9], [-1]])
async def test_a_choice_that_was_not_offered_forgets_nothing(data_dir, numbers):
    async with talk_of(ALICE, data_dir) as talk:
        talk.memory.store("FACT", "city", "Rome")
        answer = await talk("forget_choices", numbers=numbers)
        assert answer.is_error
        assert talk.memory.retrieve("FACT", "city") == "Rome"


async def test_forgetting_by_name_takes_the_history_and_the_turn_in_which_it_was_told(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("I live at 5 Main Street", store("address", "5 Main Street"))
        await talk.says("I live at 7 Main Street now", store("address", "7 Main Street"))
        asked = ("forget_memory", {"category": None, "key": "address"})
        [answer] = await talk.says("forget my address", asked)
        assert answer == "forgot address: 7 Main Street"
        assert talk.values() == []
        assert talk.memory.history("FACT", "address") == []


async def test_what_still_mentions_it_is_named_and_kept_until_the_person_says_so(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("The party is at 5 Main Street")
        talk.memory.store("FACT", "address", "5 Main Street")
        asked = ("forget_memory", {"category": "FACT", "key": "address"})
        [answer] = await talk.says("forget my address", asked)
        assert answer.startswith("forgot address: 5 Main Street; these still mention it: which")
        assert talk.values() == ["The party is at 5 Main Street"]
        await talk.says("that one too", ("forget_choices", {"numbers": [1]}))
        assert talk.values() == []


async def test_what_fits_only_in_part_is_asked_about_and_not_forgotten(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.memory.store("FACT", "favorite_food", "pizza")
        asked = ("forget_memory", {"category": None, "key": "favorite_color"})
        [answer] = await talk.says("forget my favorite color", asked)
        assert answer.startswith("which of these should be forgotten? 1. favorite food: pizza")
        assert talk.values() == ["pizza"]


async def test_a_name_is_forgotten_from_the_profile_with_the_turn_that_told_it(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.profiles.change_details(first_name="Anna")
        await talk.says("my name is anna")
        asked = ("forget_memory", {"category": None, "key": "name"})
        [answer] = await talk.says("forget my name", asked)
        assert answer == 'forgot the name Anna in the profile; forgot "my name is anna"'
        assert talk.profiles.get().details.first_name is None
        assert talk.values() == []


async def test_undo_takes_back_step_by_step_what_the_session_changed(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("I live in Rome", store("city", "Rome"))
        await talk.says("I live in Oslo", store("city", "Oslo"))
        await talk.says("forget it", ("forget_memory", {"category": None, "key": "city"}))
        assert talk.values() == []
        answers = []
        for _ in range(4):
            answers += await talk.says("undo", ("undo_last_change", {}))
            answers += [talk.memory.retrieve("FACT", "city") or "none"]
        assert "remembered again: city: Oslo" in answers[0]
        assert "no longer remembered" in answers[2]
        assert "I live in Oslo" in answers[2]
        assert answers[6] == "there is nothing to undo in this session"
        assert answers[1::2] == ["Oslo", "Rome", "none", "none"]
        assert talk.values() == []


async def test_what_undo_brings_back_is_as_it_was_with_its_history(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("I live in Rome", store("city", "Rome"))
        await talk.says("I live in Oslo", store("city", "Oslo"))

        def kept() -> list[tuple[object, ...]]:
            values = [*talk.memory.history("FACT", "city"), *talk.memory.list_memories()]
            return [
                (v.id, v.value, v.created_at, v.superseded_at, v.session_id, v.source_id)
                for v in values
            ]

        before = kept()
        await talk.says("forget it", ("forget_memory", {"category": None, "key": "city"}))
        await talk.says("undo", ("undo_last_change", {}))
        assert kept() == before


async def test_what_is_forgotten_while_the_person_interrupts_can_be_undone_all_the_same(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.memory.store("FACT", "city", "Rome")
        gate, begun = threading.Event(), threading.Event()
        forget = talk.memory.forget

        def slowly(category: str | None, key: str) -> int:
            begun.set()
            gate.wait(10)
            return forget(category, key)

        talk.memory.forget = slowly  # type: ignore[method-assign]
        asked = ("forget_memory", {"category": None, "key": "city"})
        asking = asyncio.create_task(talk.says("forget my city", asked))
        await asyncio.to_thread(begun.wait, 5)
        interrupted = talk.session.interrupt()
        await asyncio.sleep(0)
        gate.set()
        await interrupted
        await asking
        await asyncio.gather(*talk.person._tools.under_way)
        assert talk.values() == []
        await talk.says("undo", ("undo_last_change", {}))
        assert talk.values() == ["Rome"]


async def test_a_change_of_the_profile_is_undone(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.profiles.change_details(first_name="Anna", interests=["books"])
        fields = ("first_name", "occupation", "interests", "language", "time_zone", "profile_text")
        empty = dict.fromkeys(fields)
        await talk.says("hm", ("update_user_profile", {**empty, "first_name": "Eve"}))
        await talk.says("um", ("forget_user_profile", {}))
        assert talk.profiles.get().details.first_name is None
        await talk.says("undo", ("undo_last_change", {}))
        assert talk.profiles.get().details.first_name == "Eve"
        assert talk.profiles.get().details.interests == ("books",)
        await talk.says("undo", ("undo_last_change", {}))
        assert talk.profiles.get().details.first_name == "Anna"


async def test_in_a_pause_nothing_is_written_neither_what_asks_for_it_nor_what_follows(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("I love hiking")
        stop: Call = ("stop_remembering", {})
        await talk.says("don't remember this: my PIN is 1234", store("pin", "1234"), stop)
        [refused] = await talk.says("My bank is Fidelity", store("bank", "Fidelity"))
        assert refused.startswith("nothing is remembered for now")
        fields = ("occupation", "interests", "language", "time_zone", "profile_text")
        told = {**dict.fromkeys(fields), "first_name": "Eve"}
        [refused] = await talk.says("I am Eve", ("update_user_profile", told))
        assert refused.startswith("nothing is remembered for now")
        await talk.says("you can remember again", ("remember_again", {}))
        await talk.says("I love the sea")
        assert talk.values() == ["I love hiking", "I love the sea"]
        assert talk.profiles.get().details.first_name is None


async def test_recall_goes_on_in_a_pause(data_dir):
    async with talk_of(ALICE, data_dir, RECALL_DEADLINE_MS="60000") as talk:
        talk.memory.store("FACT", "city", "Rome")
        await talk.says("off the record", ("stop_remembering", {}))
        await talk.says("what is my city")
        assert any("Rome" in line for line in talk.model.seen)


async def test_what_was_said_in_a_pause_is_gone_from_the_conversation_after_it(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        await talk.says("I love hiking")
        await talk.says("off the record: I am ill", ("stop_remembering", {}))
        await talk.says("It is the heart")
        assert any("heart" in line for line in talk.model.seen)
        again: Call = ("remember_again", {})
        answers = await talk.says("you can remember again", again, store("illness", "the heart"))
        assert "nothing is remembered for now" in " ".join(answers)
        await talk.says("I love the sea")
        assert not any("ill" in line or "heart" in line for line in talk.model.seen)
        assert any("hiking" in line for line in talk.model.seen)
        history = [item.text_content for item in talk.session.history.messages()]
        assert "It is the heart" not in history
        assert talk.values() == ["I love hiking", "I love the sea"]


async def test_the_list_begins_with_profile_and_facts_and_comes_in_pages(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.profiles.change_details(first_name="Anna")
        for number in range(12):
            await talk.says(f"I have seen wonder number {number}")
        await talk.says("I live in Rome", store("city", "Rome"))
        first = (await talk("list_memories", category=None, page=None)).output
        lines = first.splitlines()
        assert lines[:2] == ["Profile: first name: Anna", "Facts: city: Rome"]
        assert lines[2].startswith('In their own words: "I have seen wonder number 11"')
        assert "I live in Rome" not in first  # the fact says it
        assert lines[-1] == "4 more: page 2"
        second = (await talk("list_memories", category=None, page=2)).output
        assert '"I have seen wonder number 0"' in second
        assert (await talk("list_memories", category=None, page=9)).output == "that was all"


async def test_a_long_value_is_told_in_short(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.memory.store("FACT", "story", "so " * 1000)
        assert len((await talk("list_memories", category=None, page=None)).output) < 400


async def test_the_session_knows_its_generation(data_dir):
    async with talk_of(ALICE, data_dir):
        assert get_session_generation() == 0


@pytest.mark.parametrize(
    ("asking", "tool"),
    [
        ("forget my address", ("forget_memory", {"category": None, "key": "address"})),
        ("forget that", ("forget_last", {"what": "said"})),
        ("undo", ("undo_last_change", {})),
    ],
)
async def test_what_is_forgotten_is_in_the_summary_of_conversations_no_more(data_dir, asking, tool):
    async with talk_of(ALICE, data_dir) as talk:
        talk.profiles.change_about(profile_text="Speak slowly.")
        await talk.says("I live at 5 Main Street", store("address", "5 Main Street"))
        talk.profiles.keep_summary("Lives at 5 Main Street.")
        await talk.says(asking, tool)
        assert talk.values() == []
        assert talk.profiles.get().about.profile_text == "Speak slowly."


async def test_what_was_being_forgotten_while_the_person_was_erased_is_not_brought_back(data_dir):
    async with talk_of(ALICE, data_dir) as talk:
        talk.memory.store("FACT", "city", "Rome")
        gate, begun = threading.Event(), threading.Event()
        forget = talk.memory.forget

        def slowly(category: str | None, key: str) -> int:
            begun.set()
            gate.wait(10)
            return forget(category, key)

        talk.memory.forget = slowly  # type: ignore[method-assign]
        asked = ("forget_memory", {"category": None, "key": "city"})
        asking = asyncio.create_task(talk.says("forget my city", asked))
        await asyncio.to_thread(begun.wait, 5)
        talk.erasures.from_elsewhere()
        await talk.person._erased_elsewhere()
        gate.set()
        await asking
        await talk.says("undo", ("undo_last_change", {}))
        assert talk.values() == []
