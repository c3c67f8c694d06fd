"""A Supabase project over one database: PostgREST behind its gateway, with keys."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from devstack.keys import SupabaseKeys
from devstack.machine import Machine
from devstack.servers.database import Database
from devstack.servers.postgrest import Postgrest
from devstack.servers.rest_gateway import RestGateway


@dataclass(frozen=True)
class SupabaseInfo:
    """How to reach a project.

    Attributes:
        url: http://HOST:PORT, what supabase-py is given.
        keys: its keys.
        database: the database behind it.
    """

    url: str
    keys: SupabaseKeys
    database: Database


class SupabaseProject:
    """PostgREST and its gateway, started and stopped together.

    Hosted projects have more (Auth, Storage, Realtime) that cannot be had here: sign users'
    tokens with `devstack.keys.mint_token`.

    Args:
        database: a database with Supabase's roles (`Postgres.create_supabase_database`).
        keys: the project's keys; new ones by default.
        audience: see `Postgrest`.
        machine: where programs are found; this machine by default.
        log_dir: where logs go; see `devstack.servers.server.Server`.

    Attributes:
        postgrest: PostgREST itself, to be killed and restarted in tests.
        gateway: the gateway itself.
        info: how to reach the project.
    """

    def __init__(
        self,
        database: Database,
        keys: SupabaseKeys | None = None,
        *,
        audience: str | None = None,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        keys = keys or SupabaseKeys.generate()
        self.postgrest = Postgrest(
            database,
            keys.verification_keys(),
            audience=audience,
            machine=machine,
            log_dir=log_dir,
        )
        upstream = self.postgrest.info.url
        self.gateway = RestGateway(upstream, keys, machine=machine, log_dir=log_dir)
        self.info = SupabaseInfo(self.gateway.url, keys, database)
        self._running = ExitStack()

    def start(self) -> SupabaseProject:
        """Start both, PostgREST first.

        Raises:
            ServiceUnavailableError: this machine cannot have PostgREST.
            ServerStartError: one of them ended or did not answer in time.
        """
        with ExitStack() as starting:
            starting.enter_context(self.postgrest)
            starting.enter_context(self.gateway)
            self._running = starting.pop_all()
        return self

    def stop(self) -> None:
        """Stop both; a no-op when they were not started."""
        self._running.close()

    def check(self) -> None:
        """Notice when one of them has ended by itself.

        Raises:
            ServerEndedError: it has.
        """
        self.postgrest.check()
        self.gateway.check()

    def reload_schema(self) -> None:
        """Let PostgREST see new tables and functions, and wait until it does."""
        self.postgrest.reload_schema()

    def __enter__(self) -> SupabaseProject:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
