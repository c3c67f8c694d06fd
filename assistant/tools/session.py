"""What the tools of one session share: the stores, and how a change is made and noted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from livekit.agents.llm import ToolError
from livekit.agents.voice import SpeechHandle
from prometheus_client import Counter

from assistant.changes import Change, Changes, stored
from assistant.live_context import LiveContext
from assistant.tools.telling import told as in_words
from assistant.turns import Turns
from memory import Memory, MemoryInputError, MemoryManager, NewMemory
from memory.forgetting import withdraw_all
from memory.recorder import Recorder, log_stored
from profiles import ProfileInputError, ProfileManager
from session_context import get_session_generation
from storage import PersonErasedError, StorageError, StoreThreads

logger = logging.getLogger("assistant.tools")

_REQUESTS = Counter(
    "voice_agent_requests_left_out",
    "Turns that ask for a tool, by whether they were left out of memory",
    ["result"],
)

P = ParamSpec("P")
T = TypeVar("T")

_FLUSH_S = 0.3

NOT_NOW = (
    "nothing is remembered for now, so this was not stored; to change that, "
    "say: you can remember again"
)

LEFT_OUT_LATER = (
    "the memory cannot be reached just now: what they have just said is left out as far as can be "
    "seen, so say that you cannot be sure of it yet"
)

ERASED = (
    "everything about the person was erased meanwhile, and this was not stored; go on as with "
    "somebody new"
)


class MemoryAwayError(ToolError):
    """The store did not answer; whether the call has happened is not known."""


@dataclass
class ToolSession:
    """The tools' view of one session.

    Attributes:
        memory: the session's memory.
        profiles: the session's profile.
        threads: where their blocking calls run.
        recorder: keeps the person's turns.
        session_id: makes the ids of this session's writes its own.
        deadline_s: seconds that a tool waits for the store.
        on_change: called when memory has changed.
        on_forget: called before something is forgotten: what was said before must not come
            back as a fact.
        begin_anew: called when the session has erased the person: clears what it still holds
            and binds it anew. Its argument is the reply that did it.
        erased_elsewhere: called when it turns out that somebody else has.
        on_profile_change: called when the profile has become less, or other.
        turns: the person's latest.
        changes: what can be taken back.
        context: what the model sees.
        offered: the memories from which the person is to choose, in the order told.
        under_way: work that goes on though its reply was interrupted.
        on_forgotten: called with the memories that are forgotten.
        writing: held while something is stored, so that who waits for it sees the whole.
    """

    memory: MemoryManager
    profiles: ProfileManager
    threads: StoreThreads
    recorder: Recorder
    session_id: str
    deadline_s: float
    on_change: Callable[[], None]
    on_forget: Callable[[], object]
    begin_anew: Callable[[SpeechHandle], Awaitable[None]]
    erased_elsewhere: Callable[[], Awaitable[None]]
    on_profile_change: Callable[[], Awaitable[None]]
    turns: Turns = field(default_factory=Turns)
    changes: Changes = field(default_factory=Changes)
    context: LiveContext = field(default_factory=LiveContext)
    offered: list[Memory] = field(default_factory=list)
    under_way: set[asyncio.Task[Any]] = field(default_factory=set)
    on_forgotten: Callable[[Sequence[Memory]], object] = lambda _: None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call within the deadline.

        Raises:
            ToolError: it failed, in words for the model.
            MemoryAwayError: it failed because the store did not answer.
        """
        try:
            return await asyncio.wait_for(self.threads.run(call, *args, **kwargs), self.deadline_s)
        except (MemoryInputError, ProfileInputError) as error:
            raise ToolError(str(error)) from error
        except PersonErasedError as error:
            await self.erased_elsewhere()
            raise ToolError(ERASED) from error
        except (asyncio.TimeoutError, StorageError) as error:
            raise MemoryAwayError(
                "the memory cannot be reached just now, and this may or may not have happened; "
                "say so and go on"
            ) from error

    async def settle(self) -> None:
        """Wait a moment until what was said before is stored, so that a tool sees it."""
        await self.recorder.flush(_FLUSH_S)

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Do all of this work, also where the person interrupts the reply that asked for it.

        A change that is made and not noted could not be taken back.
        """
        task = asyncio.create_task(work, name="person_tool")
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return await asyncio.shield(task)

    async def store(self, new: NewMemory) -> Memory:
        """Store a memory, and note how to take it back.

        Raises:
            ToolError: it is not stored, or nothing may be.
        """
        async with self.writing:
            self.check_may_write()
            told = replace(new, generation=get_session_generation())
            made = (await self.call(self.memory.store_all, [told]))[0]
            log_stored(made)
            self.note(stored(self.memory, made, f"no longer remembered: {in_words(made)}"))
        self.on_change()
        return made

    def check_may_write(self) -> None:
        """Refuse a write while nothing may be remembered, and one of a turn that is erased.

        Raises:
            ToolError: nothing may.
        """
        if self.recorder.is_paused:
            raise ToolError(NOT_NOW)
        if self.turns.are_erased:
            raise ToolError(ERASED)

    def note(self, change: Change) -> None:
        """Note a change that the person's latest turn caused.

        One that was under way when the person was erased is not: undoing it would bring back
        what is erased.
        """
        if self.turns.are_erased:
            return
        self.changes.note(self.turns.current.item_id, change)

    async def leave_out_own_turn(self) -> bool:
        """Keep nothing of the turn that asks for this tool: it is a request, not a memory.

        Where the memory is away, the tool goes on: nobody has to ask again for this.

        Returns:
            Whether it is left out; False where that cannot be said within the deadline.
        """
        turn_id = self.recorder.take_back(self.turns.current.item_id)
        self.changes.drop_write(turn_id)
        withdrawing = self.whole(self._withdraw_own(turn_id))
        try:
            is_left_out = await asyncio.wait_for(withdrawing, self.deadline_s)
        except asyncio.TimeoutError:
            logger.warning("a turn that asks for a tool is left out later: the memory is slow")
            is_left_out = False
        return is_left_out

    async def _withdraw_own(self, turn_id: str) -> bool:
        try:
            gone, _ = await self.threads.run(withdraw_all, self.memory, [turn_id])
            if any(each.id != turn_id for each in gone):
                await self.drop_summary()
        except (MemoryAwayError, StorageError) as error:
            _REQUESTS.labels("failed").inc()
            logger.error("a turn that asks for a tool may be kept", extra={"error": str(error)})
            return False
        _REQUESTS.labels("left_out").inc()
        return True

    async def drop_summary(self) -> None:
        """Drop the short text about the person, which may say what is forgotten now."""
        if await self.call(self.profiles.drop_summary):
            await self.on_profile_change()
