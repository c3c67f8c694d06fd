"""The tools that keep, correct, find and list."""

from __future__ import annotations

from typing import Annotated

from livekit.agents import RunContext, function_tool
from livekit.agents.llm import ToolError
from pydantic import Field

from assistant.changes import Change
from assistant.tools.finding import best_fits, find_key
from assistant.tools.profile_fields import field_named, fields, write
from assistant.tools.session import ToolSession
from assistant.tools.telling import is_turn, listed, numbered, spoken_key, told, told_field
from memory import Category, Memory, MemoryInputError, NewMemory
from memory.manager import MOST_RESULTS
from memory.recorder import write_id
from profiles import Person

CategoryName = Annotated[str, Field(description=f"one of {', '.join(c.value for c in Category)}")]
AnyCategory = Annotated[
    str | None, Field(description="the category if you are sure of it, else null")
]
Key = Annotated[str, Field(description="a short name in snake_case, such as favorite_color")]


class MemoryTools:
    """What a person tells, and asks back.

    Args:
        session: the tools' session.
    """

    def __init__(self, session: ToolSession) -> None:
        self._session = session

    @function_tool
    async def store_memory(
        self,
        context: RunContext[None],
        category: CategoryName,
        key: Key,
        value: Annotated[str, Field(description="what to remember, in a few words")],
    ) -> str:
        """Remember something lasting that the person has just told about themselves.

        A new value replaces the key's old one. For a correction use correct_memory.
        """
        await self._store(context, category, key, value)
        return f"remembered {key}"

    @function_tool
    async def correct_memory(
        self,
        context: RunContext[None],
        category: AnyCategory,
        key: Annotated[str, Field(description="the key, or what the person calls it")],
        value: Annotated[str, Field(description="what is right, in a few words")],
    ) -> str:
        """Put right what was remembered wrongly: "that's wrong, my sister is called Ana".

        Returns the old and the new value: tell the person both. Where several memories could
        be meant, it changes nothing and names them: ask which one.
        """
        session = self._session
        session.check_may_write()
        await session.settle()
        known = await session.call(find_key, session.memory, category, key)
        if not known:
            found = await session.call(best_fits, session.memory, key)
            known = [each for each in found if not is_turn(each)]
        if len({each.key for each in known}) > 1:
            return f"nothing is changed yet; ask which is meant: {numbered(known)}"
        if not known and (field := field_named(key)):
            return await self._correct_profile(field, value)
        if not known:
            await self._store(context, category or Category.FACT.value, key, value)
            return f"nothing was kept under {key}; remembered now: {value}"
        old = known[0]
        await self._store(context, old.category.value, old.key, value)
        return f"corrected {told(old)}; it is now: {value}"

    @function_tool
    async def retrieve_memory(self, category: AnyCategory, key: Key) -> str:
        """Look up what the person told about something."""
        session = self._session
        await session.settle()
        known = await session.call(find_key, session.memory, category, key)
        if not known:
            known = await session.call(session.memory.search, key.replace("_", " "), 5)
            known = self._others(known)
        session.turns.note_looked_up(known)
        return "\n".join(map(told, known)) or f"nothing is known about {key}"

    @function_tool
    async def list_memories(
        self,
        category: Annotated[str | None, Field(description="a category, or null for everything")],
        page: Annotated[int | None, Field(description="null at first; then the page it names")],
    ) -> str:
        """Return what is known of the person, grouped, a page at a time.

        For "what do you know about me?". Say it in a few sentences, the most important first,
        and offer to go on where there is more. What stands in quotes are the person's own words.
        """
        session = self._session
        await session.settle()
        person = await session.call(session.profiles.get)
        facts = await session.call(session.memory.list_facts, MOST_RESULTS)
        every = await session.call(session.memory.list_memories, category, MOST_RESULTS)
        turns = [each for each in self._others(every) if is_turn(each)]
        if category is not None:
            facts = [each for each in facts if each.category is Category.of(category)]
            person = Person()
        session.turns.note_looked_up([*facts, *turns])
        return listed(person, facts, turns, max(page or 1, 1))

    async def _correct_profile(self, field: str, value: str) -> str:
        session = self._session
        profiles = session.profiles
        changes: dict[str, object] = {field: [value] if field == "interests" else value}
        async with session.writing:
            session.check_may_write()
            old = {field: fields(await session.call(profiles.get))[field]}
            await session.call(write, profiles, changes)
            what = f"the profile is as before: {spoken_key(field)}"
            session.note(Change(what, lambda: write(profiles, old)))
        await session.on_profile_change()
        before = told_field(old[field] or "unknown")
        return f"corrected {spoken_key(field)}: {before}; it is now: {value}"

    async def _store(
        self, context: RunContext[None], category: str, key: str, value: str
    ) -> Memory:
        session = self._session
        # The item's id and not the call's: a provider may number its calls anew each time.
        made_by = write_id(session.session_id, context.function_call.id, "tool")
        try:
            new = NewMemory(
                Category.of(category),
                key,
                value,
                id=made_by,
                session_id=session.session_id,
                source_id=session.recorder.turn_id(session.turns.current.item_id),
            )
        except MemoryInputError as error:
            raise ToolError(str(error)) from error
        return await session.whole(session.store(new))

    def _others(self, memories: list[Memory]) -> list[Memory]:
        own = self._session.recorder.turn_id(self._session.turns.current.item_id)
        return [each for each in memories if each.id != own]
