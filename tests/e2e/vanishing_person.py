"""Somebody who joins, hears the greeting, says so, and stays until they are killed.

python -m tests.e2e.vanishing_person URL TOKEN [QUESTION]

The question is typed after the greeting; what is answered to it is not waited for.
"""

from __future__ import annotations

import asyncio
import sys

from devstack.participant import Participant
from devstack.servers.livekit import LiveKitInfo


async def main(url: str, token: str, question: str = "") -> None:
    async with Participant(LiveKitInfo(url, "", "", ""), token) as person:
        sys.stdout.write(f"{(await person.hear(60)).speaker}\n")
        sys.stdout.flush()
        if question:
            await person.type(question)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
