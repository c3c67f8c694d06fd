"""The tools that forget: what was just said, what was recalled, and what is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from livekit.agents import function_tool
from livekit.agents.llm import ToolError
from pydantic import Field

from assistant.changes import Change, forgotten
from assistant.tools.finding import best_fits, find_key, mentions, says_all
from assistant.tools.profile_fields import field_named, fields, write
from assistant.tools.session import ToolSession
from assistant.tools.telling import (
    is_turn,
    numbered,
    quoted,
    slug,
    spoken_key,
    told,
    told_field,
)
from assistant.turns import Turn
from memory import Memory
from memory.forgetting import forget_whole, withdraw_all
from memory.gate import Heard, Verdict, judge
from memory.query import search_words


class ForgetTools:
    """What a person wants gone.

    Args:
        session: the tools' session.
    """

    def __init__(self, session: ToolSession) -> None:
        self._session = session

    @function_tool
    async def forget_last(
        self,
        what: Annotated[
            Literal["said", "recalled"],
            Field(
                description="said: what the person told in their message before this one. "
                "recalled: what you told them from memory in your last answer."
            ),
        ],
    ) -> str:
        """Forget what was just said or recalled: "forget that", "forget what I just said".

        It forgets that and nothing else. Where several memories could be meant, it forgets
        nothing and names them: ask which, then call forget_choices. Say what was forgotten.
        """
        session = self._session
        await session.leave_out_own_turn()
        await session.settle()
        before = session.turns.before_current()
        if what == "said":
            return await session.whole(self._forget_said(before))
        recalled = before[0].recalled if before else []
        if len(recalled) > 1:
            return self._offer(recalled)
        if not recalled:
            return "nothing was recalled just now; ask what they mean"
        return await session.whole(self._forget(recalled))

    @function_tool
    async def forget_memory(
        self,
        category: Annotated[
            str | None, Field(description="the category if you are sure of it, else null")
        ],
        key: Annotated[str, Field(description="the key, or what the person calls it: address")],
    ) -> str:
        """Forget something the person names, with its history: "forget my address".

        Say what was forgotten. Where several memories could be meant, it forgets nothing and
        names them: ask which, then call forget_choices.
        """
        session = self._session
        await session.leave_out_own_turn()
        await session.settle()
        from_profile = await self._forget_in_profile(key)
        known = await session.call(find_key, session.memory, category, key)
        if not known:
            fits = await session.call(best_fits, session.memory, key)
            if len(fits) == 1 and says_all(fits[0], search_words(key)):
                known = fits
            elif fits:
                return f"{from_profile}{self._offer(fits)}"
        if not known:
            return from_profile.rstrip("; ") or f"nothing was kept under {key}"
        return from_profile + await session.whole(self._forget(known))

    @function_tool
    async def forget_choices(
        self,
        numbers: Annotated[
            list[int], Field(description="the numbers of the memories that the person chose")
        ],
    ) -> str:
        """Forget what the person chose of the numbered memories that were named before."""
        session = self._session
        await session.leave_out_own_turn()
        chosen = [memory for number, memory in enumerate(session.offered, 1) if number in numbers]
        if not chosen:
            raise ToolError("there is no such choice; nothing was forgotten")
        session.offered = []
        return await session.whole(self._forget(chosen, name_mentions=False))

    async def _forget_said(self, before: Sequence[Turn]) -> str:
        session = self._session
        # A "hm" in between is not what anybody means by "that".
        said = next((turn for turn in before if _says_something(turn)), None)
        if said is None:
            return "nothing was said before in this session; ask what they mean"
        session.on_forget()
        turn_id = session.recorder.take_back(said.item_id)
        changes = session.changes.of(said.item_id)
        ids = {turn_id, *(each for change in changes for each in change.write_ids)}
        gone, is_all = await session.call(withdraw_all, session.memory, sorted(ids))
        if not gone and is_all:
            return f"nothing was kept of {quoted(said.text)}"
        session.changes.drop(said.item_id)
        if not gone:
            session.on_change()
            return f"whatever was kept of {quoted(said.text)} goes once the memory can be reached"
        return await self._forgot(gone)

    async def _forget(self, targets: Sequence[Memory], *, name_mentions: bool = True) -> str:
        session = self._session
        session.on_forget()
        gone: list[Memory] = []
        for target in targets:
            gone += await session.call(forget_whole, session.memory, target)
        if not gone:
            return "it was gone already"
        text = await self._forgot(gone)
        left = await session.call(mentions, session.memory, gone) if name_mentions else []
        return f"{text}; these still mention it: {self._offer(left)}" if left else text

    async def _forgot(self, gone: Sequence[Memory]) -> str:
        session = self._session
        names = "; ".join(dict.fromkeys(told(each) for each in gone if _is_named(each, gone)))
        session.on_forgotten(gone)
        session.note(forgotten(session.memory, gone, f"remembered again: {names}"))
        session.on_change()
        await session.drop_summary()
        return f"forgot {names}"

    def _offer(self, memories: Sequence[Memory]) -> str:
        self._session.offered = list(memories)
        return f"which of these should be forgotten? {numbered(memories)}"

    async def _forget_in_profile(self, key: str) -> str:
        session = self._session
        field = field_named(key)
        value = fields(await session.call(session.profiles.get))[field] if field else None
        if field is None or not value:
            return ""
        profiles, old = session.profiles, {field: value}
        await session.call(write, profiles, {field: None})
        what = f"{spoken_key(slug(key))} {told_field(value)} in the profile"
        session.note(Change(f"remembered again: the {what}", lambda: write(profiles, old)))
        await session.on_profile_change()
        return f"forgot the {what}; "


def _says_something(turn: Turn) -> bool:
    return judge(Heard(turn.text)) is not Verdict.FILLER


def _is_named(memory: Memory, gone: Sequence[Memory]) -> bool:
    # A turn is named where nothing else says what it said, a fact by its latest value.
    if is_turn(memory):
        return all(is_turn(each) for each in gone)
    same = [each for each in gone if (each.category, each.key) == (memory.category, memory.key)]
    return memory is max(same, key=lambda each: (each.created_at, each.id))
