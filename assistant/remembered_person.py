"""What one session holds of the person whom it remembers, and how it begins anew."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from livekit.agents import Agent, AgentSession
from livekit.agents.llm import ChatItem, Tool
from livekit.agents.voice import SpeechHandle
from prometheus_client import Counter

from assistant.assistant import Remembering
from assistant.changes import stored
from assistant.erasure_watch import ErasureWatch
from assistant.extraction import SessionExtraction
from assistant.tools import Erasing, ToolSession, person_tools
from assistant.tools.telling import told
from assistant.withheld import Withheld
from config import Settings
from memory import Memory, MemoryManager
from memory.extraction import OnReading
from memory.recall import Recall
from memory.recorder import Recorder, UserTurn
from memory.transcript import TranscriptKeeper, TranscriptStore
from profiles import Person, ProfileManager
from session_context import get_session_generation, get_session_user_uuid, set_session_generation
from storage import StorageError, StoreThreads

logger = logging.getLogger("assistant.remembered_person")

_LEAST_DRAIN_S = 0.1

_BEGINNINGS = Counter(
    "voice_agent_sessions_begun_anew", "Sessions that went on as with a new person"
)


class RememberedPerson:
    """Recall, recorder and tools of one session.

    Args:
        settings: deadlines.
        memory: the session's memory.
        profiles: the session's profile.
        threads: where blocking calls run.
        session_id: makes the ids of this session's writes its own.
        is_new: whether no conversation with the person has taken place.
        instructions: makes the agent's instructions of what is known of a person.
        erasing: how to forget everything; None where that is not possible.
        generation: reads the person's generation from the store, a blocking call; None where
            nobody can say.
        on_recalled: called with the memories that go to the model.
        on_begun_anew: called when the person was erased and the session goes on.
        transcripts: where what both sides say is kept, word for word; None where it is not.
        on_reading: called with how far each read of turns for facts is.
    """

    def __init__(
        self,
        settings: Settings,
        memory: MemoryManager,
        profiles: ProfileManager,
        threads: StoreThreads,
        session_id: str,
        *,
        is_new: bool,
        instructions: Callable[[Person], str],
        erasing: Erasing | None,
        generation: Callable[[], int] | None,
        on_recalled: Callable[[Sequence[Memory]], None],
        on_begun_anew: Callable[[], None] = lambda: None,
        transcripts: TranscriptStore | None = None,
        on_reading: OnReading | None = None,
    ) -> None:
        store = settings.store
        self._deadline_s = store.join_deadline_ms / 1000
        self._drain_s = store.drain_deadline_s
        recall_s = store.recall_deadline_ms / 1000
        self._on_recalled = on_recalled
        self._on_begun_anew = on_begun_anew
        self._instructions = instructions
        self._agent: Agent | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._noticed: set[int | None] = set()
        self.recall = Recall(memory, threads, deadline_s=recall_s, limit=store.recall_limit)
        self._extraction = SessionExtraction(
            settings,
            memory=memory,
            profiles=profiles,
            threads=threads,
            session_id=session_id,
            on_stored=self.recall.drop_result,
            is_taken_back=lambda turn_id: self.recorder.is_taken_back(turn_id),
            on_reading=on_reading,
        )
        self._transcript = (
            TranscriptKeeper(transcripts, session_id, on_erased=self._on_erased)
            if transcripts is not None
            else None
        )
        self.recorder = Recorder(
            memory,
            threads,
            session_id,
            on_first_kept=profiles.complete_first_login if is_new else None,
            on_kept=self._extraction.hear,
            on_stored=self._note_stored,
            on_erased=self._on_erased,
            least_confidence=settings.extraction.least_transcript_confidence,
            transcript=self._transcript,
        )
        self._tools = ToolSession(
            memory,
            profiles,
            threads,
            self.recorder,
            session_id=session_id,
            deadline_s=self._deadline_s,
            on_change=self.recall.drop_result,
            on_forget=self._extraction.drop_waiting,
            begin_anew=self._begin_anew,
            erased_elsewhere=self._erased_elsewhere,
            on_profile_change=self._refresh_instructions,
        )
        self._withheld = Withheld(self.recorder)
        self._tools.on_forgotten = self._forgotten
        self._erasing = erasing
        self._watch = (
            ErasureWatch(
                generation,
                threads,
                deadline_s=recall_s,
                on_late_news=lambda: self._own(self._erased_elsewhere()),
            )
            if generation
            else None
        )

    def start(self) -> None:
        """Begin to keep what is heard."""
        self._extraction.start()
        if self._transcript is not None:
            self._transcript.start()
        self.recorder.start()

    def bind(self, agent: Agent, session: AgentSession[None]) -> None:
        """Say which session it is, before it starts."""
        self._agent = agent
        self._tools.context.bind(agent, session)

    def tools(self) -> list[Tool]:
        """Return what the model may call."""
        return person_tools(self._tools, self._erasing)

    def remembering(self) -> Remembering:
        """Return what replies draw on."""
        return Remembering(
            self.recall,
            self._tools.turns,
            self._tools.context,
            self._watch,
            self._erased_elsewhere,
            self._on_recalled,
        )

    def hear(self, turn: UserTurn) -> None:
        """Take a turn of the person; returns at once."""
        self._tools.turns.hear(turn.item_id, turn.text)
        self.recorder.hear(turn)
        if self._transcript is not None:
            self._transcript.hear("user", turn.item_id, turn.text, turn.said_at)

    def hear_agent(self, item_id: str, text: str, said_at: float) -> None:
        """Take what was heard of the agent's words; returns at once."""
        self._withheld.note_answer(item_id, self._tools.turns.current.item_id)
        if self._transcript is not None:
            self._transcript.hear("assistant", item_id, text, said_at)

    def lasting(self, items: Sequence[ChatItem]) -> list[ChatItem]:
        """Return which of the session's items may be kept when it is over, oldest first.

        Nothing of a pause, nothing that is forgotten, no request to forget, and nothing that
        the model may no longer see.
        """
        return self._tools.context.present(self._withheld.without(items))

    async def aclose(self) -> None:
        """Store what is still to be stored and end, within the drain deadline."""
        if self._watch is not None:
            await self._watch.aclose()
        tasks = [*self._tasks, *self._tools.under_way]
        if tasks:
            await asyncio.wait(tasks, timeout=self._deadline_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.recall.aclose()
        ends_at = time.monotonic() + self._drain_s
        closing = [self.recorder.aclose(self._drain_s)]
        if self._transcript is not None:
            closing.append(self._transcript.aclose(self._drain_s))
        await asyncio.gather(*closing)
        await self._extraction.aclose(max(ends_at - time.monotonic(), _LEAST_DRAIN_S))

    def _forgotten(self, memories: Sequence[Memory]) -> None:
        self._withheld.forget(memories)
        if self._transcript is not None:
            self._transcript.forget(memories)

    def _note_stored(self, turn: UserTurn, made: Memory) -> None:
        what = f"no longer remembered: {told(made)}"
        self._tools.changes.note(turn.item_id, stored(self._tools.memory, made, what))

    def _on_erased(self, generation: int | None) -> None:
        # A turn of an older generation than the session's own tells nothing new.
        if generation == get_session_generation():
            self._own(self._erased_elsewhere())

    async def _erased_elsewhere(self) -> None:
        stale = get_session_generation()
        if stale is not None and stale in self._noticed:
            self._take_generation()
            await self._bind()  # cleared already; only the binding failed then
            return
        self._noticed.add(stale)
        await self._begin_anew(None)

    async def _begin_anew(self, speech: SpeechHandle | None) -> None:
        _BEGINNINGS.inc()
        logger.info(
            "[SESSION] the person was erased; the session begins anew",
            extra={"user_uuid": get_session_user_uuid()},
        )
        tools = self._tools
        self._extraction.drop_waiting()
        self.recorder.begin_anew(tools.profiles.complete_first_login)
        self.recall.drop_result()
        tools.changes.forget()
        tools.turns.erase()
        self._on_begun_anew()
        tools.offered = []
        await tools.context.clear(self._instructions(Person()), speech=speech)
        self._take_generation()
        if self._watch is not None:  # before binding: what is seen meanwhile is news
            self._watch.forget()
        await self._bind()

    def _take_generation(self) -> None:
        # Also where binding fails: what is said from now on must not count as erased.
        latest = self._watch.latest if self._watch is not None else 0
        if latest > (get_session_generation() or 0) and get_session_user_uuid() is not None:
            set_session_generation(latest)

    async def _bind(self) -> None:
        """Make the profile's row, by which the session learns the generation."""
        tools = self._tools
        try:
            await asyncio.wait_for(
                tools.threads.run(tools.profiles.ensure_exists), self._deadline_s
            )
        except (asyncio.TimeoutError, StorageError) as error:
            logger.warning(
                "the session is not bound anew yet; the next write tries again",
                extra={"reason": str(error) or "deadline"},
            )

    async def _refresh_instructions(self) -> None:
        if self._agent is not None:
            person = await self._tools.call(self._tools.profiles.get)
            now = self._instructions(person)
            if now != self._agent.instructions:
                await self._agent.update_instructions(now)

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="begin_anew")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
