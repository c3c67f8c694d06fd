"""How a job process ends when somebody signals it.

Job processes of the forkserver do not ignore SIGTERM: unhandled, it kills a call in
milliseconds, with no callback run. Here it shuts the job down in order, and where the job
hangs, it ends the process at the deadline. SIGINT is left to the worker, which hears the
terminal's Ctrl-C as well and shuts its jobs down itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from types import FrameType

from livekit.agents import JobContext

logger = logging.getLogger("worker.termination")


class Termination:
    """Ends this process's job on SIGTERM.

    Args:
        deadline_s: seconds a job may take to shut down before the process exits hard.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._job: JobContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Handle the signals. Call it in the main thread of a job process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def watch(self, job: JobContext) -> None:
        """From now on SIGTERM shuts this job down; before, it ends the idle process."""
        self._loop = asyncio.get_running_loop()
        self._job = job

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        if self._job is None or self._loop is None:
            os._exit(0)
        logger.info("job received SIGTERM; shutting down")
        timer = threading.Timer(self._deadline_s, self._exit_hard)
        timer.daemon = True
        timer.start()
        # A loop that waits for its sockets goes on waiting after a signal, unless woken.
        self._loop.call_soon_threadsafe(self._job.shutdown, "SIGTERM")

    def _exit_hard(self) -> None:
        logger.error("the job did not shut down in time; the process exits")
        os._exit(1)
