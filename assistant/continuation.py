"""A conversation that goes on where another of the same person was cut off."""

from __future__ import annotations

import asyncio
import logging

from livekit.agents.llm import ChatContext, ChatItem
from prometheus_client import Counter

from assistant import history
from session_context import (
    get_session_generation,
    get_session_remembered,
    get_session_user_uuid,
)
from sessions import StateUnreachableError
from sessions.contract import Conversations

logger = logging.getLogger("assistant.continuation")

_HISTORIES = Counter(
    "voice_agent_histories", "Conversations kept for the next one, or gone on with", ["result"]
)


class Continuation:
    """What one session begins with, and what it leaves for the next.

    Args:
        histories: where it is kept; None where there is no such place.
        ttl_s: for how many seconds.
    """

    def __init__(self, histories: Conversations | None, *, ttl_s: int) -> None:
        self._histories = histories
        self._ttl_s = ttl_s
        self.began_with: ChatContext | None = None

    async def take(self, *, deadline_s: float) -> None:
        """Look for a conversation to go on with; it is kept no longer then.

        Of somebody who does not want to be remembered it is deleted and not used.
        """
        user = get_session_user_uuid()
        if self._histories is None or user is None:
            return
        try:
            text = await asyncio.wait_for(self._histories.take_history(user), deadline_s)
        except (StateUnreachableError, asyncio.TimeoutError) as error:
            _HISTORIES.labels("unreachable").inc()
            logger.warning(
                "[SESSION] nobody can say whether the last conversation was cut off",
                extra={"error": type(error).__name__},
            )
            return
        if text is None or get_session_remembered() is not True:
            return
        found = history.read(text, get_session_generation())
        if found is None:
            _HISTORIES.labels("outdated").inc()
            return
        _HISTORIES.labels("used").inc()
        self.began_with = found.as_context()
        logger.info(
            "[SESSION] this conversation goes on where the last was cut off",
            extra={"user_uuid": user, "messages": len(found.messages)},
        )

    async def keep(self, items: list[ChatItem]) -> None:
        """Keep what was said for the next session of the person, while they want it kept."""
        user, generation = get_session_user_uuid(), get_session_generation()
        allowed = get_session_remembered() is True
        if self._histories is None or user is None or generation is None or not allowed:
            return
        text = history.written(items, generation)
        if text is None:
            return
        try:
            await self._histories.keep_history(user, text, ttl_s=self._ttl_s)
        except StateUnreachableError as error:
            _HISTORIES.labels("lost").inc()
            logger.warning(
                "[SESSION] the conversation was not kept for the next one",
                extra={"error": type(error).__name__},
            )
            return
        _HISTORIES.labels("kept").inc()
