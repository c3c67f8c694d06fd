"""A worker keeps transcripts where it is told to, of those who are remembered."""

from __future__ import annotations

import pytest

from config import Settings
from devstack.waiting import eventually
from memory.transcript import open_transcript_store
from session_context import livekit_identity_to_uuid
from storage import open_storage
from tests.e2e.conftest import deployment


@pytest.fixture(params=["sqlite", "supabase"])
def settings(request, worker_settings: dict[str, str]) -> dict[str, str]:
    """A worker's settings; with Supabase it acts there as each person."""
    if request.param == "sqlite":
        return worker_settings
    info = request.getfixturevalue("supabase").info
    return {
        **worker_settings,
        "SUPABASE_URL": info.url,
        "SUPABASE_SERVICE_ROLE_KEY": info.keys.secret_key,
        "SUPABASE_PUBLISHABLE_KEY": info.keys.publishable_key,
        "SUPABASE_JWT_SIGNING_KEY": info.keys.signing_key,
    }


@pytest.mark.parametrize("kept", ["true", "false"])
async def test_both_sides_are_kept_where_the_operator_says_so(settings, identity, new_room, kept):
    user = livekit_identity_to_uuid(identity)
    storage = open_storage(Settings.from_environment(settings).store)
    transcripts = open_transcript_store(storage)
    with deployment({**settings, "KEEP_TRANSCRIPTS": kept}) as running:
        async with running.join(identity, new_room()) as person:
            greeting = (await person.hear()).text
            answer = await person.ask("my name is anna")
            other = await person.ask("I love hiking")
        await eventually(lambda: "I love hiking" in running.values(identity))
        running.worker.stop()  # whatever it still had to do is done
        said = [(turn.role, turn.text) for turn in transcripts.turns(user)]
    storage.close()
    both = [
        ("assistant", greeting),
        ("user", "my name is anna"),
        ("assistant", answer),
        ("user", "I love hiking"),
        ("assistant", other),
    ]
    assert said == (both if kept == "true" else [])
