"""How everybody in a room learns that the agent was cut off."""

from __future__ import annotations

INTERRUPTIONS = "voice_agent.interruptions"
"""The attribute of the agent's LiveKit participant that counts how often it was cut off while
it spoke. It changes once that is certain: speech that is only held back, and goes on, is not."""
