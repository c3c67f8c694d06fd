"""Which models hear, think and speak in one session, from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from livekit.agents import NOT_GIVEN, inference, llm, stt, tts, vad
from livekit.agents.voice.turn import TurnHandlingOptions
from livekit.plugins import deepgram, openai, silero

from assistant.scripted_model import ScriptedModel
from config import ProviderSettings


@dataclass(frozen=True)
class Models:
    """The models of one session; a missing one is None.

    Attributes:
        speaks: whether people can talk to it; otherwise the session is text only.
    """

    llm: llm.LLM[Any]
    stt: stt.STT[Any] | None
    tts: tts.TTS[Any] | None
    vad: vad.VAD | None
    turn_handling: TurnHandlingOptions

    @property
    def speaks(self) -> bool:
        """Whether the session has ears and a voice."""
        return self.stt is not None and self.tts is not None


def missing_provider_key(settings: ProviderSettings) -> str | None:
    """Return the sentence that names what production lacks, or None."""
    if settings.openai_api_key is None and not settings.allow_scripted_model:
        return (
            "OPENAI_API_KEY: set it to an OpenAI key, or set ALLOW_SCRIPTED_MODEL=true "
            "to run with the scripted demo model."
        )
    return None


def speech_is_configured(settings: ProviderSettings) -> bool:
    """Tell whether there are models to hear and to speak with."""
    return settings.openai_api_key is not None


def load_vad() -> vad.VAD:
    """Load the voice activity detector; its model file is part of the plugin."""
    return silero.VAD.load()


def build_models(
    settings: ProviderSettings, *, vad: vad.VAD | None, voice_id: str | None, language: str
) -> Models:
    """Make the models of one session.

    Args:
        settings: keys, addresses and model names.
        vad: loaded when the process was warmed up, or None.
        voice_id: the TTS voice of this session only, or None for the configured one.
        language: a BCP 47 tag.
    """
    hearing = _stt(settings, language)
    voice = _tts(settings, voice_id)
    speaks = hearing is not None and voice is not None
    return Models(
        llm=_llm(settings),
        stt=hearing if speaks else None,
        tts=voice if speaks else None,
        vad=vad if speaks else None,
        turn_handling=_turn_handling(settings, speaks=speaks),
    )


def build_fact_llm(settings: ProviderSettings) -> llm.LLM[Any] | None:
    """Make a language model that reads facts, apart from the session's; None without a key."""
    if settings.openai_api_key is None:
        return None
    return openai.LLM(
        model=settings.openai_fact_model or settings.openai_model,
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url or NOT_GIVEN,
    )


def _llm(settings: ProviderSettings) -> llm.LLM[Any]:
    if settings.openai_api_key is None:
        return ScriptedModel()
    return openai.LLM(
        model=settings.openai_model,
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url or NOT_GIVEN,
    )


def _stt(settings: ProviderSettings, language: str) -> stt.STT[Any] | None:
    if settings.deepgram_api_key is not None:
        return deepgram.STT(
            model=settings.deepgram_model,
            language=language,
            api_key=settings.deepgram_api_key,
            base_url=settings.deepgram_base_url,
        )
    if settings.openai_api_key is not None:
        return openai.STT(
            model=settings.openai_stt_model,
            language=language.split("-", maxsplit=1)[0],
            api_key=settings.openai_api_key,
            base_url=settings.openai_base_url or NOT_GIVEN,
        )
    return None


def _tts(settings: ProviderSettings, voice_id: str | None) -> tts.TTS[Any] | None:
    if settings.openai_api_key is None:
        return None
    return openai.TTS(
        model=settings.openai_tts_model,
        voice=voice_id or settings.openai_tts_voice,
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url or NOT_GIVEN,
    )


def _turn_handling(settings: ProviderSettings, *, speaks: bool) -> TurnHandlingOptions:
    # Both pinned: left to themselves they choose LiveKit Cloud's hosted services wherever
    # LiveKit keys are set.
    options: TurnHandlingOptions = {"interruption": {"mode": "vad"}}
    if not speaks:
        options["turn_detection"] = "manual"
    elif settings.turn_detection == "model":
        options["turn_detection"] = inference.TurnDetector(version="v1-mini")
    else:
        options["turn_detection"] = "vad"
    return options
