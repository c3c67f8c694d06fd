"""What the model can do for a person with what is kept of them.

No tool has a parameter that names a person: whose data it touches comes from the session.
"""

from __future__ import annotations

from livekit.agents.llm import Tool, find_function_tools

from assistant.tools.control_tools import ControlTools, Erasing
from assistant.tools.forget_tools import ForgetTools
from assistant.tools.memory_tools import MemoryTools
from assistant.tools.profile_tools import ProfileTools
from assistant.tools.session import ToolSession

__all__ = ["Erasing", "ToolSession", "person_tools"]


def person_tools(session: ToolSession, erasing: Erasing | None) -> list[Tool]:
    """Return the tools of one session.

    Args:
        session: what they share.
        erasing: how to forget everything; None where that is not possible.
    """
    groups = (
        MemoryTools(session),
        ForgetTools(session),
        ProfileTools(session),
        ControlTools(session, erasing),
    )
    found = [tool for group in groups for tool in find_function_tools(group)]
    return [tool for tool in found if erasing is not None or tool.id != "forget_everything"]
