"""One conversation with one person, from the moment they are bound to the end.

Owns what the conversation needs and frees it within deadlines: the threads that reach the
store, the recorder, recall, and the AgentSession's listeners.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timezone

from livekit import rtc
from livekit.agents import (
    NOT_GIVEN,
    AgentSession,
    CloseEvent,
)
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.room_io import RoomOptions

from assistant import persona
from assistant.assistant import Assistant
from assistant.attention import Attention
from assistant.audience import Audience
from assistant.continuation import Continuation
from assistant.greeting import GreetingMaterial, Line, greeting, interruption
from assistant.listening import Listening
from assistant.preparation import bind_later, note_late, prepare
from assistant.processors import HEARING, SPEAKING, THINKING
from assistant.prompt import greeting_instructions, instructions
from assistant.providers import Models
from assistant.remembered_person import RememberedPerson
from assistant.scripted_model import ScriptedModel
from assistant.stages import HearingStage, SessionStage, SpeakingStage, ThinkingStage
from assistant.tools import Erasing
from assistant.wishes import Wishes
from config import Settings
from memory import MemoryManager
from memory.extraction import OnReading
from memory.transcript import TranscriptStore
from profiles import Person, ProfileManager
from sessions.contract import Conversations
from storage import StoreThreads

logger = logging.getLogger("assistant.conversation")

_TRANSCRIPT_TIMEOUT_S = 0.3
"""How long a closing session waits for the last words; the framework's 2 s delay each end."""

_STORE_THREADS = 4


