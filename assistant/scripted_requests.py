"""Which tool a plain English sentence asks for: the patterns of the scripted demo model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from livekit.agents.llm import ChatContext, ChatMessage, FunctionCall, FunctionCallOutput

from assistant.consent import affirms
from assistant.persona import is_erase_question

_PROFILE = ("first_name", "occupation", "interests", "language", "time_zone", "profile_text")
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "one": 1, "two": 2}
_IS = r"my (?P<what>[\w' -]{2,40}?) (?:is|are) (?:called )?(?P<value>[^?]{1,200}?)[.!]?$"


@dataclass(frozen=True)
class Wanted:
    """A tool to call, with its arguments."""

    name: str
    arguments: dict[str, object] = field(default_factory=dict)


Match = re.Match[str]
_Rule = tuple[re.Pattern[str], Callable[[Match, ChatContext], Wanted | None]]


def wanted_tool(text: str, chat_ctx: ChatContext) -> Wanted | None:
    """Return what the person asks for with their last words, or None."""
    if is_erase_question(last_said(chat_ctx)):
        return Wanted("forget_everything") if affirms(text) else None
    for pattern, make in _RULES:
        match = pattern.search(text)
        wanted = make(match, chat_ctx) if match else None
        if wanted is not None:
            return wanted
    return None


def last_said(chat_ctx: ChatContext) -> str:
    """Return the agent's last words."""
    for item in reversed(chat_ctx.items):
        if isinstance(item, ChatMessage) and item.role == "assistant":
            return item.text_content or ""
    return ""


def slug(text: str) -> str:
    """Return words as a key."""
    return re.sub(r"\W+", "_", text.strip().casefold()).strip("_") or "something"


def _introduced(match: Match, _: ChatContext) -> Wanted:
    known = dict.fromkeys(_PROFILE)
    return Wanted("update_user_profile", {**known, "first_name": match["name"].title()})


def _forget_last(_: Match, chat_ctx: ChatContext) -> Wanted:
    turns = [
        item.text_content or ""
        for item in chat_ctx.items
        if isinstance(item, ChatMessage) and item.role == "user"
    ]
    asked = len(turns) > 1 and turns[-2].strip().endswith("?")
    return Wanted("forget_last", {"what": "recalled" if asked else "said"})


def _choice(match: Match, chat_ctx: ChatContext) -> Wanted | None:
    output = _last_output(chat_ctx)
    if "which of these" not in output:
        return None
    offered = [int(number) for number in re.findall(r"(?:^|[ ;])(\d+)\. ", output)]
    said = match[0].casefold()
    if "both" in said or "all" in said:
        return Wanted("forget_choices", {"numbers": offered})
    number = next((_ORDINALS[word] for word in _ORDINALS if word in said), 0)
    digits = re.search(r"\d+", said)
    return Wanted("forget_choices", {"numbers": [int(digits[0]) if digits else number]})


def _more(_: Match, chat_ctx: ChatContext) -> Wanted:
    calls = [
        item
        for item in chat_ctx.items
        if isinstance(item, FunctionCall) and item.name == "list_memories"
    ]
    page = json.loads(calls[-1].arguments).get("page") or 1 if calls else 0
    return Wanted("list_memories", {"category": None, "page": page + 1})


def _last_output(chat_ctx: ChatContext) -> str:
    for item in reversed(chat_ctx.items):
        if isinstance(item, FunctionCallOutput):
            return item.output
    return ""


def _simply(name: str, **arguments: object) -> Callable[[Match, ChatContext], Wanted]:
    return lambda *_: Wanted(name, arguments)


def _about(name: str, **arguments: object) -> Callable[[Match, ChatContext], Wanted]:
    def make(match: Match, _: ChatContext) -> Wanted:
        value = {"value": match["value"]} if "value" in match.re.groupindex else {}
        return Wanted(name, {**arguments, "key": slug(match["what"]), **value})

    return make


_PATTERNS: tuple[tuple[str, Callable[[Match, ChatContext], Wanted | None]], ...] = (
    (
        r"\b(?:don't|do not|stop) remember(?:ing)?\b|\boff the record\b",
        _simply("stop_remembering"),
    ),
    (r"\b(?:you can|you may|please) remember (?:\w+ )?again\b", _simply("remember_again")),
    (r"^(?:please )?undo\b|\btake (?:that|it) back\b", _simply("undo_last_change")),
    (
        r"\b(?:forget|erase|delete) (?:everything|all of it|all about me|me\b)",
        _simply("forget_everything"),
    ),
    (
        r"\bforget (?:about )?(?:that|this|it|what i (?:just )?said)(?: please)?\s*[.!]?$",
        _forget_last,
    ),
    (
        r"^(?:please |forget )?(?:the )?(?:number )?(?:first|second|third|fourth|fifth|one|two|\d+"
        r"|both|all)(?: one| of them)?(?: please)?[.!]?$",
        _choice,
    ),
    (
        r"\b(?:that's|that is|you're|you are) (?:wrong|not right)\b.*?\b" + _IS,
        _about("correct_memory", category=None),
    ),
    (r"^no,? " + _IS, _about("correct_memory", category=None)),
    (r"\b(?:my name is|call me|i am called)\s+(?P<name>[^\W\d_][\w'-]*)", _introduced),
    (
        r"\bforget (?:about )?(?:that )?(?:my |the )?(?P<what>[\w' -]{2,60})",
        _about("forget_memory", category=None),
    ),
    (r"\bwhat else\b|^go on[.!]?$", _more),
    (r"\bwhat do you (?:know|remember)", _simply("list_memories", category=None, page=None)),
    (
        r"\bwhat(?:'s| is| are| was)? my (?P<what>[\w' -]{2,40})",
        _about("retrieve_memory", category=None),
    ),
    (r"\b" + _IS, _about("store_memory", category="FACT")),
)

_RULES: tuple[_Rule, ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), make) for pattern, make in _PATTERNS
)
