"""The Agent: what it is told, what it can do, and recall before each reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from livekit.agents import Agent, FlushSentinel, ModelSettings, llm

from assistant.prompt import last_user_text, with_memories
from memory.recall import Recall


class Assistant(Agent):
    """Answers with the memories that fit the turn.

    Args:
        instructions: the session's system prompt.
        tools: what the model may call.
        recall: finds memories; None where nothing is remembered.
    """

    def __init__(
        self,
        *,
        instructions: str,
        tools: Sequence[llm.Tool],
        recall: Recall | None,
    ) -> None:
        super().__init__(instructions=instructions, tools=list(tools))
        self._recall = recall

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
            chat_ctx = with_memories(chat_ctx, await self._recall.find(text))
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk
