"""Which category a sentence belongs to, by its words. English; extend the table."""

from __future__ import annotations

import re

from memory.model import Category

_RULES: tuple[tuple[Category, str], ...] = (
    (Category.CAMPAIGNS, r"campaigns?\b|dungeon master|game session"),
    (Category.LORE, r"lore\b|backstor(y|ies)|legends? (says?|tells?|of)|mytholog(y|ies)"),
    (Category.PRESENTATION, r"presentations?\b|slides?\b|slide deck|pitch deck|keynotes?\b"),
    (
        Category.RELATIONSHIP,
        r"my (\w+ )?(wife|husband|partner|girlfriend|boyfriend|fianc[eé]e?|mother|mom|mum|father"
        r"|dad|parents|sister|brother|siblings?|son|daughter|kids?|children|baby|grand\w+|aunt"
        r"|uncle|cousin|niece|nephew|friends?|boss|colleagues?|neighbou?rs?|roommate)\b"
        r"|\b(married|engaged|divorced|dating)\b",
    ),
    (
        Category.GOAL,
        r"my (\w+ )?(goal|dream|ambition|aim)s?\b"
        r"|i('m| am) (trying|hoping|aiming|training) (to|for)"
        r"|i (want|hope|aim|wish|would like|'d like) to\b|i'd like to\b|working towards?\b",
    ),
    (
        Category.PLAN,
        r"i('m| am) (going to|gonna|planning)\b|i('ll| will)\b|we('re| are) (going to|planning)\b"
        r"|my plans?\b|\b(tomorrow|tonight|next (week|month|year|weekend|\w+day))\b",
    ),
    (
        Category.PREFERENCE,
        r"i('d| would)? (\w+ )?(prefer|rather)\b|favou?rite\b|i (really )?(don't|do not|can't) "
        r"(like|stand|eat|drink|want)\b|i (hate|dislike|avoid)\b"
        r"|please (call|speak|use|always|never)",
    ),
    (
        Category.INTEREST,
        r"i('m| am)? (\w+ )?(love|like|enjoy|adore|interested in|passionate about|into|keen on)\b"
        r"|\b(hobby|hobbies|a fan of|fascinated by)\b",
    ),
    (
        Category.OPINION,
        r"i (\w+ )?(think|believe|feel|guess|reckon|doubt)\b|in my (opinion|view)|\bif you ask me",
    ),
    (
        Category.EXPERIENCE,
        r"i (once|just|recently|finally)? ?(went|visited|saw|met|tried|travell?ed|learned|learnt"
        r"|moved|started|finished|climbed|watched|attended|lost|won|had|was in|grew up)\b"
        r"|i('ve| have) (\w+ )?been\b|i used to\b|\b(yesterday|last (night|week|month|year))\b",
    ),
)

_COMPILED = tuple(
    (category, re.compile(rf"\b(?:{rule})", re.IGNORECASE)) for category, rule in _RULES
)


def categorise(text: str) -> Category:
    """Return the category of the first rule that fits the text, FACT where none does.

    >>> categorise("I love reading books").value
    'INTEREST'
    """
    straight = text.replace("\u2019", "'")
    for category, rule in _COMPILED:
        if rule.search(straight):
            return category
    return Category.FACT
