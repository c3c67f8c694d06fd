"""agent.py, but for its session: it hosts remote control, which agent.py turns off."""

from __future__ import annotations

from typing import Any

from livekit.agents import AgentSession, JobContext, cli

import agent
from worker.server import Worker


def _start_hosted(session: AgentSession[None], *arguments: Any, **options: Any) -> Any:
    return _start(session, *arguments, **{**options, "session_host": True})


_start = AgentSession.start


async def entrypoint(ctx: JobContext) -> None:
    """Serve as agent.py does, with remote control."""
    AgentSession.start = _start_hosted  # type: ignore[assignment, method-assign]
    await agent.entrypoint(ctx)


server = Worker(setup_fnc=agent.prewarm, preflight=lambda *_: None, preload=[])
server.rtc_session(entrypoint, on_request=server.admit)

if __name__ == "__main__":
    cli.run_app(server)
