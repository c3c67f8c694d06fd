"""What somebody said, brought into a plain form that rules can read. English.

Spoken text has hesitations, repetitions and repairs, and several things in one breath. The
functions here work in time that grows with the length of the text and no faster: every
pattern is bounded, and only the first `MOST_CHARACTERS` are read.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 4_000

_HESITATION = re.compile(
    r"(?:,\s?)?\b(?:u+h*m+|u+h+|e+r+m?|a+h+|h+m+|m{2,}|let me (?:think|see)|(?<=, )you know"
    r"|you know(?=,)"
    r"|like(?=,))(?![\w'])(?:\.{3}|,)?",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"\b([\w']{1,20})(?:,? \1(?![\w']))+", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?;:\u2026])\s+|\n+")
_TITLE = re.compile(r"(?:^|\s)(?:Mrs?|Ms|Dr|Prof|St|Jr|Sr|vs)\.$")

_SUBJECT = (
    r"(?:i|i'm|im|i've|i'd|i'll|we|we're|we've|my|our|it's|he|he's|she|she's|they|they're|his|her)"
)
_ASKING = r"(?:(?:can|could|would|will|do|did|have|are) you|what|how|where|when|why|who)"
_CLAUSE_START = re.compile(
    r"(?:,? (?:and|but|so|because|since|although|though|as|plus|cause)|,) "
    rf"(?=(?:(?:now|then|also|actually|currently) )?{_SUBJECT}\s"
    rf"|actually\s|please\s|{_ASKING}\b)"
    r"|, (?:and|but|so) "
    r"|(?<=\s)(?=(?:because|since) (?:i|my|we)\b)",
    re.IGNORECASE,
)
_SAME_SUBJECT = re.compile(
    r" and (?:also |then )?(?=(?:live|work|study|have|love|like|hate|enjoy|play|speak|drive|moved"
    r"|own|prefer|want)\s)",
    re.IGNORECASE,
)
OF_OURS = (
    r"(?:my|our) (?:[\w'-]+ ){1,5}?(?:is|are|was|were|has|have|had|will|lives?|works?|loves?|likes?"
    r"|wants?|died|moved|turn\w*|got)\b"
)
"""Tells something of somebody or something of the speaker's."""

_FIRST_PERSON_CLAUSE = rf"(?:(?:i|we)\b|im |ive |(?:my|our) name's|{OF_OURS})"
_ASKS_TO_REMEMBER = (
    r"(?:(?:can|could|would|will) you|i (?:want|need|asked|would (?:like|love)) you to"
    r"|i'd (?:like|love) you to|you (?:should|must|have to|need to))"
    r" (?:(?:please|also|just|always) )?"
    r"(?:remember|know|note(?: down)?|make a note|keep in mind|bear in mind|believe)"
)
_ASKS_TO_TELL = (
    r"(?:(?:can|could|may|might) i|let me|i (?:want|wanted|would like) to|i'd like to)"
    r" (?:(?:please|also|just) )?(?:tell you|let you know|say|mention|add)"
)
_LEAD_IN = re.compile(
    r"(?:(?:well|so|oh|and|but|also|actually|honestly|basically|anyway|yes|yeah|yep|no|nope|nah"
    r"|ok|okay|right|sorry|wait|hey(?: there)?|hi(?: there)?|hello(?: there)?|please|because|since"
    r"|though|look|wow|good (?:morning|evening|afternoon)|evening|morning|for real|to be honest"
    r"|by the way|that is wrong|that's wrong|nowadays"
    r"|these days|at the moment|currently|scratch that|guess what|as i said|in fact|the thing is"
    r"|of course|thanks|thank you|finally|now|and then|then|yes please)[,.!:]?\s+"
    r"|(?:i mean|i said|i was saying|i think|did you know|do you know|have i told you"
    r"|did i (?:ever )?(?:tell you|mention)"
    r"|i(?: already)? told you|(?:please )?(?:remember|note|know|keep in mind|don't forget)"
    r"|you should know|fun fact:?)(?: that)?\s+(?=(?:i|i'm|im|i've|i'd|my|we|we're|our)\b)"
    rf"|(?:{_ASKS_TO_REMEMBER}|{_ASKS_TO_TELL})(?: that)?,?\s+(?={_FIRST_PERSON_CLAUSE}))",
    re.IGNORECASE,
)
_MOST_LEAD_INS = 8

