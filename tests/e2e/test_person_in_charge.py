"""The person in charge of what is remembered, over lk.chat on a real LiveKit server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from devstack.machine import PROJECT_ROOT
from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from tests.e2e.conftest import Deployment, deployment
from tests.standins import OpenAIStandIn, ScriptedBrain, Timing, call


def erase(running: Deployment, identity: str) -> None:
    """Erase somebody as an operator does, from a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "memory", "erase", "--identity", identity, "--yes"],
        cwd=PROJECT_ROOT,
        env={**os.environ, **running.settings},
        check=True,
        capture_output=True,
    )


def begun_anew(running: Deployment, identity: str) -> bool:
    """Whether a session of theirs has noticed that they were erased."""
    user = str(livekit_identity_to_uuid(identity))
    return any(
        "the session begins anew" in line and user in line
        for line in running.worker.log().splitlines()
    )


# Supabase has it a moment later than the session, which reads over what waits in the outbox.
async def test_every_phrase_does_what_it_says_in_one_session(any_deployment, identity, new_room):
    user = livekit_identity_to_uuid(identity)

    def facts() -> dict[str, str]:
        """What the tools keep; the name is read from what was said, some time behind it."""
        kept = any_deployment.memories.list_facts(user, 50)
        return {fact.key: fact.value for fact in kept if fact.key != "first_name"}

    async with any_deployment.join(identity, new_room()) as person:
        await person.hear()
        await person.ask("my name is anna")
        await person.ask("my favorite color is blue")
        await person.ask("my address is 5 Main Street")
        known = await person.ask("What do you know about me?")
        # A second later the text is there that is read from the turns.
        text = r'(?:; profile text: "From conversations: [^"]+")?'
        facts_known = r"Facts: address: 5 Main Street; favorite color: blue"
        assert re.search(rf"Profile: first name: Anna{text}\. {facts_known}", known)

        corrected = await person.ask("That's wrong, my address is 7 Main Street")
        assert "corrected address: 5 Main Street; it is now: 7 Main Street" in corrected
        await eventually(lambda: facts().get("address") == "7 Main Street")

        await person.ask("my pin is 1234")
        assert "forgot pin: 1234" in await person.ask("forget that")
        await eventually(lambda: "1234" not in " ".join(any_deployment.values(identity)))
        assert "remembered again: pin: 1234" in await person.ask("undo")
        await eventually(lambda: facts().get("pin") == "1234")
        assert "forgot pin: 1234" in await person.ask("forget my pin")

        await person.ask("don't remember this: I am ill")
        await person.ask("my doctor is Dr Grey")
        await person.ask("you can remember again")
        await person.ask("my pet is a cat")
        await eventually(lambda: set(facts()) == {"address", "favorite_color", "pet"})
        said = " ".join(any_deployment.values(identity))
        assert "ill" not in said.split()
        assert "Grey" not in said

        assert "Shall I really erase everything" in await person.ask("forget everything")
        assert "keep everything" in await person.ask("no")
        assert set(facts()) == {"address", "favorite_color", "pet"}
        await person.ask("forget everything")
        assert "It is done" in await person.ask("yes")
        assert any_deployment.values(identity) == []
        assert "Nothing yet" in await person.ask("what do you know about me?")
        await person.ask("my favorite color is green")
    await eventually(lambda: facts() == {"favorite_color": "green"})


async def test_an_erasure_from_elsewhere_reaches_the_live_session(
    any_deployment, identity, new_room
):
    async with any_deployment.join(identity, new_room()) as person:
        await person.hear()
        await person.ask("my favorite color is blue")
        erase(any_deployment, identity)
        assert "nothing is known" in await person.ask("what is my favorite color?")
        await eventually(lambda: begun_anew(any_deployment, identity))
        assert "remember" in await person.ask("my favorite color is green")
    await eventually(lambda: "green" in any_deployment.values(identity))
    assert "blue" not in " ".join(any_deployment.values(identity))


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
    with deployment(settings) as running:
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
