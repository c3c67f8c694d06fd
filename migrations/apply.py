"""Applies the migrations that a database lacks: ``DATABASE_URL=... python -m migrations.apply``.

The files can be applied with psql as well (README.md): each is one transaction, notes itself
in ``voice_agent.schema_migrations``, and takes a lock that a second run waits for. All of them,
run again, change nothing; an older one alone brings back what later ones replaced, so that by
hand they are run in one transaction.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psycopg

FOLDER = Path(__file__).parent

_WAIT_FOR_OTHERS = "select pg_advisory_lock(hashtextextended('voice_agent.schema_migrations', 0))"
"""The lock that each file takes as well, held here from the first look to the last file."""


class MigrationError(Exception):
    """A migration could not be applied; the text names it and says why."""


def migration_files() -> list[Path]:
    """Return the migrations, in the order in which they are applied."""
    return sorted(FOLDER.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def apply(database_url: str) -> list[str]:
    """Apply what the database lacks.

    Args:
        database_url: a Postgres URL whose user may create tables in the schema public.

    Returns:
        The names of the migrations applied, in order; empty where all were there.

    Raises:
        MigrationError: the database cannot be reached, or refused a file. The files before
            it are applied, that one is not.
    """
    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(_WAIT_FOR_OTHERS)
            known = _applied(connection)
            lacking = [file for file in migration_files() if file.stem[:4] not in known]
            for file in lacking:
                _apply_file(connection, file)
    except psycopg.Error as error:
        raise MigrationError(f"DATABASE_URL: {error}") from error
    return [file.stem for file in lacking]


def main() -> int:
    """Apply the migrations to DATABASE_URL, say which, and return the exit status."""
    # From the environment: a command line, password and all, is seen by every user.
    database_url = os.environ.get("DATABASE_URL", "")
    if not database_url:
        sys.stderr.write("DATABASE_URL: set it to postgresql://user:password@host:5432/postgres\n")
        return 2
    try:
        applied = apply(database_url)
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name in applied:
        sys.stdout.write(f"applied {name}\n")
    if not applied:
        sys.stdout.write(f"nothing to apply: {len(migration_files())} migrations are there\n")
    return 0


def _applied(connection: psycopg.Connection[tuple[object, ...]]) -> set[str]:
    table = connection.execute("select to_regclass('voice_agent.schema_migrations')").fetchone()
    if table is None or table[0] is None:
        return set()
    rows = connection.execute("select version from voice_agent.schema_migrations").fetchall()
    return {str(row[0]) for row in rows}


def _apply_file(connection: psycopg.Connection[tuple[object, ...]], file: Path) -> None:
    try:
        connection.execute(file.read_text(encoding="utf-8").encode())
    except psycopg.Error as error:
        raise MigrationError(f"{file.name} was not applied: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