class Conversation:
    """A session with memory. Use it where the session's user is bound.

    Args:
        settings: deadlines and defaults.
        memory: the session's memory, or None where nothing is remembered.
        profiles: the session's profile, or None likewise.
        wishes: what the dispatch asked for.
        erase: erases the session's person, a blocking call; None leaves the tool for it out.
        generation: reads the person's generation from the store, a blocking call; None where
            an erasure from elsewhere is noticed only when a write is refused.
        transcripts: where what both sides say is kept, word for word; None where it is not.
        histories: where a conversation that is cut off is kept for the next one, and where
            this one looks for what it goes on with; None where there is no such place.
        on_reading: called with how far each read of what was said for facts is.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        memory: MemoryManager | None,
        profiles: ProfileManager | None,
        wishes: Wishes,
        erase: Callable[[], object] | None = None,
        generation: Callable[[], int] | None = None,
        transcripts: TranscriptStore | None = None,
        histories: Conversations | None = None,
        on_reading: OnReading | None = None,
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._profiles = profiles
        self._wishes = wishes
        self._threads = StoreThreads(_STORE_THREADS)
        self._material = GreetingMaterial()
        self._listening = Listening()
        self._erase = erase
        self._generation = generation
        self._transcripts = transcripts
        self._on_reading = on_reading
        self._late_work: asyncio.Task[None] | None = None
        self._remembered: RememberedPerson | None = None
        self._session: AgentSession[None] | None = None
        self._greets_by_model = False
        self._continuation = Continuation(histories, ttl_s=settings.sessions.history_ttl_s)
        self._audience = Audience()
        self._attention = Attention(self._audience, self._listening)
        self._agent: Assistant | None = None

    @property
    def language(self) -> str:
        """The language of the session, a BCP 47 tag."""
        about = self._material.person.about
        return self._wishes.language or about.language or self._settings.providers.language

    async def prepare(self) -> bool:
        """Make the profile and load what the greeting needs.

        Of somebody who does not want to be remembered, nothing is written and nothing used.

        Returns:
            Whether the profile is known to exist; the conversation goes on without.
        """
        if self._profiles is None or self._memory is None:
            return False
        bound, self._material = await prepare(
            self._profiles,
            self._memory,
            self._threads,
            deadline_s=self._settings.store.join_deadline_ms / 1000,
        )
        if bound is None:
            self._late_work = asyncio.create_task(bind_later(self._profiles, self._threads))
            return False
        if not bound.remembered:
            logger.info("[SESSION] this person does not want to be remembered")
            self._memory = self._profiles = None
        elif self._material.is_unnoted:
            self._late_work = asyncio.create_task(note_late(self._profiles, self._threads))
        await self._continuation.take(deadline_s=self._settings.store.join_deadline_ms / 1000)
        return bound.remembered

    async def start(
        self,
        models: Models,
        *,
        room: rtc.Room | None = None,
        participant_identity: str | None = None,
        on_close: Callable[[CloseEvent], None] | None = None,
    ) -> AgentSession[None]:
        """Start to listen.

        Args:
            models: what hears, thinks and speaks.
            room: where the person is; None for a session without a room.
            participant_identity: the one participant who is heard in it.
            on_close: called once, when the session has ended for whatever reason.
        """
        session: AgentSession[None] = AgentSession(
            llm=models.llm,
            stt=models.stt or NOT_GIVEN,
            tts=models.tts or NOT_GIVEN,
            vad=models.vad,
            turn_handling=models.turn_handling,
            session_close_transcript_timeout=_TRANSCRIPT_TIMEOUT_S,
        )
        self._attention.begin(session)
        if on_close is not None:
            session.once("close", on_close)
        self._session = session
        self._greets_by_model = not isinstance(models.llm, ScriptedModel)
        assistant = self._agent = self._assistant()
        self._audience.bind(assistant, session)
        if self._remembered is not None:
            self._remembered.bind(assistant, session)
        await session.start(
            assistant,
            room=room or NOT_GIVEN,
            room_options=RoomOptions(
                participant_identity=participant_identity or NOT_GIVEN,
                audio_input=models.speaks,
                audio_output=models.speaks,
            ),
            session_host=False,
            record=False,
        )
        return session

    def greet(self) -> SpeechHandle:
        """Say the first sentence, and return its handle, which can be awaited."""
        if self._session is None:
            raise RuntimeError("start the conversation before greeting")
        goes_on = self._continuation.began_with is not None
        line = greeting(self._wishes.opening_line, self._material, goes_on=goes_on)
        return self._say(self._session, line)

    def stages(self) -> dict[str, SessionStage]:
        """Return what hears, thinks and speaks, to be stopped while the person is gone."""
        if self._session is None or self._agent is None:
            raise RuntimeError("start the conversation before its stages")
        session, processors = self._session, self._agent.processors
        return {
            HEARING: HearingStage(session, self._agent, processors),
            THINKING: ThinkingStage(session, processors),
            SPEAKING: SpeakingStage(session, self._agent, processors, on_resume=self._go_on),
        }

    def lose(self, heard_until: float) -> None:
        """Take it that nobody listens; to be called before the stages are released.

        Args:
            heard_until: when somebody can have heard something last, in seconds since the
                epoch. What was said later is taken out of the history.
        """
        self._audience.leaves(heard_until)

    async def keep_history(self) -> None:
        """Keep what was said for the person's next session, where they are remembered.

        What they said in a pause is not kept.
        """
        if self._remembered is not None and self._agent is not None:
            items = self._remembered.lasting(self._agent.chat_ctx.items)
            await self._continuation.keep(items)

    async def say_farewell(self, *, after_silence: bool) -> None:
        """Tell the person that the session ends now; returns when they have heard it.

        Args:
            after_silence: whether it ends because nobody has spoken for a while.
        """
        if self._session is not None and self._audience.is_here:
            line = persona.farewell(self.language, after_silence=after_silence)
            await self._session.say(line, allow_interruptions=False)

    async def aclose(self) -> None:
        """Store what is still to be stored and free everything, within the drain deadline."""
        if self._session is not None:
            self._attention.end(self._session)
        if self._late_work is not None:
            self._late_work.cancel()
            await asyncio.gather(self._late_work, return_exceptions=True)
        if self._remembered is not None:
            await self._remembered.aclose()
        self._threads.close()

    def _assistant(self) -> Assistant:
        tools = list(persona.EXTRA_TOOLS)
        remembering = None
        if self._memory is not None and self._profiles is not None:
            self._remembered = self._remember_with(self._memory, self._profiles)
            self._remembered.start()
            self._attention.remembered = self._remembered
            tools += self._remembered.tools()
            remembering = self._remembered.remembering()
        return Assistant(
            instructions=self._instructions(self._material.person),
            tools=tools,
            remembering=remembering,
            began_with=self._continuation.began_with,
        )

    def _say(self, session: AgentSession[None], line: Line) -> SpeechHandle:
        is_english = self.language.lower().startswith("en")
        if line.is_verbatim or is_english or not self._greets_by_model:
            return session.say(line.text)
        asked = greeting_instructions(self.language, line.sense, line.told)
        return session.generate_reply(instructions=asked)

    async def _go_on(self) -> None:
        if await self._audience.comes_back() and self._session is not None:
            self._say(self._session, interruption())

    def _instructions(self, person: Person) -> str:
        return instructions(
            persona.INSTRUCTIONS,
            about=person.about,
            details=person.details,
            language=self.language,
            time_zone=self._wishes.time_zone
            or person.about.time_zone
            or self._settings.providers.time_zone,
            now=datetime.now(timezone.utc),
        )

    def _remember_with(self, memory: MemoryManager, profiles: ProfileManager) -> RememberedPerson:
        question = persona.erase_question(self.language)
        return RememberedPerson(
            self._settings,
            memory,
            profiles,
            self._threads,
            self._wishes.session_id,
            is_new=self._material.is_first_login,
            instructions=self._instructions,
            erasing=Erasing(self._erase, question) if self._erase is not None else None,
            generation=self._generation,
            on_recalled=self._listening.note_recalled,
            on_begun_anew=self._listening.forget,
            transcripts=self._transcripts,
            on_reading=self._on_reading,
        )
