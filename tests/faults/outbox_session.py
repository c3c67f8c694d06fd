"""A session that speaks until it is killed: ``python -m tests.faults.outbox_session``.

Arguments: the identity, the session's id, the number of the first turn. Each turn is written
to standard output when it is spoken, and again when the recorder has put it away.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time

from memory import memory_manager
from memory.recorder import Recorder, UserTurn
from session_context import set_session_generation, set_session_user
from storage import StoreThreads


async def speak(identity: str, session_id: str, first: int) -> None:
    set_session_user(identity)
    set_session_generation(0)
    recorder = Recorder(memory_manager, StoreThreads(2), session_id)
    recorder.start()
    number = first
    while True:
        tell(f"spoken {number}")
        recorder.hear(UserTurn(f"I like thing {number}", f"item-{number}", time.time()))
        if await recorder.flush(20):
            tell(f"appended {number}")
        await asyncio.sleep(random.uniform(0, 0.02))
        number += 1


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    asyncio.run(speak(sys.argv[1], sys.argv[2], int(sys.argv[3])))
