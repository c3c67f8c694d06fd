"""The Agent: what it is told, what it can do, and recall before each reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from livekit import rtc
from livekit.agents import NOT_GIVEN, Agent, FlushSentinel, ModelSettings, llm, stt

from assistant.erasure_watch import ErasureWatch
from assistant.live_context import LiveContext
from assistant.processors import HEARING, SPEAKING, THINKING, ActiveProcessors
from assistant.prompt import last_user_text, with_memories
from assistant.turns import Turns
from memory import Memory
from memory.recall import Recall


@dataclass(frozen=True)
class Remembering:
    """What a reply draws on where the person is remembered.

    Attributes:
        recall: finds memories.
        turns: where it is noted what was found.
        context: what the model may still see.
        watch: notices an erasure from elsewhere; None where there is nobody to ask.
        erased_elsewhere: called when it did.
        on_recalled: called with the memories that go to the model.
    """

    recall: Recall
    turns: Turns
    context: LiveContext
    watch: ErasureWatch | None
    erased_elsewhere: Callable[[], Awaitable[None]]
    on_recalled: Callable[[Sequence[Memory]], None]

    async def before_reply(self, chat_ctx: llm.ChatContext) -> llm.ChatContext:
        """Return what the model is to see: a copy with memories, and without what is gone."""
        text = last_user_text(chat_ctx)
        found, erased = await asyncio.gather(self._found(text), self._erased())
        if erased:
            found = []
            await self.erased_elsewhere()
        elif text:
            self.turns.note_recalled(text, found)
            self.on_recalled(found)
        return with_memories(await self.context.visible(chat_ctx), found)

    async def _found(self, text: str | None) -> list[Memory]:
        return await self.recall.find(text) if text else []

    async def _erased(self) -> bool:
        return self.watch is not None and await self.watch.erased_meanwhile()


class Assistant(Agent):
    """Answers with the memories that fit the turn.

    Args:
        instructions: the session's system prompt.
        tools: what the model may call.
        remembering: what replies draw on; None where nothing is remembered.
        began_with: what was said before in the conversation that this one goes on with.
    """

    def __init__(
        self,
        *,
        instructions: str,
        tools: Sequence[llm.Tool],
        remembering: Remembering | None,
        began_with: llm.ChatContext | None = None,
    ) -> None:
        super().__init__(
            instructions=instructions, tools=list(tools), chat_ctx=began_with or NOT_GIVEN
        )
        self._remembering = remembering
        self.processors = ActiveProcessors()

    def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncGenerator[stt.SpeechEvent, None]:
        """Hear, noted as active."""
        heard = Agent.default.stt_node(self, audio, model_settings)
        return self.processors.follow(HEARING, heard)

    def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """Speak, noted as active."""
        spoken = Agent.default.tts_node(self, text, model_settings)
        return self.processors.follow(SPEAKING, spoken)

    async def llm_node(
        self,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        model_settings: ModelSettings,
    ) -> AsyncGenerator[llm.ChatChunk | str | FlushSentinel, None]:
        """Recall, then let the model answer.

        Here, and not when the user's turn completes: this overlaps with endpointing, covers
        typed turns too, and costs no second model call. It writes nothing, because the
        framework also runs it for replies that are never spoken.
        """
        if self._remembering is not None:
            chat_ctx = await self._remembering.before_reply(chat_ctx)
        thought = Agent.default.llm_node(self, chat_ctx, tools, model_settings)
        async with aclosing(self.processors.follow(THINKING, thought)) as followed:
            async for chunk in followed:
                yield chunk
