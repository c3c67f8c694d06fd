"""The scripted demo model: no intelligence, no account, the same tools and recall.

It lets a newcomer see the whole product without a key. It understands a handful of plain
English sentences, and says so when it does not.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.llm import (
    LLM,
    ChatChunk,
    ChatContext,
    ChatMessage,
    ChoiceDelta,
    FunctionCallOutput,
    FunctionToolCall,
    LLMStream,
    Tool,
    ToolChoice,
)

from assistant.persona import is_erase_question
from assistant.prompt import NOTES_HEADING, last_user_text
from assistant.scripted_requests import Wanted, last_said, wanted_tool

_DOING = frozenset(
    {
        "correct_memory",
        "forget_choices",
        "forget_last",
        "forget_memory",
        "forget_user_profile",
        "undo_last_change",
    }
)

Reply = str | FunctionToolCall

DEMO_NOTICE = (
    "I am the scripted demo model and understand only a few sentences. "
    "Tell me your name, say what your favorite color is, or ask what I know about you."
)

_NOTE = re.compile(r'^- \S+ \S+ "(?P<key>[^"]+)": (?P<value>".*")$', re.MULTILINE)


class ScriptedModel(LLM[Any]):
    """Answers by a few patterns instead of by a language model."""

    @property
    def model(self) -> str:
        """The name that logs and metrics show."""
        return "scripted-demo"

    @property
    def provider(self) -> str:
        """No provider: it runs in this process."""
        return "none"

    def chat(
        self,
        *,
        chat_ctx: ChatContext,
        tools: list[Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,  # noqa: ARG002 - the LLM's interface
        tool_choice: NotGivenOr[ToolChoice] = NOT_GIVEN,  # noqa: ARG002
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,  # noqa: ARG002
    ) -> LLMStream:
        """Answer the last message, or put the last tool's answer into words."""
        return _ScriptedStream(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options
        )


class _ScriptedStream(LLMStream):
    async def _run(self) -> None:
        answer = scripted_reply(self._chat_ctx, {tool.id for tool in self._tools})
        request_id = f"scripted-{uuid.uuid4()}"
        if isinstance(answer, str):
            for word in re.findall(r"\S+\s*", answer):
                delta = ChoiceDelta(role="assistant", content=word)
                self._event_ch.send_nowait(ChatChunk(id=request_id, delta=delta))
        else:
            delta = ChoiceDelta(role="assistant", tool_calls=[answer])
            self._event_ch.send_nowait(ChatChunk(id=request_id, delta=delta))


def scripted_reply(chat_ctx: ChatContext, tools: set[str]) -> Reply:
    """Return what the model says or which tool it calls, given the context and the tools."""
    last = chat_ctx.items[-1] if chat_ctx.items else None
    if isinstance(last, FunctionCallOutput):
        return _in_words(last)
    text = (last_user_text(chat_ctx) or "").strip().replace("\u2019", "'")
    wanted = wanted_tool(text, chat_ctx)
    if wanted is not None and wanted.name in tools:
        return _call(wanted)
    if text and _answers_erase_question(chat_ctx):
        return "All right, I keep everything."
    return _from_notes(text, _notes(chat_ctx))


def _call(wanted: Wanted) -> FunctionToolCall:
    return FunctionToolCall(
        name=wanted.name,
        arguments=json.dumps(wanted.arguments),
        call_id=f"call_{uuid.uuid4().hex}",
    )


def _in_words(result: FunctionCallOutput) -> str:
    if result.is_error:
        return f"I could not do that: {result.output}."
    said = {
        "store_memory": "Thank you, I will remember that.",
        "update_user_profile": "Nice to meet you! I will remember that.",
        "list_memories": f"This is what I know. {_spoken(result.output)}.",
        "retrieve_memory": f"As far as I know, {_spoken(result.output)}.",
        "stop_remembering": "All right: from now on I remember nothing of this, until you say: "
        "you can remember again.",
        "remember_again": "All right, I remember again. What you said in between is not kept.",
        "forget_everything": "It is done: everything I knew about you is erased, and that cannot "
        "be undone. Hello! What may I call you?",
    }
    if result.name in said:
        return said[result.name]
    return f"Done: {result.output}." if result.name in _DOING else result.output


def _answers_erase_question(chat_ctx: ChatContext) -> bool:
    return is_erase_question(last_said(chat_ctx))


def _from_notes(text: str, notes: dict[str, str]) -> str:
    best = next(iter(notes.values()), None)
    if text.endswith("?"):
        return f"You once told me: {best}" if best else DEMO_NOTICE
    if best:
        return f"I will keep that in mind. It reminds me of something you told me: {best}"
    return f"I will keep that in mind. {DEMO_NOTICE}"


def _notes(chat_ctx: ChatContext) -> dict[str, str]:
    for item in reversed(chat_ctx.items):
        text = item.text_content if isinstance(item, ChatMessage) else None
        if text and item.role == "system" and text.startswith(NOTES_HEADING):  # type: ignore[union-attr]
            return {match["key"]: json.loads(match["value"]) for match in _NOTE.finditer(text)}
    return {}


def _spoken(output: str) -> str:
    if output in ("nothing yet", "that was all"):
        return output.capitalize()
    output = re.sub(r"\n(\d+) more: page \d+$", r". There are \1 more; ask: what else", output)
    return output.replace("\n", ". ")
