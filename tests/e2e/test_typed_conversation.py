"""Somebody joins, types, is remembered, comes back and is known: over a real LiveKit server."""

from __future__ import annotations

import pytest

from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from tests.e2e.conftest import deployment


async def test_whoever_comes_back_is_known(any_deployment, identity, new_room):
    user = livekit_identity_to_uuid(identity)
    async with any_deployment.join(identity, new_room()) as person:
        assert "What may I call you?" in (await person.hear()).text
        assert "remember" in await person.ask("my name is anna")
        assert "remember" in await person.ask("my favorite color is blue")
        await person.type("I love reading books")
        assert "keep that in mind" in (await person.hear()).text
    await eventually(lambda: "I love reading books" in any_deployment.values(identity))
    await eventually(lambda: any_deployment.has_met(identity))

    profile = any_deployment.profiles.get_person(user).profile
    assert (profile.email, profile.is_first_login) == (identity, False)

    async with any_deployment.join(identity, new_room()) as person:
        greeting = (await person.hear()).text
        assert "Welcome back, Anna!" in greeting
        assert "I love reading books" in greeting
        assert "blue" in await person.ask("what is my favorite color?")
        assert "reading books" in await person.ask("Which books do I like?")


async def test_each_turn_is_kept_once_in_its_category_and_filler_is_not(
    any_deployment, identity, new_room
):
    said = ["I love hiking", "uh", "yes okay", "I want to learn Spanish"]
    async with any_deployment.join(identity, new_room()) as person:
        await person.hear()
        for line in said:
            await person.ask(line)
    user = livekit_identity_to_uuid(identity)

    def turns() -> list[tuple[str, str]]:
        kept = any_deployment.memories.list_memories(user, None, 10)
        return [(m.category.value, m.value) for m in reversed(kept) if "user_input_" in m.key]

    await eventually(lambda: turns() == [("INTEREST", said[0]), ("GOAL", said[3])])


async def test_what_is_forgotten_is_gone(any_deployment, identity, new_room):
    async with any_deployment.join(identity, new_room()) as person:
        await person.hear()
        await person.ask("my favorite color is blue")
        assert "forgot favorite color: blue" in await person.ask("forget my favorite color")
        await person.ask("I love hiking")
    # Supabase has it a moment later, and has what was said before it by then.
    await eventually(lambda: "I love hiking" in any_deployment.values(identity))
    user = livekit_identity_to_uuid(identity)
    kept = any_deployment.memories.list_memories(user, None, 10)
    assert "favorite_color" not in {memory.key for memory in kept}


async def test_somebody_who_left_without_a_word_is_still_new(sqlite_deployment, identity, new_room):
    for _ in range(2):
        async with sqlite_deployment.join(identity, new_room()) as person:
            assert "What may I call you?" in (await person.hear()).text


async def test_the_same_room_can_be_entered_again_at_once(sqlite_deployment, identity, new_room):
    room = new_room()
    for _ in range(3):
        async with sqlite_deployment.join(identity, room) as person:
            assert (await person.hear()).text


async def test_a_participant_who_publishes_nothing_is_served_too(
    sqlite_deployment, identity, new_room
):
    async with sqlite_deployment.join(identity, new_room(), publish_track=False) as person:
        assert "What may I call you?" in (await person.hear()).text
        assert await person.ask("my name is anna")


@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "\u202e\u05e9\u05dc\u05d5\u05dd", "\U0001f600" * 50, "'; DROP TABLE memory;--"],
)
async def test_odd_text_is_answered_and_costs_nobody_the_conversation(
    sqlite_deployment, identity, new_room, text
):
    async with sqlite_deployment.join(identity, new_room()) as person:
        await person.hear()
        assert await person.ask(text)
        assert "Nice to meet you" in await person.ask("my name is anna")


async def test_with_memory_turned_off_people_are_served_and_nothing_is_written(
    worker_settings, data_dir, identity, new_room
):
    with deployment({**worker_settings, "MEMORY_ENABLED": "false"}) as running:
        for _ in range(2):
            async with running.join(identity, new_room()) as person:
                assert "What may I call you?" in (await person.hear()).text
                assert "keep that in mind" in await person.ask("my name is anna")
                assert "keep that in mind" in await person.ask("I love hiking")
                assert "hiking" not in await person.ask("What do I love?")
        running.worker.stop()  # whatever it still had to do is done
        assert not [path for path in data_dir.rglob("*") if path.is_file()]
