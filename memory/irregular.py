"""English words whose forms no stemmer brings together: go, went, gone."""

from __future__ import annotations

_FORMS = """
    be was were been; bear bore borne; beat beaten; become became; begin began begun; bend bent
    bet; bind bound; bite bit bitten; bleed bled; blow blew blown; break broke broken
    breed bred; bring brought; build built; burn burnt; buy bought; catch caught
    choose chose chosen; cling clung; come came; creep crept; deal dealt; dig dug
    do did done; draw drew drawn; dream dreamt; drink drank drunk; drive drove driven
    eat ate eaten; fall fell fallen; feed fed; feel felt; fight fought; find found; flee fled
    fly flew flown; forbid forbade forbidden; forget forgot forgotten; forgive forgave forgiven
    freeze froze frozen; get got gotten; give gave given; go went gone; grow grew grown
    hang hung; have had; hear heard; hide hid hidden; hold held; keep kept; kneel knelt
    know knew known; lay laid; lead led; lean leant; learn learnt; leave left; lend lent
    light lit; lose lost; make made; mean meant; meet met; pay paid; ride rode ridden
    ring rang rung; rise rose risen; run ran; say said; see saw seen; seek sought; sell sold
    send sent; sew sewn; shake shook shaken; shine shone; shoot shot; show shown
    shrink shrank shrunk; sing sang sung; sink sank sunk; sit sat; sleep slept; slide slid
    smell smelt; speak spoke spoken; speed sped; spell spelt; spend spent; spill spilt; spin spun
    spring sprang sprung; stand stood; steal stole stolen; stick stuck; sting stung
    strike struck; swear swore sworn; sweep swept; swell swollen; swim swam swum; swing swung
    take took taken; teach taught; tear tore torn; tell told; think thought
    throw threw thrown; understand understood; wake woke woken; wear wore worn; weave wove woven
    weep wept; win won; write wrote written
    child children; foot feet; goose geese; half halves; knife knives; leaf leaves; loaf loaves
    man men; mouse mice; person people; shelf shelves; thief thieves; tooth teeth; wife wives
    wolf wolves; woman women; good better best; bad worse worst
"""

FAMILIES: tuple[tuple[str, ...], ...] = tuple(
    tuple(family) for line in _FORMS.replace("\n", ";").split(";") if (family := line.split())
)
"""Each base form with its irregular forms."""

_BASES = {form: family[0] for family in reversed(FAMILIES) for form in family}


def base_form(word: str) -> str:
    """Return the base form of an irregular one, and any other word as it is.

    >>> base_form("went"), base_form("walked")
    ('go', 'walked')
    """
    return _BASES.get(word, word)
