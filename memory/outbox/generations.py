"""Learns people's generations for writes that do not name theirs, as a script's do not."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from memory.outbox.errors import OutboxUnwritableError
from memory.outbox.file import OutboxFile
from memory.outbox.metrics import QUESTIONS
from memory.store import MemoryStore
from storage import StorageError

logger = logging.getLogger("memory.outbox")

_ANSWER_S = 1.0
_AGAIN_S = 10.0
_CLOSE_DEADLINE_S = 2.0
_KNOWN_PEOPLE = 10_000


class _Question(threading.Thread):
    """Asks the database for one person's generation; a daemon, as a stuck one delays nobody.

    Attributes:
        answer: what it said; None where they are not remembered.
        error: why it did not.
        asked_at: when, in seconds of the monotonic clock.
    """

    def __init__(self, ask: Callable[[], int | None]) -> None:
        super().__init__(name="outbox-generation", daemon=True)
        self._ask = ask
        self.answer: int | None = None
        self.error: Exception | None = None
        self.asked_at = time.monotonic()

    def run(self) -> None:
        """Ask, and keep what comes of it for whoever waits."""
        try:
            self.answer = self._ask()
        except Exception as error:  # noqa: BLE001 - the write goes on without an answer
            self.error = error
            QUESTIONS.labels("failed").inc()
            # A text of somebody else's exception may quote a row.
            cause = str(error) if isinstance(error, StorageError) else type(error).__name__
            logger.warning("a write's generation cannot be asked for", extra={"error": cause})

    def has_failed_for(self, seconds: float) -> bool:
        """Tell whether it was asked so long ago and has no answer."""
        return self.error is not None and time.monotonic() - self.asked_at > seconds


class Generations:
    """Asks the database once a person and process, and tells the outbox.

    The outbox would otherwise give such a write the last generation that this host knows, and
    the database drop it where the person was erased, or had opted out, through another host.

    Args:
        outbox: is told.
        database: is asked.
        answer_s: seconds that a write waits for the answer.
        again_s: seconds after which it is asked again where it did not answer.
    """

    def __init__(
        self,
        outbox: OutboxFile,
        database: MemoryStore,
        *,
        answer_s: float = _ANSWER_S,
        again_s: float = _AGAIN_S,
    ) -> None:
        self._outbox = outbox
        self._database = database
        self._answer_s = answer_s
        self._again_s = again_s
        self._lock = threading.Lock()
        self._people: OrderedDict[str, _Question | None] = OrderedDict()  # None: it is known

    def learn(self, user: str) -> bool:
        """See to it that the outbox knows the person's generation, where that can be done now.

        Returns:
            Whether what they tell now may be kept: False where they are not remembered.
        """
        question = self._question(user)
        if question is None:
            return True
        question.join(max(0.0, question.asked_at + self._answer_s - time.monotonic()))
        if question.is_alive():
            QUESTIONS.labels("late").inc()
            return True
        if question.error is not None:
            return True
        return self._tell(user, question.answer)

    def close(self) -> None:
        """Wait a moment for the questions under way; they end with the process in any case."""
        deadline = time.monotonic() + _CLOSE_DEADLINE_S
        with self._lock:
            asked, self._people = list(self._people.values()), OrderedDict()
        for question in asked:
            if question is not None:
                question.join(max(0.0, deadline - time.monotonic()))

    def _question(self, user: str) -> _Question | None:
        with self._lock:
            if user in self._people:
                asked = self._people[user]
                if asked is None or not asked.has_failed_for(self._again_s):
                    return asked
            question = _Question(lambda: self._database.generation(user))
            self._note(user, question)
            question.start()
            return question

    def _tell(self, user: str, generation: int | None) -> bool:
        if generation is None:
            QUESTIONS.labels("not_remembered").inc()
            with self._lock:
                self._people.pop(user, None)  # asked again, as they may opt in
            return False
        try:
            self._outbox.learn_generation(user, generation)
        except OutboxUnwritableError:
            return True  # logged by the write itself, which goes to the database
        QUESTIONS.labels("learned").inc()
        with self._lock:
            self._note(user, None)
        return True

    def _note(self, user: str, question: _Question | None) -> None:
        self._people[user] = question
        self._people.move_to_end(user)
        while len(self._people) > _KNOWN_PEOPLE:
            self._people.popitem(last=False)
