"""agent.py with a shutdown callback that never returns."""

from __future__ import annotations

import asyncio

from livekit.agents import JobContext, cli

import agent
from worker.server import Worker


async def entrypoint(ctx: JobContext) -> None:
    """Serve as agent.py does, and hang at the end."""

    async def hang() -> None:
        await asyncio.Event().wait()

    ctx.add_shutdown_callback(hang)
    await agent.entrypoint(ctx)


server = Worker(setup_fnc=agent.prewarm, preflight=lambda *_: None, preload=[])
server.rtc_session(entrypoint, on_request=server.admit)

if __name__ == "__main__":
    cli.run_app(server)
