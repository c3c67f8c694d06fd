"""The tools that read, change and forget the person's profile."""

from __future__ import annotations

import json
from typing import Annotated

from livekit.agents import function_tool
from pydantic import Field

from assistant.changes import Change
from assistant.tools.profile_fields import fields, write
from assistant.tools.session import ToolSession
from profiles.model import checked_changes


class ProfileTools:
    """Who the person is.

    Args:
        session: the tools' session.
    """

    def __init__(self, session: ToolSession) -> None:
        self._session = session

    @function_tool
    async def get_user_profile(self) -> str:
        """Return the person's name, occupation, interests, language, time zone and profile."""
        person = await self._session.call(self._session.profiles.get)
        known = {name: value for name, value in fields(person).items() if value}
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
        details: dict[str, object] = {
            "first_name": first_name,
            "occupation": occupation,
            "interests": interests,
        }
        about = {"language": language, "time_zone": time_zone, "profile_text": profile_text}
        changes = {name: value for name, value in {**details, **about}.items() if value is not None}
        session = self._session
        await session.call(checked_changes, changes)  # all of them, or none
        if not changes:
            return "updated nothing"
        async with session.writing:
            session.check_may_write()
            before = fields(await session.call(session.profiles.get))
            await session.call(write, session.profiles, changes)
            old = {name: before[name] for name in changes}
            self._note(f"the profile is as before: {', '.join(changes)}", old)
        return f"updated {', '.join(changes)}"

    @function_tool
    async def forget_user_profile(self) -> str:
        """Forget the person's whole profile: name, occupation, interests, language and text.

        For one of them use forget_memory.
        """
        session = self._session
        await session.leave_out_own_turn()
        before = fields(await session.call(session.profiles.get))
        gone = await session.call(session.profiles.forget)
        if not gone:
            return "there was no profile"
        self._note("the profile is remembered again", before)
        await session.on_profile_change()
        return "the profile is deleted"

    def _note(self, what: str, before: dict[str, object]) -> None:
        profiles = self._session.profiles
        self._session.note(Change(what, lambda: write(profiles, before)))
