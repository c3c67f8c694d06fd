"""The end of agents when their Celery worker shuts down.

A warm shutdown would wait for its tasks, so for conversations that last for hours. Here their
agents are told to end, in the worker's main process, and the tasks return.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import Any

import psutil
from celery.signals import worker_shutting_down

logger = logging.getLogger("orchestrator.celery")

_LOOK_EVERY_S = 0.2


def end_runners_on_shutdown() -> None:
    """From now on agents below this process end when its Celery worker begins to shut down."""
    worker_shutting_down.connect(_on_shutting_down, dispatch_uid="voice-agent")


def _on_shutting_down(**_: Any) -> None:
    # This is called from a signal handler. The thread goes on until the process ends, as a
    # task may begin while the worker shuts down.
    threading.Thread(target=_end_runners, name="end-runners", daemon=True).start()


def _end_runners() -> None:
    told: set[int] = set()
    while True:
        for each in psutil.Process().children(recursive=True):
            if each.pid not in told and _is_runner(each):
                told.add(each.pid)
                _terminate(each)
        time.sleep(_LOOK_EVERY_S)


def _is_runner(process: psutil.Process) -> bool:
    try:
        return "worker.runner" in process.cmdline()[1:3]
    except psutil.Error:
        return False


def _terminate(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGTERM)
    except psutil.NoSuchProcess:
        return
    logger.info("[Cleanup] the worker shuts down, and an agent with it", extra={"pid": process.pid})
