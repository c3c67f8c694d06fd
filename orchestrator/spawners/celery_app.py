"""The Celery application whose workers run agents, one session a task.

Start a worker with ``celery -A orchestrator.spawners.celery_app worker``. Its settings are read
when Celery first asks for its configuration, not at import.

A task says only which session it means: what is known of the session is read where it is kept.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import worker_process_init

from config import Settings
from orchestrator.spawners.celery_settings import NAME, TASK, configuration
from orchestrator.spawners.runners import Runners
from orchestrator.spawners.session_process import SessionProcess
from orchestrator.spawners.worker_shutdown import end_runners_on_shutdown

app = Celery(NAME, set_as_current=False)
app.add_defaults(lambda: configuration(Settings.from_environment()))
end_runners_on_shutdown()

_runners = Runners()


@app.task(name=TASK, bind=True)
def spawn_voice_agent(task: Any, session_id: str, attempt: int) -> str:
    """Run the agent of a session until it ends.

    Returns:
        How that went, for Celery's log.

    Raises:
        StateUnreachableError: the session cannot be asked for, and no agent was left running.
    """
    settings = Settings.from_environment()
    task_id = task.request.id
    process = SessionProcess(settings, _runners, session_id, attempt=attempt, task_id=task_id)
    result = process.run()
    _keep_warm()
    return result


@worker_process_init.connect
def _keep_warm(**_: Any) -> None:
    if Settings.from_environment().worker.idle_processes != 0:
        _runners.prepare()
