"""A Postgres server of our own, and a fresh database for whoever wants one."""

from __future__ import annotations

import secrets
import signal
import threading
from pathlib import Path

import psycopg
from psycopg import sql

from devstack.errors import ServerStartError
from devstack.identity import OURSELVES, Identity, unprivileged_identity
from devstack.install.postgres import postgres_bin_dir
from devstack.machine import Machine
from devstack.ports import LOOPBACK
from devstack.process import Launch, ServerProcess
from devstack.servers.database import SUPERUSER, Database
from devstack.servers.process_tree import kill_with_children
from devstack.servers.server import Server
from devstack.workspace import Workspace, checked_socket_path

ROLES_SQL = Path(__file__).resolve().parent.parent / "supabase_roles.sql"
TEMPLATE = "supabase_template"

_INITDB_DEADLINE_S = 60.0
_MAX_CONNECTIONS = 50
_ACCESS = f"local all all trust\nhost all all {LOOPBACK}/32 scram-sha-256\n"
# A commit is written before it is acknowledged either way, so that no crash of Postgres
# loses it; only a crash of the whole machine would.
_NOT_DURABLE = ("fsync=off", "full_page_writes=off")


class Postgres(Server):
    """Postgres on loopback and on a Unix socket.

    The socket lies in a folder of this user's own and asks for no password; over TCP the
    superuser has a new password at every start, in `Database.url`.

    Args:
        durable: let commits survive a crash of the whole machine, at the cost of speed.
        data_dir: where the data lies and stays; made when it is empty. By default the data
            is removed at `stop`.
        machine: see `Server`.
        log_dir: see `Server`.
    """

    name = "postgres"

    def __init__(
        self,
        *,
        durable: bool = False,
        data_dir: Path | None = None,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(machine=machine, log_dir=log_dir)
        self._durable = durable
        self._kept_data_dir = data_dir.absolute() if data_dir else None
        self._bin_dir = Path()
        self._socket_dir = Path()
        self._identity: Identity = OURSELVES
        self._password = secrets.token_urlsafe(24)
        self._template_lock = threading.Lock()

    @property
    def info(self) -> Database:
        """The database ``postgres``, which always exists."""
        return self.database(SUPERUSER)

    def database(self, name: str) -> Database:
        """Return how to reach a database of this server."""
        return Database(name, self._port("postgres"), self._socket_dir, self._password)

    def create_database(self, template: str = "template1") -> Database:
        """Make a database, empty or as a copy of another one that nobody is connected to.

        Args:
            template: the database to copy.

        Returns:
            The new database, whose name is made up.
        """
        name = f"db_{secrets.token_hex(6)}"
        self._execute("create database {} template {}", name, template)
        return self.database(name)

    def create_supabase_database(self) -> Database:
        """Make a database that looks like a Supabase project before its first migration."""
        with self._template_lock:
            if not self._exists(TEMPLATE):
                draft = self.create_database()
                self.make_supabase(draft)
                self._execute("alter database {} rename to {}", draft.name, TEMPLATE)
        return self.create_database(TEMPLATE)

    def make_supabase(self, database: Database) -> None:
        """Give a database the roles, schemas and functions of a Supabase project."""
        database.execute_file(ROLES_SQL)

    def drop_database(self, database: Database) -> None:
        """Remove a database, ending whatever connections it has."""
        self._execute("drop database if exists {} with (force)", database.name)

    def kill(self) -> None:
        """End Postgres with all its processes at once, as a crash of it would."""
        if self.running:
            kill_with_children(self.pid)
        super().kill()

    def _prepare(self, workspace: Workspace) -> None:
        self._bin_dir = postgres_bin_dir(self.machine)
        self._identity = unprivileged_identity(self._bin_dir / "postgres")
        self._identity.give(workspace.path)
        self._socket_dir = workspace.path
        checked_socket_path(workspace.path / f".s.PGSQL.{self._port('postgres')}")
        access_file = workspace.path / "pg_hba.conf"
        access_file.write_text(_ACCESS, encoding="ascii")
        self._identity.give(access_file)
        if not (self._data_dir(workspace) / "PG_VERSION").exists():
            self._make_cluster(workspace)

    def _data_dir(self, workspace: Workspace) -> Path:
        return self._kept_data_dir or workspace.path / "data"

    def _make_cluster(self, workspace: Workspace) -> None:
        data_dir = self._data_dir(workspace)
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._identity.give(data_dir)
        command = [str(self._bin_dir / "initdb"), "--pgdata", str(data_dir)]
        command += ["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8"]
        command += ["--locale", "C.UTF-8", "--no-instructions"]
        command += [] if self._durable else ["--no-sync"]
        process = ServerProcess(self._as_postgres(command))
        process.start()
        try:
            process.wait(_INITDB_DEADLINE_S)
        finally:
            process.stop()
        if process.exit_code != 0:
            reason = f"could not make its data folder {data_dir}"
            raise ServerStartError(self.name, reason, self.log_file, process.last_log_lines())

    def _launch(self, workspace: Workspace) -> Launch:
        settings = [
            f"listen_addresses={LOOPBACK}",
            f"port={self._port('postgres')}",
            f"unix_socket_directories={workspace.path}",
            f"hba_file={workspace.path / 'pg_hba.conf'}",
            f"max_connections={_MAX_CONNECTIONS}",
            "dynamic_shared_memory_type=mmap",  # lies in the data folder and goes with it
            "timezone=UTC",
            *(() if self._durable else _NOT_DURABLE),
        ]
        command = [str(self._bin_dir / "postgres"), "-D", str(self._data_dir(workspace))]
        command += [part for setting in settings for part in ("-c", setting)]
        return self._as_postgres(command)

    def _as_postgres(self, command: list[str]) -> Launch:
        return Launch(
            command,
            self.log_file,
            self._child_environ(),
            identity=self._identity.guard_argument,
            stop_signal=signal.SIGINT,  # ends connections; SIGTERM would wait for them
            orphan_signal=signal.SIGQUIT,  # takes its children and shared memory with it
        )

    def _answers(self) -> bool:
        try:
            self.info.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def _configure(self) -> None:
        with psycopg.connect(self.info.socket_url(), autocommit=True) as connection:
            statement = sql.SQL("alter role {} password {}")
            connection.execute(statement.format(sql.Identifier(SUPERUSER), self._password))

    def _exists(self, database: str) -> bool:
        with psycopg.connect(self.info.socket_url()) as connection:
            query = "select from pg_database where datname = %s"
            return connection.execute(query, (database,)).fetchone() is not None

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.info.socket_url(), autocommit=True) as connection:
            identifiers = [sql.Identifier(name) for name in names]
            connection.execute(sql.SQL(statement).format(*identifiers))
