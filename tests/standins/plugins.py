"""The real plugins, pointed at the stand-ins."""

from __future__ import annotations

from typing import Any

import aiohttp
from livekit.plugins import deepgram as deepgram_plugin
from livekit.plugins import openai as openai_plugin

from tests.standins.deepgram import DeepgramStandIn
from tests.standins.openai import OpenAIStandIn


def deepgram_stt(
    deepgram: DeepgramStandIn, session: aiohttp.ClientSession, **options: Any
) -> deepgram_plugin.STT:
    """Return Deepgram's speech recognition; the session is the caller's to close."""
    return deepgram_plugin.STT(
        base_url=deepgram.base_url, api_key=deepgram.api_key, http_session=session, **options
    )


def openai_llm(openai: OpenAIStandIn, **options: Any) -> openai_plugin.LLM:
    """Return OpenAI's chat model; the caller closes it."""
    options = {"model": "gpt-4.1-mini", **options}
    return openai_plugin.LLM(base_url=openai.base_url, api_key=openai.api_key, **options)


def openai_tts(openai: OpenAIStandIn, **options: Any) -> openai_plugin.TTS:
    """Return OpenAI's speech; the caller closes it."""
    return openai_plugin.TTS(base_url=openai.base_url, api_key=openai.api_key, **options)


def openai_stt(openai: OpenAIStandIn, **options: Any) -> openai_plugin.STT:
    """Return OpenAI's speech recognition; the caller closes it, and its client."""
    return openai_plugin.STT(base_url=openai.base_url, api_key=openai.api_key, **options)
