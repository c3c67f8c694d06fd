"""What people say in talking that is no memory: word lists of the gate. English; extend them."""

from __future__ import annotations

FILLER = frozenset(
    """
    ah aha alright and anyway bye cheers cool course er evening fine go good goodbye gotcha great ha
    haha hello hey hi hm hmm huh i indeed it's just like lol mhm mm mmm morning nah nice night no
    nope now obviously oh ok okay perfect please right see shh so much sorry sure thank thanks
    that's the then there uh uhm uhuh um very well wait welcome what whatever wow yay yeah yep yes
    you yup afternoon lot a exactly totally absolutely definitely of really awesome amazing
    wonderful lovely
    """.split()
)
"""A turn of these words alone says nothing. No word here may be an answer of its own."""

REACTIONS = frozenset(
    phrase.strip()
    for phrase in """
    i see|i know|i know right|i guess|i guess so|i think so|i hope so|i suppose|i suppose so
    i understand|i got it|got it|i agree|i remember|i bet|i do|i did|i am|i was|i have|i will
    i am good|i am fine|i am okay|i am here|i am back|i am listening|i am not sure|i am sorry
    i do not know|i cannot hear you|i did not say that|i do not think so|i do not care
    i have a question|i have to go|i need help|i am kidding|i am just kidding|just kidding|kidding
    me too|me neither|same here|my bad|my pleasure|never mind|nevermind|not really|not bad
    not bad at all|no worries|no problem|no way|of course|oh my god|omg|sounds good|sounds great
    good for you|good idea|good point|good question|good one|nice one|how nice|how are you
    just a second|just a sec|just a moment|one moment|one second|hold on|hang on|kind of|sort of
    say that again|so they say|thank god|you bet|you too|love it|i love it|i like it|i like that
    i love that|i hate it|that is me|tell me about it|why not|gotta go|i gotta go|see you
    see you later|talk to you later|take care|let me think|let me see|makes sense|fair enough
    i mean|i mean it|i understand you|i hear you|to be honest|as i said|i said no|i said yes
    not you|no not you|so what|who knows|who cares|if you say so|i am with you|the end
    """.replace("\n", "|").split("|")
    if phrase.strip()
)
"""Whole clauses, contractions written out, that answer the agent and tell nothing."""

IMPERATIVES = frozenset(
    """
    add answer ask calculate cancel change check choose close come continue convert count define
    delete describe erase explain find forget give go guess hang help hold hush imagine let let's
    lets list listen look make open pause pick play pretend promise put read recite recommend
    remember remind remove repeat roll say search send set show shut sing skip slow spell start
    stop suggest summarize switch talk tell translate try turn update wait wake write
    """.split()
)
"""Verbs that, at the beginning of a clause, ask the agent to do something."""

REQUEST_OPENINGS = (
    "i would like to know ",
    "i want to know ",
    "i wonder ",
    "i was wondering ",
    "i want you to ",
    "i need you to ",
    "i would like you to ",
    "i would love you to ",
    "i would like to ask ",
    "i want to ask ",
    "i am asking ",
    "i asked ",
    "can i ",
    "may i ",
)
