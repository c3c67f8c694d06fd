"""The tools with which a person decides what is remembered at all, and takes it back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from livekit.agents import RunContext, StopResponse, function_tool
from livekit.agents.llm import ChatMessage, ToolError
from livekit.agents.voice import SpeechHandle

from assistant.changes import Change
from assistant.consent import affirms
from assistant.live_context import since
from assistant.tools.session import LEFT_OUT_LATER, ToolSession
from people import ErasureUnfinishedError
from storage import StorageError

logger = logging.getLogger("assistant.tools")


@dataclass(frozen=True)
class Erasing:
    """How everything is forgotten.

    Attributes:
        erase: erases the person of the session; a blocking call.
        question: is asked first, word for word; its first sentence must have been said.
        deadline_s: seconds that erasing may take.
    """

    erase: Callable[[], object]
    question: str
    deadline_s: float = 20.0


@dataclass(frozen=True)
class _Asked:
    turn: int
    speech: SpeechHandle


class ControlTools:
    """Undo, a pause of remembering, and forgetting everything.

    Args:
        session: the tools' session.
        erasing: how to forget everything; None where that is not possible.
    """

    def __init__(self, session: ToolSession, erasing: Erasing | None) -> None:
        self._session = session
        self._erasing = erasing
        self._asked: _Asked | None = None
        self._private_from: str | None = None
        self._has_erased = False

    @function_tool
    async def undo_last_change(self) -> str:
        """Take back the last change to what is remembered: "undo".

        Call it again for the change before. It takes back what was stored, corrected or
        forgotten in this session. Say what it undid.
        """
        session = self._session
        await session.leave_out_own_turn()
        await session.settle()
        step = session.changes.last()
        if step is None:
            if self._has_erased:
                return "there is nothing to undo: forgetting everything cannot be taken back"
            return "there is nothing to undo in this session"
        return await session.whole(self._undo(*step))

    @function_tool
    async def stop_remembering(self) -> str:
        """Remember nothing from now on: "don't remember this", "off the record".

        What the person has just said in this message is left out, too, and so is everything
        until they say that you can remember again. Say so in a few words.
        """
        session = self._session
        was_paused = session.recorder.is_paused
        session.recorder.pause()
        asking = session.turns.current.item_id
        if not was_paused:
            self._private_from = asking
        async with session.writing:  # what is being stored just now belongs to the same message
            is_left_out = await session.leave_out_own_turn()
            for change in reversed(session.changes.of(asking)):
                await session.call(change.take_back)
            session.changes.drop(asking)
        session.on_change()
        paused = "from now on nothing is remembered, until they say: you can remember again"
        return paused if is_left_out else f"{paused}; {LEFT_OUT_LATER}"

    @function_tool
    async def remember_again(self, context: RunContext[None]) -> str:
        """End a pause: "you can remember again".

        What was said in the pause is gone for good, from this conversation as well: do not ask
        for it and do not repeat it.
        """
        session = self._session
        if not session.recorder.is_paused:
            return "it was remembering all along"
        await session.leave_out_own_turn()
        if self._private_from is not None:
            private = since(session.context.item_ids(), self._private_from)
            await session.context.drop(private)
            self._private_from = None
        session.turns.forget_earlier()
        # Not before the other tools that the model called in the same breath are through:
        # it called them when it still saw what is private.
        context.session.once("function_tools_executed", lambda _: session.recorder.resume())
        context.speech_handle.add_done_callback(lambda _: session.recorder.resume())
        return "from now on it remembers again; what was said in the pause is not kept"

    @function_tool
    async def forget_everything(self, context: RunContext[None]) -> str:
        """Erase everything about the person, for good: "forget everything", "delete my data".

        The first call erases nothing: it asks the person itself to confirm. Call it again when
        they have answered yes. Never ask them yourself, and never call it for anything less.
        """
        if self._erasing is None:
            raise ToolError("this cannot be done here")
        if not self._is_confirmed():
            question = context.session.say(self._erasing.question)
            self._asked = _Asked(self._session.turns.current.number, question)
            raise StopResponse
        self._asked = None
        with contextlib.suppress(RuntimeError):  # interrupted already, and done nevertheless
            context.disallow_interruptions()
        await self._erase(self._erasing, context.speech_handle)
        return (
            "everything about them is erased for good, and this conversation with it; say that "
            "it is done and cannot be undone, and go on as with somebody new"
        )

    async def _undo(self, item_id: str, changes: list[Change]) -> str:
        session = self._session
        session.recorder.take_back(item_id)
        undone = []
        withdraws = any(change.write_ids for change in changes)
        while changes:
            await session.call(changes[-1].take_back)
            undone.append(changes.pop().what)
        session.changes.drop(item_id)
        session.on_change()
        if withdraws:
            await session.drop_summary()
        await session.on_profile_change()
        return f"took back the last change; {'; '.join(undone)}"

    def _is_confirmed(self) -> bool:
        """Whether the person, and nobody else, said yes to the question, right after it."""
        if self._asked is None or self._erasing is None:
            return False
        answers = self._session.turns.since(self._asked.turn)
        return (
            len(answers) == 1
            and affirms(answers[0].text)
            and _was_said(self._asked.speech, self._erasing.question)
        )

    async def _erase(self, erasing: Erasing, speech: SpeechHandle) -> None:
        session = self._session
        async with session.writing:
            session.recorder.begin_anew(None)
            await session.settle()
            try:
                await asyncio.wait_for(session.threads.run(erasing.erase), erasing.deadline_s)
                self._has_erased = True
            except ErasureUnfinishedError as error:
                self._has_erased = True
                logger.warning("an erasure left deleted bytes", extra={"error": str(error)})
            except (asyncio.TimeoutError, StorageError) as error:
                raise ToolError(
                    "it could not be done just now, and may or may not have happened; say so, "
                    "and that they can ask again"
                ) from error
            finally:  # also where nobody knows: what they wanted gone is not spoken of again
                await session.begin_anew(speech)


def _was_said(speech: SpeechHandle, question: str) -> bool:
    asked = question.split("?")[0]
    return any(
        isinstance(item, ChatMessage) and asked in (item.text_content or "")
        for item in speech.chat_items
    )
