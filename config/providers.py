"""Settings of the models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from config.kinds import Group, HttpUrl, Language, TimeZone


class ProviderSettings(Group):
    """Which models hear, think and speak, and how to reach them."""

    openai_api_key: str | None = Field(None, alias="OPENAI_API_KEY", repr=False)
    openai_base_url: HttpUrl | None = Field(None, alias="OPENAI_BASE_URL")
    openai_model: str = Field("gpt-5.4-mini", alias="OPENAI_MODEL")
    openai_fact_model: str | None = Field(None, alias="OPENAI_FACT_MODEL")
    openai_stt_model: str = Field("gpt-transcribe", alias="OPENAI_STT_MODEL")
    openai_tts_model: str = Field("gpt-4o-mini-tts", alias="OPENAI_TTS_MODEL")
    openai_tts_voice: str = Field("alloy", alias="OPENAI_TTS_VOICE")
    deepgram_api_key: str | None = Field(None, alias="DEEPGRAM_API_KEY", repr=False)
    deepgram_base_url: HttpUrl = Field(
        "https://api.deepgram.com/v1/listen", alias="DEEPGRAM_BASE_URL"
    )
    deepgram_model: str = Field("nova-3", alias="DEEPGRAM_MODEL")
    turn_detection: Literal["model", "vad"] = Field("model", alias="TURN_DETECTION")
    allow_scripted_model: bool = Field(False, alias="ALLOW_SCRIPTED_MODEL")
    language: Language = Field("en", alias="AGENT_LANGUAGE")
    time_zone: TimeZone = Field("UTC", alias="AGENT_TIME_ZONE")
