"""Which of the things a person says may be true of them, and why the others are not kept.

The gate only drops what it recognises: filler, the agent's own words, what recall brought
up, questions and requests to the agent, reactions, and what was not understood. English;
text in another language is filler at most, and kept otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

from memory.phrases import FILLER, IMPERATIVES, REACTIONS, REQUEST_OPENINGS
from memory.speech import OF_OURS, clauses, in_full, plain, sentences, without_lead_in, words

LEAST_CONFIDENCE = 0.6

_LEAST_ECHO = 3
_LEAST_SIMILAR_ECHO = 5
_SIMILAR = 0.85
_MOST_COMPARED_WORDS = 60
_LONGEST_REACTION = 8

_INVERTED = re.compile(
    r"(?:am|are|is|was|were|do|does|did|have|has|had|can|cannot|could|will|would|should|shall"
    r"|may|might|must)(?: not)? (?:i|you|we|he|she|it|they|this|that|these|those|there|the|my"
    r"|your|our|a|an|any\w*|some\w*|every\w*)\b",
    re.IGNORECASE,
)
_WH = re.compile(
    r"(?:and |so |for |to |in |at |on )?(?:what|who|whom|whose|where|when|why|how|which)\b"
    r"(?! (?:i|we|my|our)\b)",
    re.IGNORECASE,
)
_WH_ASKED = re.compile(r"(?:what|who|whose|where|when|why|how|which)\b", re.IGNORECASE)
_TELLS = re.compile(rf"(?:i (?!cannot hear|wonder)\w|we \w|{OF_OURS})", re.IGNORECASE)
_OF_THE_PERSON = re.compile(
    r"\b(?:i|me|my|mine|myself|we|us|our|ours|he|she|him|her|his|they|their)\b", re.IGNORECASE
)
_IMPERSONAL = re.compile(r"(?:that|it|this|there|these|those|you|your|so|too|not)\b", re.IGNORECASE)
_CONCRETE = re.compile(
    r"\d|(?<=[\w,] )[A-Z][\w'-]|\b(?:january|february|march|april|may|june|july|august|september"
    r"|october|november|december|(?:mon|tues|wednes|thurs|fri|satur|sun)day|tomorrow)\b"
)
_DANGLING = frozenset(
    """
    a about also an and are at because but by for from i i'm if in into is it's like my of on or
    our she so than that the then they to was we were when which who with you should would could
    """.split()
)


class Verdict(str, Enum):
    """What the gate says of a turn."""

    KEPT = "kept"
    FILLER = "filler"
    ECHO = "echo"
    RECALLED = "recalled"
    QUESTION = "question"
    REQUEST = "request"
    REACTION = "reaction"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Heard:
    """A turn with what the gate must know of the moment in which it was said.

    Attributes:
        text: what the person said.
        agent_said: the agent's last words before it.
        confidence: of the transcription, 0 to 1; None where it was typed or nobody knows.
        recalled: the memories that recall gave the model for the turns before this one.
    """

    text: str
    agent_said: str = ""
    confidence: float | None = None
    recalled: Sequence[str] = ()


def judge(heard: Heard, least_confidence: float = LEAST_CONFIDENCE) -> Verdict:
    """Say whether a turn is to be kept, or why not.

    A turn of several sentences is kept where one of them is.

    Args:
        heard: the turn.
        least_confidence: below it a half sentence is not kept, and below half of it nothing.
    """
    spoken = words(heard.text)
    if not spoken or all(word in FILLER for word in spoken):
        return Verdict.FILLER
    if _repeats(spoken, heard.agent_said):
        return Verdict.ECHO
    if any(spoken == words(text) for text in heard.recalled):
        return Verdict.RECALLED
    verdicts = [
        _of_sentence(sentence, heard.agent_said) for sentence in sentences(plain(heard.text))
    ]
    if not verdicts or Verdict.KEPT in verdicts:
        unclear = _is_unclear(heard.text, spoken, heard.confidence, least_confidence)
        return Verdict.UNCLEAR if unclear else Verdict.KEPT
    return next((verdict for verdict in verdicts if verdict is not Verdict.FILLER), Verdict.FILLER)


def sentence_verdict(sentence: str) -> Verdict:
    """Say what one plain sentence is, whoever said what before."""
    return _of_sentence(sentence, "")


def _is_unclear(text: str, spoken: list[str], confidence: float | None, least: float) -> bool:
    half = spoken[-1] in _DANGLING and not re.search(r"[.!?]\s*$", text)
    if half and len(spoken) <= 3:
        return True
    # 0 is what livekit-agents gives for a recogniser that reports no confidence.
    if not confidence:
        return False
    return confidence < least / 2 or (confidence < least and not _is_whole(text, spoken))


def _is_whole(text: str, spoken: list[str]) -> bool:
    return spoken[-1] not in _DANGLING and bool(re.search(r"[.!?]\s*$", text))


def _repeats(spoken: list[str], agent_said: str) -> bool:
    if len(spoken) < _LEAST_ECHO:
        return False
    joined = f" {' '.join(spoken)} "
    if len(spoken) >= _LEAST_SIMILAR_ECHO and joined in f" {' '.join(words(agent_said))} ":
        return True
    for sentence in sentences(agent_said):
        said = words(sentence)
        is_part = joined in f" {' '.join(said)} "
        # Some words of a question are its answer: "tea with milk, or coffee?"
        if is_part and (not sentence.endswith("?") or len(spoken) >= 0.8 * len(said)):
            return True
        if _sound_alike(spoken, said):
            return True
    return False


def _sound_alike(spoken: list[str], said: list[str]) -> bool:
    if not _LEAST_SIMILAR_ECHO <= len(spoken) <= _MOST_COMPARED_WORDS:
        return False
    if _in_first_person(spoken) != _in_first_person(said):
        return False
    # One word misheard in five; a name that differs is a correction and stands beside "no".
    if {"no", "not", "actually"} & set(spoken):
        return False
    same = SequenceMatcher(None, spoken, said[:_MOST_COMPARED_WORDS], autojunk=False)
    return same.ratio() >= _SIMILAR


def _in_first_person(said: list[str]) -> bool:
    return bool({"i", "i'm", "my", "we"} & set(said))


def _of_sentence(sentence: str, agent_said: str) -> Verdict:
    if all(word in FILLER for word in words(sentence)):
        return Verdict.FILLER
    verdicts = [_of_clause(clause, sentence, agent_said) for clause in clauses(sentence)]
    if not verdicts or Verdict.KEPT in verdicts:
        # "Can you tell me a joke, and I love jokes": one thing told is enough.
        return Verdict.KEPT
    return next((each for each in verdicts if each is not Verdict.FILLER), Verdict.FILLER)


def _of_clause(clause: str, sentence: str, agent_said: str) -> Verdict:
    spoken = words(clause)
    if all(word in FILLER for word in spoken):
        return Verdict.FILLER
    text = in_full(without_lead_in(clause))
    said = " ".join(words(text))
    if said in REACTIONS or " ".join(spoken) in REACTIONS:
        return Verdict.REACTION
    if _is_request(said):
        return Verdict.REQUEST
    if _is_question(said, sentence, is_last=sentence.rstrip(" ?").endswith(clause)):
        return Verdict.QUESTION
    if _is_reaction(text, said, agent_said):
        return Verdict.REACTION
    return Verdict.KEPT


def _is_request(said: str) -> bool:
    if said.startswith(REQUEST_OPENINGS):
        return True
    first, _, rest = said.removeprefix("do not ").partition(" ")
    if first == "call":
        return not rest.startswith("me ")
    return first in IMPERATIVES and not rest.startswith(("is ", "was ", "are "))


def _is_question(said: str, sentence: str, *, is_last: bool) -> bool:
    if _INVERTED.match(said) or _WH.match(said):
        return True
    if not (is_last and sentence.endswith("?")):
        return False
    return bool(_WH_ASKED.match(said)) or not _TELLS.match(said)


def _is_reaction(text: str, said: str, agent_said: str) -> bool:
    if _OF_THE_PERSON.search(said) or _CONCRETE.search(text):
        return False
    if _IMPERSONAL.match(said):
        # "It's dre" may be the name that the agent asked for.
        is_answer = said.startswith("it is ") and "may i call you?" in agent_said.casefold()
        return len(said.split()) <= _LONGEST_REACTION and not is_answer
    # A word or two are an answer where the agent asked, and else a comment.
    comments = bool(agent_said) and "?" not in agent_said
    return comments and said.isascii() and len(said.split()) <= 2
