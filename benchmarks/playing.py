"""Plays dialogues through the product's own gate, recorder, extraction and SQLite store."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from livekit.plugins import openai

from assistant.fact_model import LLMFactModel
from benchmarks.dialogue import Dialogue, Expected
from benchmarks.scoring import Played
from memory import Memory, MemoryManager, SqliteMemoryStore
from memory.extraction import Extraction, FactModel, RuleModel, ToldTurn
from memory.extraction.extractor import Extractor
from memory.recorder import Recorder, UserTurn, write_id
from session_context import set_session_user
from storage import StoreThreads
from storage.person_file import PersonFiles
from tests.standins import ChatRequest, OpenAIStandIn

_DEADLINE_S = 20.0
_LEAST_CONFIDENCE = 0.6
_BETWEEN_TURNS = timedelta(minutes=1)


async def played_by_rules(dialogues: Sequence[Dialogue]) -> list[Played]:
    """Play the dialogues, read by the rules."""
    return await _played(dialogues, RuleModel())


async def played_by_fixed_answers(dialogues: Sequence[Dialogue]) -> list[Played]:
    """Play the dialogues, read by a stand-in whose answers are fixed in them."""
    answers = {
        turn.text: [_answer(fact) for fact in turn.facts]
        for dialogue in dialogues
        for turn in dialogue.turns
    }
    with OpenAIStandIn(lambda request: _fixed(request, answers)) as stand_in:
        llm = openai.LLM(model="gpt-4.1-mini", base_url=stand_in.base_url, api_key=stand_in.api_key)
        model = LLMFactModel(llm, deadline_s=_DEADLINE_S)
        try:
            played = await _played(dialogues, model)
        finally:
            await model.aclose()
        stand_in.assert_no_faults()
    return played


async def _played(dialogues: Sequence[Dialogue], model: FactModel) -> list[Played]:
    threads = StoreThreads(1)
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        people = PersonFiles(Path(folder))
        memory = MemoryManager(lambda: SqliteMemoryStore(people))
        try:
            # A task each: whom a session serves is a variable of its context.
            return [
                await asyncio.create_task(_play(dialogue, memory, threads, model))
                for dialogue in dialogues
            ]
        finally:
            threads.close()
            people.close()


async def _play(
    dialogue: Dialogue, memory: MemoryManager, threads: StoreThreads, model: FactModel
) -> Played:
    set_session_user(f"{dialogue.id}@quality.example")
    extractor = Extractor(
        memory,
        threads,
        dialogue.id,
        model=model,
        fallback=_NoFallback(),
        deadline_s=_DEADLINE_S,
        wait_s=0,
        least_confidence=_LEAST_CONFIDENCE,
    )
    recorder = Recorder(memory, threads, dialogue.id, on_kept=extractor.hear)
    extractor.start()
    recorder.start()
    for number, turn in enumerate(dialogue.turns):
        said_at = (dialogue.began_at + number * _BETWEEN_TURNS).timestamp()
        recorder.hear(
            UserTurn(
                turn.text, _item(number), said_at, turn.agent_said, turn.confidence, turn.recalled
            )
        )
        await _in_time(recorder.flush)
        await _in_time(extractor.flush)
    await recorder.aclose(_DEADLINE_S)
    await extractor.aclose(_DEADLINE_S)
    kept = {each.id for each in memory.list_memories(limit=200)}
    return Played(
        dialogue,
        tuple(
            write_id(dialogue.id, _item(number), "turn") in kept
            for number in range(len(dialogue.turns))
        ),
        tuple(memory.list_facts(200)),
    )


async def _in_time(flush: Callable[[float], Awaitable[bool]]) -> None:
    if not await flush(_DEADLINE_S):
        raise TimeoutError("the turns were not stored in time")


def _item(number: int) -> str:
    return f"turn-{number}"


def _fixed(request: ChatRequest, answers: dict[str, list[dict[str, object]]]) -> str:
    turns = json.loads(request.last_user_text)["turns"]
    facts = [{"turn": turn["turn"], **fact} for turn in turns for fact in answers[turn["person"]]]
    return json.dumps({"facts": facts, "summary": None})


def _answer(fact: Expected) -> dict[str, object]:
    value = fact.values[0]
    key = fact.keys[0].replace("*", fact.thing.partition("#")[2].casefold().replace(" ", "_"))
    return {
        "category": fact.category,
        "key": key,
        "value": value,
        "confidence": 0.95,
        "expires_on": None if fact.last_day is None else fact.last_day.isoformat(),
    }


class _NoFallback:
    """Ends the benchmark where the product would fall back, as that would hide a fault."""

    async def read(
        self,
        turns: Sequence[ToldTurn],
        known: Sequence[Memory],
        earlier: Sequence[ToldTurn] = (),
    ) -> Extraction:
        raise RuntimeError(f"{len(turns)} turns, {len(known)} facts, {len(earlier)}: no answer")
