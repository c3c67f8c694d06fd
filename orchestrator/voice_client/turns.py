"""A conversation by turns: what is said, and the agent's answer to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from orchestrator.voice_client.client import ConversationOverError, Notice, VoiceClient

_SILENCE_STEP_MS = 20
_SILENCE = 200
"""The loudest sample, of 32 767, of what counts as silence."""


@dataclass(frozen=True)
class Answer:
    """What the agent answered.

    Attributes:
        text: what it said.
        first_voice_s: seconds from the last sound of what was said to the first of its
            voice; None where none came.
    """

    text: str
    first_voice_s: float | None


class Turns:
    """Takes turns with the agent; sends silence whenever nothing is said, as a microphone does.

    Args:
        client: connected for as long as the ``async with`` lasts.
        tell: takes who and what, for each complete utterance.
        voice: what `on_voice` of the client collects; asked when it began to sound.

    Attributes:
        client: the connection.
        state: what the agent does, as it said last.
        interruptions: how often it was cut off.
    """

    def __init__(
        self,
        client: VoiceClient,
        *,
        tell: Callable[[str, str], None],
        voice: Voice,
    ) -> None:
        self.client = client
        self._tell = tell
        self._voice = voice
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._changed = asyncio.Event()
        self.state = ""
        self._ready = False
        self.interruptions = 0
        self._over: str | None = None
        self._speaking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin to listen, and wait until the room is joined."""
        self._tasks.append(asyncio.create_task(self._listen(), name="voice client: listen"))
        try:
            await self.until(lambda: self._ready)
        except ConversationOverError:
            await self.__aexit__()
            raise
        self._tasks.append(asyncio.create_task(self._be_silent(), name="voice client: silence"))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def hear(self, timeout_s: float) -> str:
        """Return the agent's next utterance once it has been spoken.

        Raises:
            ConversationOverError: the connection ended before, or nothing came in time.
        """
        try:
            return await asyncio.wait_for(self._heard(), timeout_s)
        except asyncio.TimeoutError:
            raise ConversationOverError(f"no answer within {timeout_s:g} s") from None

    async def say(self, pcm: bytes, timeout_s: float) -> Answer:
        """Speak, and return the answer.

        Raises:
            ConversationOverError: as `hear`.
        """
        tail = silent_tail(pcm)
        async with self._speaking:
            await self.client.play(pcm[: len(pcm) - tail])
            ended_at = self.client.spoken_until
            self._voice.sounded_at = None
            await self.client.play(pcm[len(pcm) - tail :])
        text = await self.hear(timeout_s)
        sounded_at = self._voice.sounded_at
        return Answer(text, None if sounded_at is None else sounded_at - ended_at)

    async def type(self, text: str, timeout_s: float) -> str:
        """Type, and return the answer.

        Raises:
            ConversationOverError: as `hear`.
        """
        await self.client.type(text)
        return await self.hear(timeout_s)

    def forget_answers(self) -> None:
        """Let `hear` return nothing of what was said before."""
        while not self._answers.empty():
            self._answers.get_nowait()

    async def end(self) -> str:
        """End the conversation, and return why the server says that it closed."""
        await self.client.end()
        await self.until(lambda: self._over is not None)
        return self._over or ""

    async def _heard(self) -> str:
        await self.until(lambda: not self._answers.empty() and self.state == "listening")
        return self._answers.get_nowait()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something holds, looked at whenever the server said something.

        Raises:
            ConversationOverError: the connection ended before.
        """
        while not condition():
            if self._over is not None:
                raise ConversationOverError(f"the server closed: {self._over}")
            self._changed.clear()
            await self._changed.wait()

    async def _listen(self) -> None:
        over = "the connection was lost"
        try:
            async for notice in self.client.notices():
                if notice.type == "closed":
                    over = str(notice.fields.get("reason"))
                self._take(notice)
        finally:
            self._over = over
            self._changed.set()

    def _take(self, notice: Notice) -> None:
        fields = notice.fields
        if notice.type == "ready":
            self._ready = True
        elif notice.type == "agent_state":
            self.state = str(fields["state"])
        elif notice.type == "interrupted":
            self.interruptions += 1
        elif notice.type == "error":
            self._tell("error", f"{fields['code']}: {fields['message']}")
        elif notice.type == "transcript" and fields["final"]:
            self._tell(fields["who"], fields["text"])
            if fields["who"] == "agent":
                self._answers.put_nowait(fields["text"])
        self._changed.set()

    async def _be_silent(self) -> None:
        step = self.client.sample_rate * _SILENCE_STEP_MS // 1000 * 2
        while True:
            async with self._speaking:
                await self.client.play(bytes(step))


class Voice:
    """Collects the agent's voice.

    Attributes:
        pcm: all of it so far.
        sounded_at: when it was heard first since this was set to None, on
            time.monotonic()'s clock.
    """

    def __init__(self) -> None:
        self.pcm = bytearray()
        self.sounded_at: float | None = None

    def take(self, pcm: bytes) -> None:
        """Take a piece of it."""
        self.pcm += pcm
        if self.sounded_at is None and max(memoryview(pcm).cast("h")) > _SILENCE:
            self.sounded_at = time.monotonic()


def silent_tail(pcm: bytes) -> int:
    """Return how many bytes of silence are at the end."""
    samples = memoryview(pcm).cast("h")
    loud = next((n for n in range(len(samples), 0, -1) if abs(samples[n - 1]) > _SILENCE), 0)
    return 2 * (len(samples) - loud)
