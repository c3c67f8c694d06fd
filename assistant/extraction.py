"""The extraction of facts of one session, as the settings want it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from assistant.fact_model import LLMFactModel
from assistant.providers import build_fact_llm
from config import Settings
from memory import MemoryManager
from memory.extraction import ExtractionError, FactModel, OnReading, RuleModel, ToldTurn
from memory.extraction.extractor import Extractor
from profiles import ProfileManager
from storage import StoreThreads

logger = logging.getLogger("assistant.extraction")

_RULES_WAIT_S = 1.0
"""Rules need no turns gathered. But what a tool stores of a turn comes first, so that the fact
goes under the category that the tool chose."""


class SessionExtraction:
    """The `Extractor` of a session with the models that it uses; none where it is off.

    Args:
        settings: whether, how and how surely facts are read, and by which language model.
        memory: the session's memory.
        profiles: the session's profile, whose text is kept up.
        threads: where blocking calls run.
        session_id: makes the ids of this session's writes its own.
        on_stored: called when facts were stored.
        is_taken_back: tells by a turn's write id whether it may no longer be drawn on.
        on_reading: called with how far each read is.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        memory: MemoryManager,
        profiles: ProfileManager,
        threads: StoreThreads,
        session_id: str,
        on_stored: Callable[[], None],
        is_taken_back: Callable[[str], bool],
        on_reading: OnReading | None = None,
    ) -> None:
        wanted = settings.extraction
        self._extractor: Extractor | None = None
        self._llm_model: LLMFactModel | None = None
        if wanted.extraction == "off":
            return
        rules = _rules(wanted.patterns)
        llm = build_fact_llm(settings.providers) if wanted.extraction == "auto" else None
        if llm is not None:
            self._llm_model = LLMFactModel(llm, deadline_s=wanted.deadline_s)
        model: FactModel = self._llm_model or rules
        self._extractor = Extractor(
            memory,
            threads,
            session_id,
            model=model,
            fallback=rules,
            deadline_s=wanted.deadline_s,
            wait_s=wanted.wait_s if self._llm_model else min(wanted.wait_s, _RULES_WAIT_S),
            least_confidence=wanted.least_fact_confidence,
            keep_summary=profiles.keep_summary,
            on_stored=on_stored,
            is_taken_back=is_taken_back,
            on_reading=on_reading,
        )

    def start(self) -> None:
        """Begin to read what is heard."""
        if self._extractor is not None:
            self._extractor.start()

    def hear(self, turn: ToldTurn) -> None:
        """Take a turn that the gate kept; returns at once."""
        if self._extractor is not None:
            self._extractor.hear(turn)

    def drop_waiting(self) -> None:
        """Make no facts of what was heard until now, because something is to be forgotten."""
        if self._extractor is not None:
            self._extractor.drop_waiting()

    async def aclose(self, deadline_s: float) -> None:
        """Read what still waits, for at most ``deadline_s`` seconds, and free everything."""
        if self._extractor is not None:
            await self._extractor.aclose(deadline_s)
        if self._llm_model is not None:
            await self._llm_model.aclose()


def _rules(patterns: Path | None) -> RuleModel:
    try:
        return RuleModel(patterns)
    except ExtractionError as error:
        logger.error(
            "FACT_PATTERNS is not used; the built-in patterns are", extra={"error": str(error)}
        )
        return RuleModel()
