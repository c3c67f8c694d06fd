"""The whole system in development mode, as ``make run`` has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.machine import Machine
from devstack.ports import free_port
from devstack.servers.livekit import LiveKitInfo, LiveKitOptions
from devstack.servers.orchestrator import Orchestrator, webhook_url
from devstack.servers.worker import AGENT, Worker
from devstack.stack import Service, Stack

_SETTINGS = {
    # Nameless, so that every room gets the agent, also one that a plain token makes.
    "LIVEKIT_AGENT_NAME": "",
    # Whatever the developer's .env says for a deployment elsewhere.
    "LIVEKIT_PUBLIC_URL": "",
    "SPAWNER": "livekit",
    # One address makes all calls here: the default is for many.
    "RATE_LIMIT": "6000/minute",
    "WEBHOOK_ALLOW_UNSIGNED": "",
}


@dataclass(frozen=True)
class Development:
    """What runs.

    Attributes:
        stack: LiveKit and Redis.
        worker: the worker, which serves every room.
        orchestrator: the orchestrator, which LiveKit's webhooks reach.
    """

    stack: Stack
    worker: Worker
    orchestrator: Orchestrator

    @property
    def livekit(self) -> LiveKitInfo:
        """How to reach LiveKit."""
        return self.stack.livekit.info

    def check(self) -> None:
        """Notice a server that has ended by itself.

        Raises:
            ServerEndedError: one has.
        """
        self.stack.check()
        self.worker.check()
        self.orchestrator.check()


@contextmanager
def development(
    settings: Mapping[str, str] | None = None,
    *,
    port: int | None = None,
    webhooks_at: str | None = None,
    persistent_redis: bool = False,
    entrypoint: Path = AGENT,
    machine: Machine | None = None,
    log_dir: Path | None = None,
) -> Iterator[Development]:
    """Run LiveKit, Redis, a worker and an orchestrator that know each other.

    Args:
        settings: further variables of worker and orchestrator, such as DATA_DIR.
        port: the orchestrator's; a free one by default.
        webhooks_at: the URL that LiveKit sends its webhooks to instead of the orchestrator's.
        persistent_redis: see `devstack.servers.redis.RedisServer`.
        entrypoint: see `devstack.servers.worker.Worker`.
        machine: whose variables and programs they get; this machine's by default.
        log_dir: where logs go and stay; see `devstack.servers.server.Server`.

    Raises:
        ServiceUnavailableError: this machine cannot have one of the servers.
        ServerStartError: one of them ended or did not answer in time.
    """
    port = port or free_port()
    livekit = LiveKitOptions(webhook_urls=[webhooks_at or webhook_url(port)])
    servers = Stack(
        {Service.LIVEKIT, Service.REDIS},
        livekit=livekit,
        persistent_redis=persistent_redis,
        machine=machine,
        log_dir=log_dir,
    )
    with servers as stack:
        shared = {**_SETTINGS, "REDIS_URL": stack.redis.info.url, **(settings or {})}
        info = stack.livekit.info
        work = {"IDLE_PROCESSES": "1", **shared}
        worker = Worker(info, work, entrypoint=entrypoint, machine=machine, log_dir=log_dir)
        orchestrator = Orchestrator(info, shared, port=port, machine=machine, log_dir=log_dir)
        with worker, orchestrator:
            yield Development(stack, worker, orchestrator)
