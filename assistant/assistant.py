"""The Agent: what it is told, what it can do, and recall before each reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from livekit.agents import Agent, FlushSentinel, ModelSettings, llm

from assistant.prompt import last_user_text, with_memories
from memory import Memory
from memory.recall import Recall


class Assistant(Agent):
    """Answers with the memories that fit the turn.

    Args:
        instructions: the session's system prompt.
        tools: what the model may call.
        recall: finds memories; None where nothing is remembered.
        on_recalled: called with the memories that go to the model.
    """

    def __init__(
        self,
        *,
        instructions: str,
        tools: Sequence[llm.Tool],
        recall: Recall | None,
        on_recalled: Callable[[Sequence[Memory]], None] | None = None,
    ) -> None:
        super().__init__(instructions=instructions, tools=list(tools))
        self._recall = recall
        self._on_recalled = on_recalled

    async def llm_node(
        self,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        model_settings: ModelSettings,
    ) -> AsyncGenerator[llm.ChatChunk | str | FlushSentinel, None]:
        """Recall, then let the model answer.

        Here, and not when the user's turn completes: this overlaps with endpointing, covers
        typed turns too, and costs no second model call. It has no side effects, because the
        framework also runs it for replies that are never spoken.
        """
        text = last_user_text(chat_ctx)
        if self._recall is not None and text:
            found = await self._recall.find(text)
            if self._on_recalled is not None:
                self._on_recalled(found)
            chat_ctx = with_memories(chat_ctx, found)
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk
