"""agent.py over SQLite, with a way to erase the person and to read their generation."""

from __future__ import annotations

from functools import partial

from livekit.agents import JobContext, cli

import agent
from assistant.conversation import Conversation
from session_context import get_current_user, set_session_generation
from storage import default_storage
from storage.person_file import PersonFiles, generation_of
from worker.server import Worker


def _people() -> PersonFiles:
    people = default_storage().people
    if people is None:
        raise RuntimeError("this agent erases in DATA_DIR only")
    return people


def _generation() -> int:
    with _people().reading(get_current_user()) as file:
        return generation_of(file)


def _erase() -> None:
    with _people().writing(get_current_user()) as file:
        for table in ("memory", "profile", "user_profile", "onboarding_details"):
            file.execute(f"DELETE FROM {table}")
        file.execute("UPDATE fence SET generation = generation + 1")
        generation = generation_of(file)
    set_session_generation(generation)


agent.Conversation = partial(Conversation, erase=_erase, generation=_generation)  # type: ignore[assignment, attr-defined]


async def entrypoint(ctx: JobContext) -> None:
    """Serve as agent.py does. A function of this module, so that a job process imports it."""
    await agent.entrypoint(ctx)


server = Worker(setup_fnc=agent.prewarm, preflight=lambda *_: None, preload=[])
server.rtc_session(entrypoint, on_request=server.admit)

if __name__ == "__main__":
    cli.run_app(server)
