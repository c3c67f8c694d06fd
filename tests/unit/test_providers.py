"""Which models a session gets from which settings."""

from __future__ import annotations

import pytest
from livekit.agents import inference, vad
from livekit.plugins import deepgram, openai

from assistant.providers import (
    Models,
    build_models,
    load_vad,
    missing_provider_key,
    speech_is_configured,
)
from assistant.scripted_model import ScriptedModel
from config import ProviderSettings, Settings

OPENAI = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
DEEPGRAM = {"DEEPGRAM_API_KEY": "x", "DEEPGRAM_BASE_URL": "http://127.0.0.1:1/v1/listen"}


def settings(**variables: str) -> ProviderSettings:
    return Settings.from_environment(variables).providers


def models(*, voice_id: str | None = None, language: str = "en", **variables: str) -> Models:
    given = settings(**variables)
    detector = load_vad() if speech_is_configured(given) else None
    return build_models(given, vad=detector, voice_id=voice_id, language=language)


@pytest.fixture
def livekit_keys(monkeypatch):
    """With which the framework by itself would choose LiveKit Cloud's services."""
    monkeypatch.setenv("LIVEKIT_URL", "wss://project.livekit.cloud")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "secret")


def test_without_any_key_the_scripted_model_answers_in_text_only():
    made = models()
    assert isinstance(made.llm, ScriptedModel)
    assert (made.stt, made.tts, made.vad, made.speaks) == (None, None, None, False)
    assert made.turn_handling["turn_detection"] == "manual"


def test_a_deepgram_key_alone_gives_no_speech_as_nothing_could_answer_aloud():
    made = models(**DEEPGRAM)
    assert isinstance(made.llm, ScriptedModel)
    assert (made.stt, made.tts, made.vad, made.speaks) == (None, None, None, False)


def test_with_both_keys_deepgram_hears_and_openai_thinks_and_speaks():
    made = models(**OPENAI, **DEEPGRAM)
    assert isinstance(made.stt, deepgram.STT)
    assert isinstance(made.llm, openai.LLM)
    assert isinstance(made.tts, openai.TTS)
    assert isinstance(made.vad, vad.VAD)
    assert made.speaks


def test_with_only_an_openai_key_openai_hears_too():
    made = models(**OPENAI)
    assert isinstance(made.stt, openai.STT)
    assert made.speaks


def test_each_model_has_the_name_that_the_settings_give():
    names = {
        "OPENAI_MODEL": "gpt-4.1-mini",
        "OPENAI_TTS_MODEL": "tts-1",
        "OPENAI_STT_MODEL": "whisper-1",
        "DEEPGRAM_MODEL": "nova-2",
    }
    both, only_openai = models(**OPENAI, **DEEPGRAM, **names), models(**OPENAI, **names)
    assert both.llm.model == "gpt-4.1-mini"
    assert both.tts is not None
    assert both.tts.model == "tts-1"
    assert both.stt is not None
    assert both.stt.model == "nova-2"
    assert only_openai.stt is not None
    assert only_openai.stt.model == "whisper-1"


def test_every_provider_is_reached_at_the_address_in_the_settings():
    both, only_openai = models(**OPENAI, **DEEPGRAM), models(**OPENAI)
    assert isinstance(both.stt, deepgram.STT)
    assert both.stt._opts.endpoint_url == "http://127.0.0.1:1/v1/listen"
    for model in (both.llm, both.tts, only_openai.stt):
        assert isinstance(model, openai.LLM | openai.TTS | openai.STT)
        assert str(model._client.base_url).rstrip("/") == "http://127.0.0.1:1/v1"


def test_without_an_address_the_providers_own_is_used():
    made = models(OPENAI_API_KEY="sk-x", DEEPGRAM_API_KEY="x")
    assert isinstance(made.stt, deepgram.STT)
    assert isinstance(made.llm, openai.LLM)
    assert made.stt._opts.endpoint_url == "https://api.deepgram.com/v1/listen"
    assert made.llm._client.base_url.host == "api.openai.com"


@pytest.mark.parametrize(
    ("voice_id", "expected"), [(None, "verse"), ("nova", "nova")], ids=["settings", "session"]
)
def test_the_sessions_voice_wins_over_the_settings(voice_id, expected):
    made = models(voice_id=voice_id, OPENAI_TTS_VOICE="verse", **OPENAI)
    assert isinstance(made.tts, openai.TTS)
    assert made.tts._opts.voice == expected


def test_deepgram_is_given_the_whole_language_tag_and_openai_the_language():
    both = models(language="pt-BR", **OPENAI, **DEEPGRAM)
    only_openai = models(language="pt-BR", **OPENAI)
    assert isinstance(both.stt, deepgram.STT)
    assert both.stt._opts.language == "pt-BR"
    assert isinstance(only_openai.stt, openai.STT)
    assert only_openai.stt._opts.languages == ["pt"]


@pytest.mark.parametrize("variables", [{}, OPENAI, {**OPENAI, **DEEPGRAM}])
def test_interruptions_are_never_left_to_a_hosted_service(variables, livekit_keys):
    assert models(**variables).turn_handling["interruption"] == {"mode": "vad"}


def test_the_turn_detector_by_default_is_the_one_in_this_process(livekit_keys):
    detector = models(**OPENAI).turn_handling["turn_detection"]
    assert isinstance(detector, inference.TurnDetector)
    assert detector.model == "turn-detector-v1-mini"


def test_turns_can_be_left_to_the_voice_activity_detector():
    assert models(TURN_DETECTION="vad", **OPENAI).turn_handling["turn_detection"] == "vad"


@pytest.mark.parametrize(
    ("variables", "complains"),
    [({}, True), (DEEPGRAM, True), (OPENAI, False), ({"ALLOW_SCRIPTED_MODEL": "true"}, False)],
)
def test_production_needs_a_model_unless_the_scripted_one_is_allowed(variables, complains):
    sentence = missing_provider_key(settings(**variables)) or ""
    assert sentence.startswith("OPENAI_API_KEY: ") is complains
