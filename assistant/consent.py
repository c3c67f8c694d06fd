"""Whether a turn says yes, beyond doubt: what cannot be undone waits for that.

What is not understood is no consent. The words are those of the languages in which
`persona` asks; extend both together.
"""

from __future__ import annotations

import re

_LEAD_IN = frozenset("uh um er ah oh well so please ok okay äh ähm eh bueno bitte".split())

_YES = frozenset(
    """
    yes yeah yep yup sure absolutely definitely certainly confirmed
    ja jawohl genau natürlich sicher
    sí si claro seguro
    oui ouais absolument certainement
    sì certo certamente
    sim claro certeza
    zeker
    """.split()
)

_DEMANDS = re.compile(
    r"(?:please )?(?:do it|do so|go ahead|i am sure|i'm sure|i confirm|"
    r"(?:erase|delete|forget|remove) (?:everything|all(?: of it)?|it all))"
)

_DOUBTS = frozenset(
    """
    no not nope don't never wait stop cancel but unless except maybe perhaps later
    changed rather instead keep
    nein nicht kein warte stopp aber vielleicht später doch
    espera pero quizás luego
    non pas attends mais peut-être tard
    aspetta ma forse dopo
    não nao mas talvez depois
    nee niet wacht maar misschien
    """.split()
)


def affirms(text: str) -> bool:
    """Tell whether the text says yes, and nothing that takes it back.

    >>> affirms("Yes, erase everything."), affirms("Yes, but keep my name"), affirms("Why?")
    (True, False, False)
    """
    plain = text.replace("\u2019", "'").casefold().strip()
    words = re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", plain)
    if "?" in plain or any(word in _DOUBTS for word in words):
        return False
    while words and words[0] in _LEAD_IN:
        del words[0]
    return bool(words) and (words[0] in _YES or bool(_DEMANDS.match(" ".join(words))))
