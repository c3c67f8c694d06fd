"""What the model may still see of the running session.

livekit-agents keeps a session's items in three places: the agent's context, the session's
history, and a copy that each reply under way works on, to which the outputs of its tools
and its own words are added later. The first two are emptied here; for the third, what is
gone is left out in ``llm_node``, before the model sees it (`visible`).
"""

from __future__ import annotations

from collections.abc import Iterable

from livekit.agents import Agent, AgentSession
from livekit.agents.llm import ChatContext, ChatItem, ChatMessage
from livekit.agents.voice import SpeechHandle


class LiveContext:
    """Takes items out of a running session. Bind it when the session starts."""

    def __init__(self) -> None:
        self._gone: set[str] = set()
        self._agent: Agent | None = None
        self._session: AgentSession[None] | None = None

    def bind(self, agent: Agent, session: AgentSession[None]) -> None:
        """Say which session it is."""
        self._agent, self._session = agent, session

    def item_ids(self) -> list[str]:
        """Return the ids of the session's items, oldest first."""
        return [] if self._session is None else [item.id for item in self._session.history.items]

    async def clear(self, instructions: str, *, speech: SpeechHandle | None = None) -> None:
        """Take out everything, and go on with these instructions.

        Args:
            instructions: the agent's from now on.
            speech: the reply that clears it, if one does; else the one under way, if any.
                It was made from what is gone, so what it adds is gone when it is done.
        """
        if self._agent is None or self._session is None:
            return
        await self._agent.update_instructions(instructions)
        await self.drop([*self.item_ids(), *(item.id for item in self._agent.chat_ctx.items)])
        under_way = speech or self._session.current_speech
        if under_way is not None:
            under_way.add_done_callback(self._drop_added)

    async def drop(self, item_ids: Iterable[str]) -> None:
        """Take these items out."""
        self._gone.update(item_ids)
        await self._tidy()

    def present(self, items: Iterable[ChatItem]) -> list[ChatItem]:
        """Return which of these items are not gone."""
        return [item for item in items if self._stays(item)]

    async def visible(self, chat_ctx: ChatContext) -> ChatContext:
        """Return a copy of the context without what is gone.

        The turn that is being answered stays in it until it is answered. Instructions are
        the agent's present ones, which may be newer than the copy of a reply under way.
        """
        await self._tidy()
        last = next((each for each in reversed(chat_ctx.items) if _is_turn(each)), None)
        copy = chat_ctx.copy()
        kept = [item for item in copy.items if item is last or self._stays(item)]
        copy.items = [self._present(item) for item in kept]
        return copy

    def _present(self, item: ChatItem) -> ChatItem:
        if self._agent is None or not self._gone or not _is_instruction(item):
            return item
        return self._agent.chat_ctx.get_by_id(item.id) or item

    async def _tidy(self) -> None:
        if self._agent is None or self._session is None:
            return
        history = self._session.history.items
        history[:] = [item for item in history if item.id not in self._gone]
        kept = self.present(self._agent.chat_ctx.items)
        if len(kept) < len(self._agent.chat_ctx.items):
            await self._agent.update_chat_ctx(ChatContext(kept))

    def _drop_added(self, speech: SpeechHandle) -> None:
        self._gone.update(item.id for item in speech.chat_items)

    def _stays(self, item: ChatItem) -> bool:
        return item.id not in self._gone or _is_instruction(item)


def since(item_ids: Iterable[str], first: str) -> list[str]:
    """Return the ids from ``first`` on; all where it is not among them."""
    ids = list(item_ids)
    return ids[ids.index(first) :] if first in ids else ids


def _is_instruction(item: ChatItem) -> bool:
    return isinstance(item, ChatMessage) and item.role == "system"


def _is_turn(item: ChatItem) -> bool:
    return isinstance(item, ChatMessage) and item.role == "user"
