"""What people may do with what is held about them, as blocking calls.

Every call names its person by uuid and hands it on through the stores' contracts. Nothing
here reads `session_context`: the orchestrator serves many people at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone

from config import Settings
from memory import Category, Memory, MemoryStore, NewMemory, SupabaseMemoryStore, open_memory_store
from memory.forgetting import MemoryOf, forget_whole, whole_of
from memory.model import Position
from memory.outbox import open_with_outbox
from memory.search import search
from memory.transcript.forgetting import told_in
from orchestrator.errors import ConflictError, NotFoundError
from people import EraseElsewhere, Erasure, ExportElsewhere, People, open_everything
from profiles import ProfileStore, UserProfile, open_profile_store
from profiles.model import Person, checked_changes
from profiles.summary import own_text
from storage import NotRememberedError, PersonErasedError, open_storage

_ABOUT = frozenset(asdict(UserProfile()))
_TICK = timedelta(microseconds=1)
NO_SUCH_MEMORY = "there is no such memory"


@dataclass(frozen=True)
class MemoryPage:
    """A part of the list of memories.

    Attributes:
        memories: newest first.
        last: the position from which the next page goes on; None where this is the last one.
    """

    memories: list[Memory]
    last: Position | None


@dataclass(frozen=True)
class KnownPerson:
    """Who somebody is to us.

    Attributes:
        person: their profile.
        remembered: whether they want to be.
    """

    person: Person
    remembered: bool


class PersonData:
    """Everything held about one person at a time.

    Calls block, and may raise `storage.StorageError`.

    Args:
        memory: their memories.
        profiles: their profiles.
        people: the same people as a whole.
        close: ends what is under them.
    """

    def __init__(
        self,
        memory: MemoryStore,
        profiles: ProfileStore,
        people: People,
        *,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._memory = memory
        self._profiles = profiles
        self.people = people
        self._close = close

    def page(
        self, user: str, category: Category | None, limit: int, before: Position | None
    ) -> MemoryPage:
        """Return current memories, newest first, from a position on."""
        found = self._memory.list_memories(user, category, limit + 1, before)
        page = found[:limit]
        return MemoryPage(page, page[-1].position if len(found) > limit else None)

    def search(self, user: str, query: str, limit: int) -> list[Memory]:
        """Return what fits a text best, best first."""
        return search(self._memory, user, query, limit, now=datetime.now(timezone.utc))

    def memory(self, user: str, write_id: str) -> tuple[Memory, list[Memory]]:
        """Return a memory, and the values that its key has had, newest first.

        Raises:
            NotFoundError: the person has no such memory.
        """
        found = self._find(user, write_id)
        history = self._memory.history(user, found.category, found.key)
        # There it is closed also where what supersedes it still waits in the outbox.
        return next((each for each in history if each.id == write_id), found), history

    def correct(self, user: str, write_id: str, value: str) -> Memory:
        """Put a current memory right: the value supersedes it, and it stays as history.

        Raises:
            NotFoundError: the person has no such memory.
            ConflictError: a later value took its place already.
            PersonErasedError: the person was erased meanwhile; nothing is written.
            NotRememberedError: the person does not want to be remembered.
        """
        standing = self.people.store.standing(user)  # first: what is erased from now on stays so
        old = self._find(user, write_id)
        if not standing.remembered:
            raise NotRememberedError("the person does not want to be remembered")
        current = self._memory.retrieve(user, old.category, old.key)
        if old.superseded_at is not None or (current is not None and current.id != old.id):
            raise ConflictError("a later value took its place; correct the current one")
        if value == old.value:
            return old
        told_at = max(datetime.now(timezone.utc), old.created_at + _TICK)
        new = NewMemory(
            old.category, old.key, value, created_at=told_at, generation=standing.generation
        )
        self._drop_summary(user, standing.generation)
        stored = self._memory.store(user, [new])
        if not stored:
            raise PersonErasedError("the person was erased meanwhile")
        return stored[0]

    def delete(self, user: str, write_id: str) -> int:
        """Delete a memory as "forget that" does, and return how many values are gone.

        Its key's whole history goes, what was derived from it, and the turns that it was told
        in, those of a transcript too.

        Raises:
            NotFoundError: the person has no such memory.
        """
        generation = self.people.generation(user)
        found = self._find(user, write_id)
        memory, transcripts = MemoryOf(self._memory, user), self.people.store.transcripts
        # The memory itself last: where something fails, it is still there to be deleted again.
        self._drop_summary(user, generation)
        transcripts.remove(user, told_in(transcripts, user, whole_of(memory, found)))
        return len(forget_whole(memory, found))

    def profile(self, user: str) -> KnownPerson:
        """Return who the person is to us."""
        return KnownPerson(self._profiles.get_person(user), self.people.is_remembered(user))

    def change_profile(self, user: str, changes: Mapping[str, object]) -> KnownPerson:
        """Change the named fields; None clears one.

        Raises:
            ProfileInputError: a value cannot be kept; nothing is changed.
            PersonErasedError: the person was erased meanwhile.
            NotRememberedError: the person does not want to be remembered.
        """
        generation = self.people.generation(user)
        checked_changes(dict(changes))  # all of them, or none
        about = {name: value for name, value in changes.items() if name in _ABOUT}
        details = {name: value for name, value in changes.items() if name not in _ABOUT}
        if about:
            self._profiles.update_user_profile(user, about, generation)
        if details:
            self._profiles.update_onboarding_details(user, details, generation)
        return self.profile(user)

    def export_parts(self, user: str) -> Iterator[str]:
        """Yield everything held about the person as pieces of one JSON text."""
        return self.people.export_parts(user)

    def erase(self, user: str) -> Erasure:
        """Erase everything held about the person, wherever it is.

        Raises:
            ErasureUnfinishedError: all is erased, but deleted bytes are still in the file.
        """
        return self.people.erase(user)

    def close(self) -> None:
        """End what is under it."""
        self._close()

    def _find(self, user: str, write_id: str) -> Memory:
        for each in self._memory.related(user, [write_id]):
            if each.id == write_id:
                return each
        raise NotFoundError(NO_SUCH_MEMORY)

    def _drop_summary(self, user: str, generation: int) -> None:
        # What conversations say of the person may say what is gone; the next one is anew.
        text = self._profiles.get_person(user).about.profile_text
        if own_text(text) == text:
            return
        with suppress(PersonErasedError, NotRememberedError):  # then nothing may be written
            changes: dict[str, object] = {"profile_text": own_text(text)}
            self._profiles.update_user_profile(user, changes, generation)


def open_person_data(
    settings: Settings,
    *,
    also_erase: Mapping[str, EraseElsewhere] | None = None,
    also_export: Mapping[str, ExportElsewhere] | None = None,
) -> PersonData:
    """Open the stores that the settings name, with this host's outbox; may block.

    Args:
        settings: which stores.
        also_erase: what else is erased with a person, by the name of the place.
        also_export: what else is exported, by the name of the place.

    Raises:
        ConfigError: the signing key cannot be used.
    """
    storage = open_storage(settings.store)
    supabase = storage.supabase
    if supabase is None:
        memory = open_memory_store(storage)
    else:
        memory = open_with_outbox(settings.store, lambda: SupabaseMemoryStore(supabase))
    people = open_everything(storage, also_erase=also_erase, also_export=also_export)

    def close() -> None:
        closing: Sequence[Callable[[], None]] = (memory.close, storage.close)
        for end in closing:
            end()

    return PersonData(memory, open_profile_store(storage), people, close=close)
