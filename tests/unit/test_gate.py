"""Which of the things a person says are memories, and why the others are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.gate import Heard, Verdict, judge
from memory.speech import MOST_CHARACTERS, clauses, in_full, plain, sentences, words


@pytest.mark.parametrize(
    "text",
    [
        "Did you know I moved to Lyon?",
        "did you know that my sister is a doctor",
        "Can you recommend something, because I'm vegetarian?",
        "I live in Lyon, can you tell me the weather?",
        "What about you? I'm a nurse.",
        "I told you I was afraid of flying, didn't I?",
        "Please remember that I'm allergic to nuts.",
        "Call me Bea.",
        "It's on the twenty-seventh of September.",
        "When I was small we lived in Porto.",
        "She lives in Leeds.",
        "That's wrong, I live in Galway.",
        "\u4f60\u597d\uff0c\u6211\u53eb\u5b89\u5a1c",
    ],
)
def test_what_tells_something_of_the_person_is_kept_however_it_is_put(text):
    assert judge(Heard(text, agent_said="I see.")) is Verdict.KEPT


@pytest.mark.parametrize(
    "text",
    [
        "I want you to remember that my son is Leo",
        "I need you to know that I am diabetic",
        "I'd like you to remember my birthday is May 5",
        "I would like you to keep in mind I don't eat meat.",
        "Can you remember that I hate cilantro?",
        "Could you please remember that my wife is called Ana?",
        "Could you note that I moved to Porto",
        "Will you remember I'm allergic to nuts?",
        "Can I tell you that my mother died last week?",
        "Okay, let me tell you my name's Ben.",
        "May I say that I'm a vegetarian",
        "Would you believe I got married?",
    ],
)
def test_what_the_agent_is_asked_to_remember_is_kept(text):
    assert judge(Heard(text)) is Verdict.KEPT


@pytest.mark.parametrize(
    "text",
    [
        "Can you remember my birthday?",
        "Can you remember what I told you?",
        "I want you to know my secret",
        "I want you to remember everything",
        "Could you note that down",
        "Can I tell you something?",
        "Can you tell my mother a joke?",
        "Could you remember that?",
        "Let me tell you a joke",
    ],
)
def test_asking_whether_the_agent_remembers_tells_nothing(text):
    assert judge(Heard(text)) in (Verdict.QUESTION, Verdict.REQUEST)


@pytest.mark.parametrize(
    "text",
    [
        "What's the weather like?",
        "whats the capital of peru",
        "Can you tell me a joke?",
        "do you have friends",
        "And my favorite color?",
        "Where was I?",
        "Um, so, what did I tell you about my brother?",
        "Should I do it?",
    ],
)
def test_a_question_to_the_agent_is_no_memory(text):
    assert judge(Heard(text)) is Verdict.QUESTION


@pytest.mark.parametrize(
    "text",
    [
        "Set a timer for ten minutes.",
        "forget that",
        "don't tell anyone",
        "Tell me what you know about me.",
        "I'd like to know how to start.",
        "Let's change the subject.",
        "Pretend I am a pirate.",
        "please repeat that",
    ],
)
def test_a_request_to_the_agent_is_no_memory(text):
    assert judge(Heard(text)) is Verdict.REQUEST


@pytest.mark.parametrize(
    "text", ["That's very kind of you.", "You're the best.", "just kidding", "I guess so"]
)
def test_a_reaction_is_no_memory(text):
    assert judge(Heard(text)) is Verdict.REACTION


def test_a_word_is_an_answer_where_the_agent_asked_and_else_a_comment():
    assert judge(Heard("Lyon", agent_said="Where do you live?")) is Verdict.KEPT
    assert judge(Heard("Deep.", agent_said="Follow your heart.")) is Verdict.REACTION


@pytest.mark.parametrize(
    ("text", "agent_said"),
    [
        ("Green it is.", "Green it is."),
        ("that Theo builds boats", "I know that Theo builds boats in Split. Anything else?"),
        ("so you want to go to the see on sunday", "So you want to go to the sea on Sunday!"),
    ],
)
def test_the_agents_own_words_are_no_memory(text, agent_said):
    assert judge(Heard(text, agent_said)) is Verdict.ECHO


@pytest.mark.parametrize(
    ("text", "agent_said"),
    [
        ("tea with milk", "Would you like tea with milk, or rather a coffee?"),
        ("I live in Lyon with my sister", "So you live in Lyon with your sister?"),
        ("no, my sister is called Ana", "I know, my sister is called Anna."),
        ("in March", "It was in March."),
    ],
)
def test_an_answer_and_a_correction_in_the_agents_words_are_kept(text, agent_said):
    assert judge(Heard(text, agent_said)) is Verdict.KEPT


def test_what_recall_brought_up_is_not_kept_again():
    recalled = ("I love painting by the river",)
    text = "I love painting by the river!"
    assert judge(Heard(text, recalled=recalled)) is Verdict.RECALLED
    assert judge(Heard("I love painting", recalled=recalled)) is Verdict.KEPT


@pytest.mark.parametrize(
    ("text", "confidence", "verdict"),
    [
        ("she's asleep and I should", 0.5, Verdict.UNCLEAR),
        ("she's asleep and I should", 0.9, Verdict.KEPT),
        ("I live in Lyon.", 0.5, Verdict.KEPT),
        ("I live in Lyon.", 0.2, Verdict.UNCLEAR),
        ("the river of blah", 0.5, Verdict.UNCLEAR),
        ("the river of blah", None, Verdict.KEPT),
        ("because she always", None, Verdict.KEPT),
        ("because my", None, Verdict.UNCLEAR),
    ],
)
def test_half_sentences_that_were_badly_heard_are_not_kept(text, confidence, verdict):
    assert judge(Heard(text, confidence=confidence), 0.6) is verdict


def test_a_recogniser_that_reports_no_confidence_is_not_judged_by_it():
    assert judge(Heard("the river of blah", confidence=0.0)) is Verdict.KEPT


def test_the_least_confidence_can_be_set():
    heard = Heard("the river of blah", confidence=0.5)
    assert judge(heard, 0.4) is Verdict.KEPT
    assert judge(heard, 1.0) is Verdict.UNCLEAR


@given(st.text(), st.text(), st.none() | st.floats(0, 1), st.lists(st.text(), max_size=3))
def test_every_text_has_a_verdict(text, agent_said, confidence, recalled):
    assert judge(Heard(text, agent_said, confidence, recalled)) in Verdict


@given(st.text(alphabet="I i'm my, .?!andbutdo notyou uhum-", max_size=400))
def test_every_text_of_the_words_that_rules_look_for_has_a_verdict(text):
    assert judge(Heard(text, text)) in Verdict
    assert isinstance(in_full(plain(text)), str)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    ["I am ", "my my ", ", and I ", "uh, ", "no, ", "what ", "a.", "aaaa", "' ", "\n", "did "],
)
def test_a_very_long_text_takes_no_time_to_speak_of(piece):
    text = piece * (400_000 // len(piece))
    for _ in range(5):
        assert judge(Heard(text, text, 0.5, (text,))) in Verdict


def test_hesitations_and_repetitions_are_taken_out():
    assert plain("Well, my, my name is, uh, Bernard.") == "Well, my name is Bernard."
    assert len(plain("x" * 100_000)) == MOST_CHARACTERS


def test_a_title_ends_no_sentence():
    assert sentences("Mrs. Patel came. She left!") == ["Mrs. Patel came.", "She left!"]


def test_a_clause_begins_where_a_subject_does():
    assert clauses("I'm Anna and I live in Lyon and work as a nurse.") == [
        *("I'm Anna", "I live in Lyon", "I work as a nurse")
    ]
    assert words("It\u2019s 5 o'clock!") == ["it's", "5", "o'clock"]