_LONG_FORMS = tuple(
    (re.compile(pattern, re.IGNORECASE), long)
    for pattern, long in (
        (r"\b(?:i'm|im)\b", "I am"),
        (r"\b(?:i've|ive)\b", "I have"),
        (r"\b(i|we|you|he|she|it|they|that|there)'ll\b", r"\1 will"),
        (r"\b(i|we|you|he|she|they)'d (?=like|love|rather|prefer)", r"\1 would "),
        (r"\b(we|you|they)'re\b", r"\1 are"),
        (r"\b(we|you|they)'ve\b", r"\1 have"),
        (r"\b(he|she|it|that|there|what|where|who|how|here)'s\b", r"\1 is"),
        (r"\bwhats\b", "what is"),
        (r"^its (?=[a-z]+$)", "it is "),
        (r"\b(?:can't|cant|can not)\b", "cannot"),
        (r"\b(?:won't|wont)\b", "will not"),
        (r"\b(do|does|did|is|are|was|were|has|have|had|could|would|should)n'?t\b", r"\1 not"),
        (r"\bgonna\b", "going to"),
        (r"\bwanna\b", "want to"),
        (r"\b(have|has) got\b", r"\1"),
        (r"\b([a-z]{2,20})'s (?=called|named|a |an |in |not |\d|my )", r"\1 is "),
        (r"\bname's (?=\w)", "name is "),
        (r"\bany more\b", "anymore"),
        (r"\bfavourite\b", "favorite"),
    )
)


def plain(text: str) -> str:
    """Return the text without hesitations and repeated words, with straight quotes.

    >>> plain("My, my name is, uh, Bernard.")
    'My name is Bernard.'
    """
    straight = text[:MOST_CHARACTERS].replace("\u2019", "'").replace("\u2018", "'")
    without = _HESITATION.sub("", " ".join(straight.split()))
    without = re.sub(r"\s+(?=[,.!?])|^[,. ]+", "", without)
    return _REPEATED.sub(r"\1", " ".join(without.split()))


def sentences(text: str) -> list[str]:
    """Return the sentences of a plain text, their marks kept."""
    found: list[str] = []
    for part in _SENTENCE_END.split(text):
        if found and _TITLE.search(found[-1]):
            found[-1] = f"{found[-1]} {part}"
        elif part.strip():
            found.append(part.strip())
    return found


def clauses(sentence: str) -> list[str]:
    """Return the parts of a sentence that have a subject of their own, marks at the ends gone.

    >>> clauses("I'm Anna and I live in Lyon and work as a nurse.")
    ["I'm Anna", 'I live in Lyon', 'I work as a nurse']
    """
    found: list[str] = []
    for part in _CLAUSE_START.split(sentence):
        first, *others = _SAME_SUBJECT.split(part)
        subject = "We" if first[:3].casefold() == "we " else "I"
        found += [first, *(f"{subject} {other}" for other in others)]
    return [clause for part in found if (clause := part.strip(' ,.!?;:"\u2026'))]


def without_lead_in(text: str) -> str:
    """Return a sentence or clause without the words that only lead up to it.

    >>> without_lead_in("Oh, did you know that I moved?")
    'I moved?'
    >>> without_lead_in("Can you remember that my son is Leo?")
    'my son is Leo?'
    """
    for _ in range(_MOST_LEAD_INS):
        match = _LEAD_IN.match(text)
        if match is None or match.end() == len(text):
            break
        text = text[match.end() :]
    return text


def in_full(text: str) -> str:
    """Return the text with its contractions written out.

    >>> in_full("I'm not, and my sister's called Ana")
    'I am not, and my sister is called Ana'
    """
    for pattern, long in _LONG_FORMS:
        text = pattern.sub(long, text)
    return text


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case, marks gone."""
    straight = text[:MOST_CHARACTERS].replace("\u2019", "'").casefold()
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", straight)
