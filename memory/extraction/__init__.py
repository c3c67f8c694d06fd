"""Facts out of what people said: category, key, value, confidence, and the turn they came from."""

from __future__ import annotations

from memory.extraction.fact import (
    Extraction,
    ExtractionError,
    Fact,
    FactModel,
    FactModelError,
    ToldTurn,
)
from memory.extraction.reading import OnReading, ReadingState
from memory.extraction.rules import RuleModel
from memory.extraction.table import PatternError

__all__ = [
    "Extraction",
    "ExtractionError",
    "Fact",
    "FactModel",
    "FactModelError",
    "OnReading",
    "PatternError",
    "ReadingState",
    "RuleModel",
    "ToldTurn",
]
