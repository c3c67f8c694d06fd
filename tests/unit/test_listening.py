"""What the gate is told of a turn."""

from __future__ import annotations

from datetime import datetime, timezone

from livekit.agents.llm import ChatMessage

from assistant.listening import Listening
from memory import Category, Memory

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)


def message(role, text: str, **more) -> ChatMessage:
    return ChatMessage(role=role, content=[text], **more)


def memory(value: str) -> Memory:
    return Memory(value, "u", Category.FACT, "key", value, NOON)


def test_a_turn_comes_with_the_agents_last_words_and_how_well_it_was_heard():
    listening = Listening()
    listening.note_agent(message("assistant", "Hello!"))
    listening.note_agent(message("assistant", "What may I call you?"))
    said = message("user", "Anna", transcript_confidence=0.7)
    turn = listening.turn(said)
    assert (turn.text, turn.item_id, turn.said_at) == ("Anna", said.id, said.created_at)
    assert (turn.agent_said, turn.confidence) == ("Hello! What may I call you?", 0.7)


def test_the_agents_words_of_the_turn_before_are_gone_once_it_speaks_again():
    listening = Listening()
    listening.note_agent(message("assistant", "Hello!"))
    assert listening.turn(message("user", "hi")).agent_said == "Hello!"
    assert listening.turn(message("user", "are you there")).agent_said == "Hello!"
    listening.note_agent(message("assistant", "I am."))
    assert listening.turn(message("user", "good")).agent_said == "I am."


def test_what_recall_gave_lately_is_known_and_what_it_gave_long_ago_is_not():
    listening = Listening()
    for value in ("a", "b", "b", "c", "d"):
        listening.note_recalled([memory(value)])
    listening.note_recalled([])
    assert listening.turn(message("user", "x")).recalled == ("b", "c", "d")


def test_after_an_erasure_nothing_of_before_makes_a_turn_an_echo():
    listening = Listening()
    listening.note_agent(message("assistant", "Is your sister still in Rome?"))
    listening.note_recalled([memory("my sister lives in Rome")])
    listening.forget()
    turn = listening.turn(message("user", "my sister lives in Rome"))
    assert (turn.agent_said, turn.recalled) == ("", ())
