"""The tools with which the model keeps, finds, lists and forgets what a person told.

No tool has a parameter that names a person: whose data it touches comes from the session.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, ParamSpec, TypeVar

from livekit.agents import RunContext, function_tool
from livekit.agents.llm import Tool, ToolError, find_function_tools
from pydantic import Field

from memory import Category, Memory, MemoryInputError, MemoryManager, NewMemory
from memory.model import TURN_KEY
from memory.recorder import log_stored, write_id
from profiles import ProfileInputError, ProfileManager
from profiles.model import checked_changes
from storage import StorageError, StoreThreads

P = ParamSpec("P")
T = TypeVar("T")

_FLUSH_S = 0.3

CategoryName = Annotated[str, Field(description=f"one of {', '.join(c.value for c in Category)}")]
Key = Annotated[str, Field(description="a short name in snake_case, such as favorite_color")]


class PersonTools:
    """The memory and profile tools of one session.

    Args:
        memory: the session's memory.
        profiles: the session's profile.
        threads: where their blocking calls run.
        session_id: makes the ids of this session's writes its own.
        deadline_s: seconds that a tool waits for the store.
        on_change: called when memory has changed.
        flush: waits, within a deadline in seconds, until what was said before is stored, so
            that a tool sees it.
        on_forget: called before something is forgotten: what was said before must not come
            back as a fact.
    """

    def __init__(
        self,
        memory: MemoryManager,
        profiles: ProfileManager,
        threads: StoreThreads,
        *,
        session_id: str,
        deadline_s: float,
        on_change: Callable[[], None],
        flush: Callable[[float], Awaitable[bool]],
        on_forget: Callable[[], object] = lambda: None,
    ) -> None:
        self._memory = memory
        self._profiles = profiles
        self._threads = threads
        self._session_id = session_id
        self._deadline_s = deadline_s
        self._on_change = on_change
        self._flush = flush
        self._on_forget = on_forget

    def tools(self) -> list[Tool]:
        """Return the tools, bound to this session."""
        return [*find_function_tools(self)]

    @function_tool
    async def store_memory(
        self,
        context: RunContext[None],
        category: CategoryName,
        key: Key,
        value: Annotated[str, Field(description="what to remember, in a few words")],
    ) -> str:
        """Remember something lasting about the person. A new value replaces the key's old one."""
        # The item's id and not the call's: a provider may number its calls anew each time.
        made_by = write_id(self._session_id, context.function_call.id, "tool")
        try:
            memory = NewMemory(
                Category.of(category), key, value, id=made_by, session_id=self._session_id
            )
        except MemoryInputError as error:
            raise ToolError(str(error)) from error
        log_stored((await self._call(self._memory.store_all, [memory]))[0])
        self._on_change()
        return f"remembered {key}"

    @function_tool
    async def retrieve_memory(self, category: CategoryName, key: Key) -> str:
        """Look up what the person told about something."""
        await self._flush(_FLUSH_S)
        value = await self._call(self._memory.retrieve, category, key)
        if value is not None:
            return f"{key}: {value}"
        found = await self._call(self._memory.search, key.replace("_", " "), 5)
        return _told(found) or f"nothing is known about {key}"

    @function_tool
    async def list_memories(
        self,
        category: Annotated[
            str | None, Field(description="a category, or null for everything that is known")
        ],
    ) -> str:
        """List what is known of the person, newest first."""
        await self._flush(_FLUSH_S)
        return _told(await self._call(self._memory.list_memories, category, 30)) or "nothing yet"

    @function_tool
    async def forget_memory(self, category: CategoryName, key: Key) -> str:  # noqa: ARG002 - models name it
        """Delete a memory and its history for good."""
        await self._flush(_FLUSH_S)
        self._on_forget()
        # In every category: the model may remember the key and not the category, and the
        # same thing may have been stored by a tool in one and by extraction in another.
        gone = await self._call(self._memory.forget, None, key)
        self._on_change()
        return f"forgot {key}" if gone else f"nothing was kept under {key}"

    @function_tool
    async def get_user_profile(self) -> str:
        """Return the person's name, occupation, interests, language, time zone and profile."""
        person = await self._call(self._profiles.get)
        known = {**asdict(person.details), **asdict(person.about)}
        known = {name: value for name, value in known.items() if value}
        return json.dumps(known, ensure_ascii=False) if known else "nothing yet"

    @function_tool
    async def update_user_profile(
        self,
        first_name: Annotated[str | None, Field(description="what to call them, or null")],
        occupation: Annotated[str | None, Field(description="what they do, or null")],
        interests: Annotated[list[str] | None, Field(description="all their interests, or null")],
        language: Annotated[str | None, Field(description="a BCP 47 tag such as de, or null")],
        time_zone: Annotated[str | None, Field(description="such as Europe/Berlin, or null")],
        profile_text: Annotated[
            str | None, Field(description="a short text about them that replaces the old, or null")
        ],
    ) -> str:
        """Change the person's profile; null leaves a field as it is."""
        details = {"first_name": first_name, "occupation": occupation, "interests": interests}
        about = {"language": language, "time_zone": time_zone, "profile_text": profile_text}
        details = {name: value for name, value in details.items() if value is not None}
        about = {name: value for name, value in about.items() if value is not None}
        await self._call(checked_changes, {**details, **about})  # all of them, or none
        if details:
            await self._call(self._profiles.change_details, **details)
        if about:
            await self._call(self._profiles.change_about, **about)
        return f"updated {', '.join([*details, *about]) or 'nothing'}"

    @function_tool
    async def forget_user_profile(self) -> str:
        """Delete the person's profile: name, occupation, interests, language and text."""
        self._on_forget()
        gone = await self._call(self._profiles.forget)
        return "the profile is deleted" if gone else "there was no profile"

    async def _call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.wait_for(
                self._threads.run(call, *args, **kwargs), self._deadline_s
            )
        except (MemoryInputError, ProfileInputError) as error:
            raise ToolError(str(error)) from error
        except (asyncio.TimeoutError, StorageError) as error:
            raise ToolError(
                "the memory cannot be reached just now, and this may or may not have happened; "
                "say so and go on"
            ) from error


def _told(memories: list[Memory]) -> str:
    return "\n".join(
        f"{memory.category.value} {memory.key}: {memory.value}"
        if not memory.key.startswith(TURN_KEY)
        else f"{memory.category.value} said: {memory.value}"
        for memory in memories
    )
