"""Words of a kind: relations, pets, occupations, numbers. English; extend them."""

from __future__ import annotations

_RELATIONS = {
    "mother": "mother mom mum mama mommy",
    "father": "father dad papa daddy",
    "sister": "sister",
    "brother": "brother",
    "wife": "wife",
    "husband": "husband hubby",
    "partner": "partner",
    "girlfriend": "girlfriend",
    "boyfriend": "boyfriend",
    "fiance": "fiance fianc\u00e9 fiancee fianc\u00e9e",
    "daughter": "daughter",
    "son": "son",
    "baby": "baby",
    "grandmother": "grandmother grandma granny nan nana",
    "grandfather": "grandfather grandpa granddad grandad",
    "grandson": "grandson",
    "granddaughter": "granddaughter",
    "aunt": "aunt auntie",
    "uncle": "uncle",
    "cousin": "cousin",
    "nephew": "nephew",
    "niece": "niece",
    "friend": "friend",
    "roommate": "roommate flatmate housemate",
    "boss": "boss manager",
    "coach": "coach trainer",
    "teacher": "teacher",
    "doctor": "doctor",
    "therapist": "therapist",
    "neighbor": "neighbor neighbour",
    "colleague": "colleague coworker co-worker",
    "co_founder": "co-founder cofounder",
    "business_partner": "business-partner",
    "stepmother": "stepmother stepmom stepmum",
    "stepfather": "stepfather stepdad",
    "stepson": "stepson",
    "stepdaughter": "stepdaughter",
    "godmother": "godmother",
    "godfather": "godfather",
    "landlord": "landlord landlady",
    "mother_in_law": "mother-in-law",
    "father_in_law": "father-in-law",
    "sister_in_law": "sister-in-law",
    "brother_in_law": "brother-in-law",
}
RELATIONS = {word: name for name, all_words in _RELATIONS.items() for word in all_words.split()}
"""Each word for a relation, with the name that keys use."""

RELATION_ADJECTIVES = "older younger elder big little oldest youngest twin best middle".split()
"""They tell two of a relation apart, and are part of the key."""

PASSED_OVER_ADJECTIVES = "late dear own new lovely beloved".split()

RELATION_PLURALS = {
    "brothers": "brothers",
    "sisters": "sisters",
    "siblings": "siblings",
    "sons": "sons",
    "daughters": "daughters",
    "grandchildren": "grandchildren",
    "grandkids": "grandchildren",
    "cousins": "cousins",
}

HE = frozenset(
    "father brother husband boyfriend son grandfather grandson uncle nephew father_in_law "
    "brother_in_law".split()
)
SHE = frozenset(
    "mother sister wife girlfriend daughter grandmother granddaughter aunt niece mother_in_law "
    "sister_in_law".split()
)
"""Who is never "she", and who is never "he"."""

PETS = (
    "dog puppy cat kitten hamster rabbit parrot horse pony bird budgie turtle tortoise snake "
    "lizard fish goldfish ferret gecko chicken guinea-pig"
).split()

NOT_NAMES = frozenset(
    """
    a about afraid again all alone american an angry asian at australian austrian back bad belgian
    bored brazilian british broke buddhist busy canadian catholic chinese christian close cold
    danish done dutch english european excited fine finnish french from german glad going good
    great greek happy here hindu hindi home hot hungry hurt in indian irish is italian japanese
    jewish just korean late leaving lost lucky mad me mexican muslim new next nice norwegian not
    nothing of off ok okay on out over polish portuguese pregnant proud ready right russian sad
    scared scottish serious sick single sleepy so sorry spanish still stuck sure swedish swiss
    the there tired to too turkish ukrainian up upset vegan vegetarian very welsh well with
    worried yes you your my our and but who that it it's its what dr doctor miss mr mrs ms prof
    professor
    """.split()
)
"""What may stand after "I'm" or "call me" and is nobody's name."""

JOBS = frozenset(
    """
    baker banker bartender beautician beekeeper biologist bookkeeper bouncer brewer builder ceo cfo
    chaplain chiropractor choreographer coder comedian composer conductor contractor counselor cto
    curator decorator dietitian diplomat diver doorman embalmer estimator fisher founder cofounder
    co-founder geneticist glazier goldsmith grocer groundskeeper handyman host hostess innkeeper
    inspector instructor interpreter inventor investor joiner linguist locksmith logger lobbyist
    machinist magician mathematician merchant missionary monk mortician nun nutritionist
    operator orderly owner paediatrician pediatrician planner plasterer podiatrist police-officer
    politician postman potter president printer proofreader prosecutor publisher ranger reporter
    restaurateur rigger sailor salesperson scaffolder seamstress sergeant shepherd shopkeeper
    solicitor sommelier steward stewardess stockbroker stonemason surveyor teller tiler trainer
    treasurer trucker underwriter upholsterer usher valet vicar watchmaker weaver winemaker
    woodworker
    accountant actor actress analyst architect artist assistant astronaut attendant barber barista
    blacksmith bricklayer butcher captain carpenter cashier chef chemist clerk coach consultant
    cook cop courier dancer dentist designer detective developer director doctor driver
    economist editor electrician engineer entrepreneur farmer firefighter fisherman florist
    freelancer gardener geologist guard guide hairdresser historian housewife illustrator intern
    janitor jeweller journalist judge lawyer lecturer librarian lifeguard manager masseuse mechanic
    midwife miner model musician nanny nurse officer optician optometrist painter paralegal
    paramedic pastor pharmacist photographer physician physicist physiotherapist pilot plumber poet
    policeman policewoman priest principal producer professor programmer psychiatrist
    psychologist realtor receptionist recruiter researcher roofer sailor salesman saleswoman
    scientist sculptor secretary singer soldier specialist statistician student supervisor surgeon
    tailor teacher technician temp therapist trader translator tutor undertaker vet veterinarian
    videographer waiter waitress welder writer zookeeper
    """.split()
)
JOB_ENDINGS = ("ologist", "ician", "smith", "worker", "keeper", "grapher", "maker", "officer")
NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen".split()
    )
}
TENS = {
    word: 20 + 10 * index
    for index, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())
}
ORDINALS = {
    word: 1 + index
    for index, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth "
        "twentieth".split()
    )
} | {"thirtieth": 30}
LANGUAGES = (
    "arabic bengali catalan chinese croatian czech danish dutch english farsi finnish french "
    "german greek gujarati hebrew hindi hungarian indonesian irish italian japanese korean "
    "mandarin cantonese norwegian polish portuguese punjabi romanian russian serbian spanish "
    "swahili swedish tagalog tamil thai turkish ukrainian urdu vietnamese welsh yoruba"
).split()


def number_of(text: str) -> int | None:
    """Return the number that digits or words below a hundred say; "a" is one.

    >>> number_of("eighty-one"), number_of("74"), number_of("an")
    (81, 74, 1)
    """
    said = text.casefold().replace("-", " ").split()
    if len(said) == 1 and said[0].isascii() and said[0].isdigit():
        return int(said[0])
    if said in (["a"], ["an"]):
        return 1
    if said and said[0] in TENS and len(said) <= 2:
        ones = NUMBER_WORDS.get(said[1], 100) if len(said) == 2 else 0
        return TENS[said[0]] + ones if ones < 10 else None
    return NUMBER_WORDS.get(said[0]) if len(said) == 1 else None
