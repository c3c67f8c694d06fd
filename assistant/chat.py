"""A typed conversation in the terminal: the same assistant, without a LiveKit server.

``python -m assistant.chat [--identity you@example.com]``. Needs no sound device and no key.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

from livekit.agents import APIError, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage

from assistant.conversation import Conversation
from assistant.providers import build_models
from assistant.wishes import Wishes
from config import ConfigError, Settings
from memory import memory_manager
from memory.transcript import open_default_transcripts
from people import person_manager
from profiles import profile_manager
from session_context import IdentityError, bind_job, set_session_user
from storage import decide_backend


def main() -> int:
    """Talk until the end of input, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m assistant.chat", description=__doc__)
    parser.add_argument("--identity", help="whose memory to use (default: one local user's)")
    arguments = parser.parse_args()
    try:
        settings = Settings.from_environment()
        if settings.store.memory_enabled:
            decide_backend(settings.store)
        asyncio.run(chat(settings, identity=arguments.identity))
    except (ConfigError, IdentityError, APIError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stdout.write("\n")
    return 0


async def chat(settings: Settings, *, identity: str | None) -> None:
    """Hold one conversation over standard input and output.

    Args:
        settings: models, stores and deadlines.
        identity: whose memory it is; None is the default user of shells and scripts.
    """
    if identity is not None:
        bind_job()  # what the store's threads learn of the person holds for the whole process
        set_session_user(identity)
    remembers = settings.store.memory_enabled
    keeps_transcript = remembers and settings.store.keep_transcripts
    conversation = Conversation(
        settings,
        memory=memory_manager if remembers else None,
        profiles=profile_manager if remembers else None,
        erase=person_manager.erase,
        generation=person_manager.generation,
        transcripts=open_default_transcripts() if keeps_transcript else None,
        wishes=Wishes(session_id=f"chat-{uuid.uuid4()}"),
    )
    await conversation.prepare()
    models = build_models(
        settings.providers, vad=None, voice_id=None, language=conversation.language
    )
    _say(f"[model: {models.llm.model}; end with Ctrl-D]")
    session = await conversation.start(replace(models, stt=None, tts=None, vad=None))
    session.on("conversation_item_added", _print_answer)
    try:
        await conversation.greet()
        async for line in _typed_lines():
            await session.run(user_input=line)
    finally:
        await session.aclose()
        await conversation.aclose()
        await asyncio.to_thread(memory_manager.close)


def _print_answer(event: ConversationItemAddedEvent) -> None:
    item = event.item
    if isinstance(item, ChatMessage) and item.role == "assistant" and item.text_content:
        _say(f"assistant: {item.text_content}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _typed_lines() -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    # A daemon: a read of the terminal cannot be cancelled, and must not keep the process.
    threading.Thread(target=read, name="typed-lines", daemon=True).start()
    while (line := await lines.get()) is not None:
        if line.strip():
            yield line.strip()


if __name__ == "__main__":
    sys.exit(main())
