"""Stand-ins for the paid providers, which the real plugins talk to over loopback.

They check what they receive, so that a wrong request fails the test. A test ends with
``assert_no_faults()``, best in the fixture that made the stand-in.
"""

from tests.standins.brain import ScriptedBrain, echo
from tests.standins.chat_answer import Answer, Brain, Call, CallTools, Refuse, Say, call
from tests.standins.chat_request import ChatRequest, ToolResult
from tests.standins.deepgram import ConnectionDisturbance, DeepgramStandIn
from tests.standins.exchange import Disturbance, Exchange
from tests.standins.openai import OpenAIStandIn
from tests.standins.timing import Timing
from tests.standins.tones import VOICE_FREQUENCIES, dominant_frequency, voice_heard
from tests.standins.transcripts import KnownRecordings, Script

__all__ = [
    "VOICE_FREQUENCIES",
    "Answer",
    "Brain",
    "Call",
    "CallTools",
    "ChatRequest",
    "ConnectionDisturbance",
    "DeepgramStandIn",
    "Disturbance",
    "Exchange",
    "KnownRecordings",
    "OpenAIStandIn",
    "Refuse",
    "Say",
    "Script",
    "ScriptedBrain",
    "Timing",
    "ToolResult",
    "call",
    "dominant_frequency",
    "echo",
    "voice_heard",
]
