"""The Celery application whose workers run agents, one session a task.

Start a worker with ``celery -A orchestrator.spawners.celery_app worker``. Its settings are read
when Celery first asks for its configuration, not at import. Its queue and its control exchange
have names of their own, so that another application on the same broker is never asked.

A task says only which session it means: what is known of the session is read where it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery

from config import ConfigError, Settings
from orchestrator.spawners.session_process import SessionProcess
from orchestrator.spawners.worker_shutdown import end_runners_on_shutdown

TASK = "spawn_voice_agent"
_NAME = "voice-agent"
_QUEUE = "voice_agents"

_TIMEOUT_S = 1.0
_VISIBILITY_MARGIN_S = 3600


def configuration(settings: Settings) -> dict[str, Any]:
    """Return the configuration of Celery, for workers and for who sends them tasks.

    Raises:
        ConfigError: there is no Redis to keep the sessions in.
    """
    redis_url = settings.sessions.redis_url
    if redis_url is None:
        raise ConfigError("REDIS_URL: SPAWNER=celery needs it; sessions are kept there.")
    return {
        "broker_url": settings.orchestrator.celery_broker_url or redis_url,
        "broker_connection_timeout": _TIMEOUT_S,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            # A task not acknowledged for that long would be given to a second worker.
            "visibility_timeout": settings.sessions.max_session_s + _VISIBILITY_MARGIN_S,
            "socket_connect_timeout": _TIMEOUT_S,
            "socket_timeout": 5 * _TIMEOUT_S,
        },
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,  # the watchdog sends another, if it is still wanted
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": _QUEUE,
        "control_exchange": _NAME,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # calls go on without it
    }


def build_app(configure: Callable[[], dict[str, Any]]) -> Celery:
    """Return a Celery application with our task.

    Args:
        configure: gives the configuration, once it is needed.
    """
    made = Celery(_NAME, set_as_current=False)
    made.add_defaults(configure)

    @made.task(name=TASK, bind=True)
    def spawn_voice_agent(task: Any, session_id: str, attempt: int) -> str:
        """Run the agent of a session until it ends; returns how that went, for the log."""
        settings = Settings.from_environment()
        process = SessionProcess(settings, session_id, attempt=attempt, task_id=task.request.id)
        return process.run()

    return made


app = build_app(lambda: configuration(Settings.from_environment()))
end_runners_on_shutdown()
