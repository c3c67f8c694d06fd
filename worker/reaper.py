"""Ends the agents of this host that should not live any more, and says which are gone.

Part of the worker's own process (`reaping`), and a process of its own where wanted:
``python -m worker.reaper``. Several on one host get in nobody's way. A job ends by itself when
its session does; the reaper is for those that hang, and for those that were killed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from config import ConfigError, Settings
from connection_events import open_event_channel
from sessions import open_session_state
from worker.escalation import FAILURES, Reaper
from worker.owned_tasks import end_tasks
from worker.registry import Registry

logger = logging.getLogger("worker.reaper")

_CLOSE_DEADLINE_S = 3.0


async def reap(settings: Settings, stopped: asyncio.Event) -> None:
    """Watch the registered processes of this host until told to stop."""
    state = open_session_state(settings.sessions)
    events = open_event_channel(settings.sessions)
    registry = Registry(settings.store.data_dir)
    reaper = Reaper(registry, state, events, grace_s=settings.orchestrator.term_grace_s)
    running = asyncio.create_task(reaper.run(), name="reaper")
    waiting = asyncio.create_task(stopped.wait(), name="reaper's stop")
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks([running, waiting])
        await state.aclose()
        await events.aclose()
    if not running.cancelled():
        running.result()


@contextmanager
def reaping(settings: Settings) -> Iterator[None]:
    """Watch in a thread until the end of the ``with``; nothing where there is no Redis."""
    if settings.sessions.redis_url is None:
        yield
        return
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()

    def run() -> None:
        try:
            _run_logged(loop, settings, stopped)
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="reaper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stopped.set)
        thread.join(_CLOSE_DEADLINE_S)


def _run_logged(
    loop: asyncio.AbstractEventLoop, settings: Settings, stopped: asyncio.Event
) -> None:
    try:
        loop.run_until_complete(reap(settings, stopped))
    except Exception as error:
        FAILURES.labels(type(error).__name__).inc()
        logger.exception("[Cleanup] the reaper has ended")


async def _run_until_signalled(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await reap(settings, stopped)


def main() -> None:
    """Run as a process of its own until SIGTERM or SIGINT.

    Raises:
        SystemExit: a setting is missing or unusable, with one sentence.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        settings = Settings.from_environment()
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    if settings.sessions.redis_url is None:
        raise SystemExit("REDIS_URL: set it; without it nobody says which sessions have ended.")
    asyncio.run(_run_until_signalled(settings))


if __name__ == "__main__":
    main()
