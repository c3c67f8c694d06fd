"""One database of a running Postgres: how to reach it, and SQL for its superuser."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

from devstack.ports import LOOPBACK

SUPERUSER = "postgres"
_CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True)
class Database:
    """A database by name.

    Attributes:
        name: its name.
        port: the server's TCP port, also part of its socket's name.
        socket_dir: the folder of the server's Unix socket; who may enter it needs no
            password.
        password: the superuser's password over TCP.
    """

    name: str
    port: int
    socket_dir: Path
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The superuser's URL over TCP."""
        return f"postgresql://{SUPERUSER}:{self.password}@{LOOPBACK}:{self.port}/{self.name}"

    def socket_url(self, role: str = SUPERUSER) -> str:
        """Return a role's URL over the Unix socket."""
        folder = quote(str(self.socket_dir), safe="")
        return f"postgresql://{role}@/{self.name}?host={folder}&port={self.port}"

    def execute(self, sql: str) -> None:
        """Run statements as superuser; several of them in one transaction.

        Raises:
            psycopg.Error: what the database says to them.
        """
        with psycopg.connect(
            self.socket_url(), autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
        ) as connection:
            connection.execute(sql.encode())

    def execute_file(self, path: Path) -> None:
        """Run a file of statements as superuser, in one transaction."""
        self.execute(path.read_text(encoding="utf-8"))
