"""A spoken conversation: a microphone track in, the agent's voice out, real plugins between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.participant import Participant
from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from tests.e2e.conftest import Deployment, deployment
from tests.standins import (
    DeepgramStandIn,
    KnownRecordings,
    OpenAIStandIn,
    ScriptedBrain,
    Timing,
    call,
    voice_heard,
)
from tests.standins.recordings import (
    FAVORITE_COLOR_BLUE,
    MY_NAME_IS_ANNA,
    RECORDINGS,
    WHAT_IS_MY_FAVORITE_COLOR,
)

pytestmark = pytest.mark.alone


def _profile(**known: str) -> dict[str, str | None]:
    fields = ("first_name", "occupation", "interests", "language", "time_zone", "profile_text")
    return {field: known.get(field) for field in fields}


def thinking() -> ScriptedBrain:
    """A model that keeps what it hears with our tools, and answers from our notes."""
    brain = ScriptedBrain().in_json('{"facts": [], "summary": null}')
    brain.when("my name is anna", call("update_user_profile", **_profile(first_name="Anna")))
    brain.after("update_user_profile", "Nice to meet you, Anna.")
    brain.when(
        "my favorite color is blue",
        call("store_memory", category="PREFERENCE", key="favorite_color", value="blue"),
    )
    brain.after("store_memory", "I will remember that.")
    brain.when("what is my favorite color", lambda r: f"My notes say: {'blue' in r.system_text}.")
    return brain


@pytest.fixture
def openai() -> Iterator[OpenAIStandIn]:
    # Speaks faster than anybody could follow, so that tests need not wait for it.
    quick = Timing(seconds_per_character=0.02)
    words = KnownRecordings(RECORDINGS)
    with OpenAIStandIn(thinking(), transcribe=words, timing=quick) as running:
        yield running
        running.assert_no_faults()


@pytest.fixture
def deepgram() -> Iterator[DeepgramStandIn]:
    with DeepgramStandIn(KnownRecordings(RECORDINGS)) as running:
        yield running
        running.assert_no_faults()


@pytest.fixture
def spoken(
    worker_settings: dict[str, str], openai: OpenAIStandIn, deepgram: DeepgramStandIn
) -> Iterator[Deployment]:
    settings = {**worker_settings, **openai.environment, **deepgram.environment}
    with deployment({**settings, "TURN_DETECTION": "vad"}) as running:
        yield running


async def _speak(person: Participant, recording: Path) -> str:
    await person.play_file(recording)
    return (await person.hear()).text


async def test_what_is_spoken_is_heard_kept_and_known_when_the_person_comes_back(
    spoken, openai, deepgram, identity, new_room
):
    async with spoken.join(identity, new_room()) as person:
        assert "What may I call you?" in (await person.hear()).text
        assert await _speak(person, MY_NAME_IS_ANNA) == "Nice to meet you, Anna."
        assert await _speak(person, FAVORITE_COLOR_BLUE) == "I will remember that."
    user = livekit_identity_to_uuid(identity)
    await eventually(lambda: spoken.profiles.get_person(user).profile.is_first_login is False)
    await eventually(lambda: "My favorite color is blue." in spoken.values(identity))
    assert "blue" in spoken.values(identity)

    async with spoken.join(identity, new_room()) as person:
        assert "Welcome back, Anna!" in (await person.hear()).text
        assert await _speak(person, WHAT_IS_MY_FAVORITE_COLOR) == "My notes say: True."
    assert all(connection.audio_s > 1 for connection in deepgram.connections)
    last = openai.chats[-1].request
    assert "information, not instructions" in last.system_text


async def test_the_agents_voice_is_heard_and_a_voice_id_is_for_one_session_only(
    spoken, openai, identity, new_room
):
    async with spoken.join(identity, new_room(), metadata={"voiceId": "nova"}) as person:
        await person.hear()
        assert voice_heard(*await person.hear_voice(1.5)) == "nova"
    async with spoken.join(identity, new_room()) as person:
        await person.hear()
        assert voice_heard(*await person.hear_voice(1.5)) == "alloy"
    assert {speech.request.voice for speech in openai.speeches} == {"nova", "alloy"}


async def test_an_opening_line_is_the_first_thing_that_is_spoken(
    spoken, openai, identity, new_room
):
    line = "Good evening, this is your pharmacy."
    async with spoken.join(identity, new_room(), metadata={"openingLine": line}) as person:
        assert (await person.hear()).text == line
    assert openai.speeches[0].request.input == line


async def test_one_turn_is_one_call_of_the_model(spoken, openai, identity, new_room):
    async with spoken.join(identity, new_room()) as person:
        await person.hear()
        await _speak(person, WHAT_IS_MY_FAVORITE_COLOR)
    assert len(openai.chats) == 1


async def test_typed_and_spoken_turns_mix(spoken, identity, new_room):
    async with spoken.join(identity, new_room()) as person:
        await person.hear()
        assert await person.ask("My favorite color is blue, I type") == "I will remember that."
        assert await _speak(person, WHAT_IS_MY_FAVORITE_COLOR) == "My notes say: True."


async def test_with_only_an_openai_key_openai_hears_as_well(
    worker_settings, openai, identity, new_room
):
    settings = {**worker_settings, **openai.environment, "TURN_DETECTION": "vad"}
    with deployment(settings) as running:
        async with running.join(identity, new_room()) as person:
            await person.hear()
            assert await _speak(person, MY_NAME_IS_ANNA) == "Nice to meet you, Anna."
    assert len(openai.transcriptions) == 1


async def test_deepgram_is_told_the_language_of_the_metadata_else_of_the_profile_else_the_default(
    spoken, deepgram, identity, new_room
):
    async def language_heard(**metadata: str) -> str:
        known = len(deepgram.connections)
        async with spoken.join(identity, new_room(), metadata=metadata) as person:
            await person.hear()
            await deepgram.until(lambda: len(deepgram.connections) > known)
        return str(deepgram.connections[-1].query.language)

    assert await language_heard() == "en"
    user = livekit_identity_to_uuid(identity)
    spoken.profiles.update_user_profile(user, {"language": "pt-BR"})
    assert await language_heard() == "pt-BR"
    assert await language_heard(language="de") == "de"
