"""A small client for /ws/voice: files in and out, or a microphone.

``python -m orchestrator.voice_client --help`` says how; docs/voice-websocket.md has the
protocol.
"""

from orchestrator.voice_client.client import ConversationOverError, Notice, VoiceClient

__all__ = ["ConversationOverError", "Notice", "VoiceClient"]
