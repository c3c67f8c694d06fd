"""The person in charge of what is remembered, over lk.chat on a real LiveKit server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from storage.person_file import PersonFiles
from tests.e2e.conftest import Deployment, deployment
from tests.standins import OpenAIStandIn, ScriptedBrain, Timing, call

AGENT = Path(__file__).with_name("erasing_agent.py")


@pytest.fixture
def erasable(worker_settings: dict[str, str]) -> Iterator[Deployment]:
    with deployment(worker_settings, entrypoint=AGENT) as running:
        yield running


async def test_every_phrase_does_what_it_says_in_one_session(erasable, identity, new_room):
    user = livekit_identity_to_uuid(identity)

    def facts() -> dict[str, str]:
        return {f.key: f.value for f in erasable.memories.list_facts(user, 50)}

    async with erasable.join(identity, new_room()) as person:
        await person.hear()
        await person.ask("my name is anna")
        await person.ask("my favorite color is blue")
        await person.ask("my address is 5 Main Street")
        known = await person.ask("What do you know about me?")
        assert "first name: Anna. Facts: address: 5 Main Street; favorite color: blue" in known

        corrected = await person.ask("That's wrong, my address is 7 Main Street")
        assert "corrected address: 5 Main Street; it is now: 7 Main Street" in corrected
        assert facts()["address"] == "7 Main Street"

        await person.ask("my pin is 1234")
        assert "forgot pin: 1234" in await person.ask("forget that")
        assert "1234" not in " ".join(erasable.values(identity))
        assert "remembered again: pin: 1234" in await person.ask("undo")
        assert facts()["pin"] == "1234"
        assert "forgot pin: 1234" in await person.ask("forget my pin")

        await person.ask("don't remember this: I am ill")
        await person.ask("my doctor is Dr Grey")
        await person.ask("you can remember again")
        await person.ask("my pet is a cat")
        assert set(facts()) == {"address", "favorite_color", "pet"}
        said = " ".join(erasable.values(identity))
        assert "ill" not in said.split()
        assert "Grey" not in said

        assert "Shall I really erase everything" in await person.ask("forget everything")
        assert "keep everything" in await person.ask("no")
        assert set(facts()) == {"address", "favorite_color", "pet"}
        await person.ask("forget everything")
        assert "It is done" in await person.ask("yes")
        assert erasable.values(identity) == []
        assert "Nothing yet" in await person.ask("what do you know about me?")
        await person.ask("my favorite color is green")
    await eventually(lambda: facts() == {"favorite_color": "green"})


async def test_an_erasure_from_elsewhere_reaches_the_live_session(erasable, identity, new_room):
    user = livekit_identity_to_uuid(identity)
    async with erasable.join(identity, new_room()) as person:
        await person.hear()
        await person.ask("my favorite color is blue")
        people = PersonFiles(Path(erasable.settings["DATA_DIR"]))
        with people.writing(user) as file:
            file.execute("DELETE FROM memory")
            file.execute("UPDATE fence SET generation = generation + 1")
        people.close()
        assert "nothing is known" in await person.ask("what is my favorite color?")
        await person.ask("my favorite color is green")
    await eventually(lambda: "green" in erasable.values(identity))
    assert "blue" not in " ".join(erasable.values(identity))


def hasty() -> ScriptedBrain:
    """A model that calls the tool whenever it hears of erasing, whoever confirmed what."""
    brain = ScriptedBrain()
    brain.when("color", call("store_memory", category="FACT", key="color", value="blue"))
    brain.after("store_memory", "Noted.")
    for word in ("everything", "weather", "yes"):
        brain.when(word, call("forget_everything"))
    brain.after("forget_everything", "All of it is erased.")
    return brain


@pytest.fixture
def openai() -> Iterator[OpenAIStandIn]:
    with OpenAIStandIn(hasty(), timing=Timing(seconds_per_character=0.005)) as running:
        yield running
        running.assert_no_faults()


async def test_a_models_call_erases_only_after_the_persons_own_yes(
    worker_settings, openai, identity, new_room
):
    settings = {**worker_settings, **openai.environment, "TURN_DETECTION": "vad"}
    with deployment(settings, entrypoint=AGENT) as running:
        async with running.join(identity, new_room()) as person:
            await person.hear()
            await person.ask("my color is blue")
            assert "Shall I really erase" in await person.ask("forget everything")
            assert "Shall I really erase" in await person.ask("how is the weather?")
            assert "blue" in running.values(identity)
            assert await person.ask("Yes.") == "All of it is erased."
            assert running.values(identity) == []
        seen = openai.chats[-1].request
        assert "blue" not in str(seen)
