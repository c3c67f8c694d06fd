"""agent.py with probes: wherever code of a job can run, it notes whom that code sees.

The notes are lines of JSON in the file that PROBE_FILE names.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading

from livekit import rtc
from livekit.agents import JobContext, cli

import agent
from session_context import (
    SessionContextError,
    get_current_user,
    get_session_identity,
    set_session_user,
)
from worker.server import Worker


def _note(room: str, path: str) -> None:
    try:
        seen = get_current_user()
    except SessionContextError as error:
        seen = type(error).__name__
    line = json.dumps(
        {"room": room, "path": path, "user": seen, "identity": get_session_identity()}
    )
    with open(os.environ["PROBE_FILE"], "a", encoding="utf-8") as notes:  # noqa: PTH123
        notes.write(f"{line}\n")


async def entrypoint(ctx: JobContext) -> None:
    """Serve as agent.py does, with probes set before and after it connects."""
    room = ctx.job.room.name
    _note(room, "before anybody is bound")
    bound = asyncio.Event()
    ctx.room.on("data_received", lambda _: _note(room, "room event"))

    async def at_shutdown() -> None:
        _note(room, "shutdown callback")

    ctx.add_shutdown_callback(at_shutdown)
    await agent.entrypoint(ctx)

    async def whoami(data: rtc.RpcInvocationData) -> str:
        _note(room, "rpc handler")
        in_thread = threading.Thread(target=_note, args=(room, "raw thread"))
        in_thread.start()
        await asyncio.to_thread(in_thread.join)
        await asyncio.get_running_loop().run_in_executor(None, _note, room, "executor")
        await asyncio.to_thread(_note, room, "to_thread")
        try:
            set_session_user("mallory@example.com")
        except SessionContextError as error:
            _note(room, f"after {type(error).__name__}")
        bound.set()
        return get_current_user()

    ctx.room.local_participant.register_rpc_method("whoami", whoami)


async def on_session_end(ctx: JobContext) -> None:
    """Note whom the end of the session sees."""
    _note(ctx.job.room.name, "session end")


server = Worker(setup_fnc=agent.prewarm, preflight=lambda *_: None, preload=[])
server.rtc_session(entrypoint, on_request=server.admit, on_session_end=on_session_end)

if __name__ == "__main__":
    cli.run_app(server)
