"""Several servers as one: started side by side, stopped together, described for clients."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from devstack.errors import CancelledStartError, DevstackError
from devstack.machine import Machine
from devstack.servers.livekit import LiveKitOptions, LiveKitServer
from devstack.servers.postgres import Postgres
from devstack.servers.redis import RedisServer
from devstack.servers.supabase import SupabaseProject
from devstack.termination import ExitOnSigterm

T = TypeVar("T")


class Service(str, Enum):
    """A part of the stack by the name that the command line takes.

    SUPABASE is a Postgres that looks like a hosted project, PostgREST and a gateway; it
    brings POSTGRES with it.
    """

    LIVEKIT = "livekit"
    REDIS = "redis"
    POSTGRES = "postgres"
    SUPABASE = "supabase"


class Stack:
    """The asked servers, running from the beginning of a ``with`` to its end.

    They end on an exception, on Ctrl-C and on SIGTERM as well (SIGTERM only where the stack
    is started in the main thread of a program that does not handle it itself), and on Linux
    with this process, however it ends. A Supabase project lies in the database ``postgres``.

    Args:
        services: what to start; everything by default.
        livekit: what is special about the LiveKit server.
        persistent_redis: see `RedisServer`.
        postgres_data_dir: where the database's data lies and stays; by default it is
            removed at the end.
        machine: where programs are found; this machine by default.
        log_dir: where logs go and stay; by default they are removed at the end, except the
            log of a server that failed.
    """

    def __init__(
        self,
        services: Collection[Service] = tuple(Service),
        *,
        livekit: LiveKitOptions | None = None,
        persistent_redis: bool = False,
        postgres_data_dir: Path | None = None,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        self._services = frozenset(services)
        self._livekit_options = livekit
        self._persistent_redis = persistent_redis
        self._data_dir = postgres_data_dir
        self._machine = (machine or Machine.current()).cancellable()
        self._log_dir = log_dir
        self._livekit: LiveKitServer | None = None
        self._redis: RedisServer | None = None
        self._postgres: Postgres | None = None
        self._supabase: SupabaseProject | None = None
        self._sigterm = ExitOnSigterm()

    @property
    def livekit(self) -> LiveKitServer:
        """The LiveKit server; DevstackError where it was not asked for."""
        return self._asked(self._livekit, Service.LIVEKIT)

    @property
    def redis(self) -> RedisServer:
        """The Redis server; DevstackError where it was not asked for."""
        return self._asked(self._redis, Service.REDIS)

    @property
    def postgres(self) -> Postgres:
        """The Postgres server; DevstackError where it was not asked for."""
        return self._asked(self._postgres, Service.POSTGRES)

    @property
    def supabase(self) -> SupabaseProject:
        """The Supabase project; DevstackError where it was not asked for."""
        return self._asked(self._supabase, Service.SUPABASE)

    def start(self) -> Stack:
        """Start what was asked for; what does not depend on each other side by side.

        Raises:
            ServiceUnavailableError: this machine cannot have one of the servers.
            ServerStartError: one of them ended or did not answer in time.
        """
        self._machine.cancelled.clear()
        self._sigterm.install()
        try:
            self._start_side_by_side()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything in reverse order; a no-op for what does not run."""
        self._sigterm.ignore()
        with ExitStack() as stops:
            stops.callback(self._sigterm.remove)
            for server in (self._redis, self._livekit, self._postgres, self._supabase):
                if server is not None:
                    stops.callback(server.stop)

    def check(self) -> None:
        """Notice a server that has ended by itself.

        Raises:
            ServerEndedError: one has.
        """
        for server in (self._livekit, self._redis, self._postgres, self._supabase):
            if server is not None:
                server.check()

    def environment(self) -> dict[str, str]:
        """Return the variables by which clients find the servers that run."""
        variables: dict[str, str] = {}
        if self._livekit is not None:
            livekit = self._livekit.info
            variables["LIVEKIT_URL"] = livekit.url
            variables["LIVEKIT_API_KEY"] = livekit.api_key
            variables["LIVEKIT_API_SECRET"] = livekit.api_secret
        if self._redis is not None:
            variables["REDIS_URL"] = self._redis.info.url
        if self._postgres is not None:
            variables["DATABASE_URL"] = self._postgres.info.url
        if self._supabase is not None:
            project = self._supabase.info
            variables["SUPABASE_URL"] = project.url
            variables["SUPABASE_SERVICE_ROLE_KEY"] = project.keys.service_role_key
            variables["SUPABASE_ANON_KEY"] = project.keys.anon_key
            variables["SUPABASE_JWT_SECRET"] = project.keys.jwt_secret
        return variables

    def __enter__(self) -> Stack:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _asked(self, server: T | None, service: Service) -> T:
        if server is None:
            raise DevstackError(f"this stack does not run {service.value}; ask for it at start")
        return server

    def _start_side_by_side(self) -> None:
        starts = self._independent_starts()
        with ThreadPoolExecutor(max(1, len(starts)), "devstack-start") as threads:
            futures = [threads.submit(start) for start in starts]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                _raise_first(futures)
            except BaseException:
                self._machine.cancelled.set()  # an install may have minutes to go
                raise

    def _independent_starts(self) -> list[Callable[[], object]]:
        starts: list[Callable[[], object]] = []
        machine, log_dir = self._machine, self._log_dir
        if Service.LIVEKIT in self._services:
            self._livekit = LiveKitServer(self._livekit_options, machine=machine, log_dir=log_dir)
            starts.append(self._livekit.start)
        if Service.REDIS in self._services:
            self._redis = RedisServer(
                persistent=self._persistent_redis, machine=machine, log_dir=log_dir
            )
            starts.append(self._redis.start)
        if self._services & {Service.POSTGRES, Service.SUPABASE}:
            self._postgres = Postgres(data_dir=self._data_dir, machine=machine, log_dir=log_dir)
            starts.append(self._start_database)
        return starts

    def _start_database(self) -> None:
        postgres = self.postgres.start()
        if Service.SUPABASE in self._services:
            postgres.make_supabase(postgres.info)
            project = SupabaseProject(postgres.info, machine=self._machine, log_dir=self._log_dir)
            self._supabase = project.start()


def _raise_first(futures: Collection[Future[object]]) -> None:
    """Raise what went wrong, rather than that something else was given up for it."""
    errors = [error for future in futures if future.done() and (error := future.exception())]
    errors.sort(key=lambda error: isinstance(error, CancelledStartError))
    if errors:
        raise errors[0]
