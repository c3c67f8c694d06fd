"""PostgREST over one database."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import DevstackError
from devstack.install.postgrest import postgrest
from devstack.machine import Machine
from devstack.ports import LOOPBACK
from devstack.process import Launch
from devstack.servers.database import Database
from devstack.servers.http_probe import http_status
from devstack.servers.server import Server, wait_until
from devstack.workspace import Workspace

_MAX_ROWS = 1000
"""What a hosted project answers at most, until its owner changes it."""

_RELOAD_DEADLINE_S = 15.0
_RELOADED = b"Schema cache loaded"


@dataclass(frozen=True)
class PostgrestInfo:
    """How to reach PostgREST itself, with nothing in front of it.

    Attributes:
        url: http://HOST:PORT.
        admin_url: the same for its health checks, /live and /ready.
    """

    url: str
    admin_url: str


class Postgrest(Server):
    """PostgREST on loopback, as the role authenticator, for the schema public.

    Args:
        database: a database with Supabase's roles (`Postgres.create_supabase_database`).
        jwt_secret: what verifies tokens: a secret of at least 32 characters (HS256), or a
            JWK set.
        audience: the only ``aud`` that a token may name; any, as hosted, by default.
        machine: see `Server`.
        log_dir: see `Server`.
    """

    name = "postgrest"

    def __init__(
        self,
        database: Database,
        jwt_secret: str,
        *,
        audience: str | None = None,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(machine=machine, log_dir=log_dir)
        self._database = database
        self._jwt_secret = jwt_secret
        self._audience = audience

    @property
    def info(self) -> PostgrestInfo:
        """How to reach it."""
        api, admin = self._port("api"), self._port("admin")
        return PostgrestInfo(f"http://{LOOPBACK}:{api}", f"http://{LOOPBACK}:{admin}")

    def reload_schema(self) -> None:
        """Let PostgREST see new tables and functions, and wait until it does.

        Raises:
            DevstackError: it does not run, or did not reload in time.
        """
        # One reload may be under way that began before the latest change. They come one
        # after the other, so the second that ends from now on has begun after now.
        for _ in range(2):
            self._reload_once()

    def _reload_once(self) -> None:
        process = self._running_process()
        before = self._reloads()
        process.send_signal(signal.SIGUSR1)
        if not wait_until(lambda: self._reloads() > before, _RELOAD_DEADLINE_S, process):
            raise DevstackError(f"PostgREST did not reload its schema; see {self.log_file}")

    def _reloads(self) -> int:
        return self.log_file.read_bytes().count(_RELOADED)

    def _launch(self, workspace: Workspace) -> Launch:
        settings = {
            "PGRST_DB_URI": self._database.socket_url("authenticator"),
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public, extensions",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": str(_MAX_ROWS),
            "PGRST_JWT_SECRET": self._jwt_secret,
            "PGRST_SERVER_HOST": LOOPBACK,
            "PGRST_SERVER_PORT": str(self._port("api")),
            "PGRST_ADMIN_SERVER_PORT": str(self._port("admin")),
            "PGRST_LOG_LEVEL": "warn",
        }
        if self._audience is not None:
            settings["PGRST_JWT_AUD"] = self._audience
        command = [str(postgrest(self.machine))]
        return Launch(command, self.log_file, {**self._child_environ(), **settings}, workspace.path)

    def _answers(self) -> bool:
        return http_status(self._port("admin"), "/ready") == 200
