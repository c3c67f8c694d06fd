"""The wire format of Deepgram's ``/v1/listen``: the query, and the messages it answers with.

Source: Deepgram's reference of the live streaming API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from multidict import MultiMapping
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from tests.standins.errors import ContractFault
from tests.standins.wire_model import problems_of

_REPEATABLE = frozenset({"keyterm", "keywords", "redact", "replace", "search", "tag"})
_CONFIDENCE = 0.98


def _true_or_false(value: object) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be 'true' or 'false'")
    return value == "true"


Flag = Annotated[bool, BeforeValidator(_true_or_false)]


class ListenQuery(BaseModel):
    """The query of a connection; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    model: str = Field(pattern=r"^(nova-3|nova-2|nova|enhanced|base)(-[a-z]+)*$")
    language: str = Field(pattern=r"^([a-z]{2}(-[A-Za-z0-9]+)?|multi)$")
    encoding: str = Field(pattern="^linear16$")
    sample_rate: int = Field(ge=8000, le=48000)
    channels: int = Field(ge=1, le=1)
    interim_results: Flag = False
    punctuate: Flag = False
    smart_format: Flag = False
    no_delay: Flag = False
    vad_events: Flag = False
    filler_words: Flag = False
    profanity_filter: Flag = False
    numerals: Flag = False
    mip_opt_out: Flag = False
    diarize: Flag = False
    dictation: Flag = False
    endpointing: str = Field("10", pattern=r"^(false|\d+)$")
    utterance_end_ms: int | None = Field(None, ge=1000, le=5000)
    keyterm: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        is_nova_3 = self.model.startswith("nova-3")
        if self.keyterm and not is_nova_3:
            raise ValueError("keyterm needs a nova-3 model")
        if self.keywords and is_nova_3:
            raise ValueError("keywords are not supported by nova-3; use keyterm")
        if self.utterance_end_ms is not None and not self.interim_results:
            raise ValueError("utterance_end_ms needs interim_results=true")
        return self

    @property
    def is_formatted(self) -> bool:
        """Whether transcripts come with capitals and punctuation."""
        return self.punctuate or self.smart_format


def parse_query(query: MultiMapping[str]) -> ListenQuery:
    """Read a connection's query.

    Raises:
        ContractFault: parameters are missing, unknown, repeated or wrong.
    """
    values: dict[str, Any] = {}
    for name in set(query.keys()):
        given = query.getall(name)
        if len(given) > 1 and name not in _REPEATABLE:
            raise ContractFault(f"query.{name}: is given {len(given)} times")
        values[name] = given if name in _REPEATABLE else given[0]
    try:
        return ListenQuery.model_validate(values)
    except ValidationError as error:
        raise ContractFault([f"query.{problem}" for problem in problems_of(error)]) from None


@dataclass(frozen=True)
class Transcript:
    """Words and where in the audio they were, in seconds since the stream's start."""

    text: str
    start_s: float
    end_s: float


def results_message(
    transcript: Transcript,
    query: ListenQuery,
    request_id: str,
    *,
    is_final: bool,
    from_finalize: bool = False,
) -> dict[str, Any]:
    """Return a ``Results`` message; a final one also ends the utterance."""
    words = _words(transcript, is_formatted=query.is_formatted)
    shown = "punctuated_word" if query.is_formatted else "word"
    alternative = {
        "transcript": " ".join(str(word[shown]) for word in words),
        "confidence": _CONFIDENCE if words else 0.0,
        "words": words,
    }
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": transcript.start_s,
        "duration": transcript.end_s - transcript.start_s,
        "is_final": is_final,
        "speech_final": is_final,
        "from_finalize": from_finalize,
        "channel": {"alternatives": [alternative]},
        "metadata": {"request_id": request_id, "model_info": {"name": query.model}},
    }


def speech_started_message(at_s: float) -> dict[str, Any]:
    """Return a ``SpeechStarted`` message."""
    return {"type": "SpeechStarted", "channel": [0, 1], "timestamp": at_s}


def utterance_end_message(at_s: float) -> dict[str, Any]:
    """Return an ``UtteranceEnd`` message."""
    return {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": at_s}


def metadata_message(request_id: str, audio_s: float) -> dict[str, Any]:
    """Return the ``Metadata`` message that closes a stream."""
    return {"type": "Metadata", "request_id": request_id, "duration": audio_s, "channels": 1}


def _words(transcript: Transcript, *, is_formatted: bool) -> list[dict[str, Any]]:
    spoken = transcript.text.split()
    length_s = (transcript.end_s - transcript.start_s) / max(1, len(spoken))
    words: list[dict[str, Any]] = []
    for index, spelled in enumerate(spoken):
        start_s = transcript.start_s + index * length_s
        word: dict[str, Any] = {
            "word": re.sub(r"[^\w'-]", "", spelled).lower(),
            "start": round(start_s, 3),
            "end": round(start_s + length_s, 3),
            "confidence": _CONFIDENCE,
        }
        words.append({**word, "punctuated_word": spelled} if is_formatted else word)
    return words
