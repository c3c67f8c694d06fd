"""agent.py with a switch: on a data packet the job ignores SIGTERM and blocks its loop."""

from __future__ import annotations

import signal
import time

from livekit import rtc
from livekit.agents import JobContext, cli

import agent
from worker.server import Worker

BLOCK = "block"


async def entrypoint(ctx: JobContext) -> None:
    """Serve as agent.py does, until somebody blocks it."""

    def on_data(packet: rtc.DataPacket) -> None:
        if packet.topic == BLOCK:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(60)

    ctx.room.on("data_received", on_data)
    await agent.entrypoint(ctx)


server = Worker(
    setup_fnc=agent.prewarm,
    preflight=lambda *_: None,
    preload=["assistant.conversation", "assistant.providers", "worker.server"],
    alongside=agent._alongside,
)
server.rtc_session(entrypoint, on_request=server.admit)

if __name__ == "__main__":
    cli.run_app(server)
