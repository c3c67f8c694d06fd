"""``python -m demo``: start the real stack, talk twice, show what is remembered.

Exit status 0 where the second conversation knew the first, else 1 and what failed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from config import Settings, variables
from devstack.errors import DevstackError
from devstack.participant import Participant, access_token
from devstack.servers.livekit import LiveKitInfo
from devstack.servers.worker import Worker
from devstack.stack import Service, Stack
from memory import open_memory_store
from profiles import open_profile_store
from session_context import livekit_identity_to_uuid
from storage import open_storage

EMBEDDED = {**dict.fromkeys(variables(), ""), "ENV_FILE": os.devnull, "IDLE_PROCESSES": "1"}
"""Whatever the developer has set, the demo runs on defaults and needs no account."""

IDENTITY = "anna@example.com"

FIRST = [
    "Hello, my name is Anna.",
    "My favorite color is blue.",
    "I love reading books about the sea.",
]
SECOND = ["What is my favorite color?", "Which books do I love?"]


class DemoFailedError(Exception):
    """The second conversation did not know the first; the text says what was missing."""


def main() -> int:
    """Run the demo and return the exit status."""
    try:
        with tempfile.TemporaryDirectory(prefix="demo-") as folder:
            data_dir = Path(folder) / "data"
            settings = {**EMBEDDED, "DATA_DIR": str(data_dir)}
            with Stack({Service.LIVEKIT}) as stack, Worker(stack.livekit.info, settings):
                asyncio.run(_two_conversations(stack.livekit.info))
            _show_what_is_stored(data_dir)
    except (DemoFailedError, DevstackError) as error:
        _say(f"\ndemo failed: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    _say("\nThe second conversation knew the first.")
    return 0


async def _two_conversations(livekit: LiveKitInfo) -> None:
    _say("First conversation")
    await _talk(livekit, "demo-1", FIRST)
    _say("\nSecond conversation, in another room")
    greeting, color, books = await _talk(livekit, "demo-2", SECOND)
    for what, said, expected in (
        ("the name", greeting, "Anna"),
        ("the color", color, "blue"),
        ("the books", books, "books about the sea"),
    ):
        if expected not in said:
            raise DemoFailedError(f"the second conversation did not know {what}: {said!r}")


async def _talk(livekit: LiveKitInfo, room: str, lines: list[str]) -> list[str]:
    heard: list[str] = []
    try:
        async with Participant(livekit, access_token(livekit, IDENTITY, room)) as anna:
            heard.append((await anna.hear()).text)
            _say(f"  agent: {heard[-1]}")
            for line in lines:
                _say(f"  anna:  {line}")
                heard.append(await anna.ask(line))
                _say(f"  agent: {heard[-1]}")
    except asyncio.TimeoutError:
        raise DemoFailedError(f"the agent did not answer in room {room}") from None
    return heard


def _show_what_is_stored(data_dir: Path) -> None:
    user = livekit_identity_to_uuid(IDENTITY)
    storage = open_storage(Settings.from_environment({"DATA_DIR": str(data_dir)}).store)
    try:
        profile = open_profile_store(storage).get_person(user).details
        memories = open_memory_store(storage).list_memories(user, None, 50)
    finally:
        storage.close()
    _say(f"\nStored for {IDENTITY} ({user})")
    _say(f"  first name: {profile.first_name}")
    for memory in reversed(memories):
        _say(f"  {memory.category.value:<12} {memory.key}: {memory.value}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
