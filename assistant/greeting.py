"""What is said first, and how: to a newcomer, to somebody who is known, or as asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from assistant import persona
from memory import Category, Memory
from profiles import OnboardingDetails, Profile, UserProfile

_LONGEST_QUOTE = 160


@dataclass(frozen=True)
class GreetingMaterial:
    """What a greeting can be made of; every part may be missing.

    Attributes:
        profile: the person's row, or None when it is new or did not come in time.
        about: what is known of them at a glance.
        details: what they told when they first came.
        memories: their latest memories, newest first.
    """

    profile: Profile | None = None
    about: UserProfile = field(default_factory=UserProfile)
    details: OnboardingDetails = field(default_factory=OnboardingDetails)
    memories: Sequence[Memory] = ()


def greeting(opening_line: str | None, material: GreetingMaterial) -> str:
    """Return the first sentence.

    An opening line from the dispatch wins. Somebody whose first conversation has not taken
    place yet is welcomed as new, everybody else as the person they are.
    """
    if opening_line:
        return opening_line
    if material.profile is None or material.profile.is_first_login:
        return persona.onboarding_greeting()
    return persona.returning_greeting(
        material.details.first_name, _worth_mentioning(material.memories)
    )


def _worth_mentioning(memories: Sequence[Memory]) -> str | None:
    """Return the latest thing they said in words of their own, as a sentence."""
    for memory in memories:
        text = " ".join(memory.value.split())
        is_said = memory.key.startswith("user_input_") and not text.endswith("?")
        if is_said and len(text) <= _LONGEST_QUOTE and memory.category is not Category.OPINION:
            return text if text[-1] in ".!" else f"{text}."
    return None
