"""Supabase over PostgREST: the clients, and their driver's errors in our words.

One client a user over one shared connection pool: a client that is re-authenticated per
call leaks answers between threads, and a client without the shared pool costs a TLS
handshake. HTTP/1.1, because HTTP/2 streams fail under load behind hosted proxies.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

import httpx
from postgrest.exceptions import APIError
from supabase import Client, ClientOptions, create_client

from storage.deadline_transport import DeadlineTransport
from storage.errors import (
    MigrationsMissingError,
    StorageError,
    StorageRefusedError,
    StorageRejectedError,
    StorageUnavailableError,
)

_NOT_MIGRATED = frozenset({"PGRST202", "PGRST205", "42P01", "42883", "404"})
_ROW_BROKEN = ("22", "23", "PGRST102")
"""SQLSTATE classes 22 (data) and 23 (integrity): https://www.postgresql.org/docs/current/errcodes-appendix.html"""


T = TypeVar("T")


class Query(Protocol):
    """A built supabase-py query."""

    def execute(self) -> Any:
        """Send it; the answer carries ``data``."""


class SupabaseClients:
    """Makes the client with which a user's rows are read and written.

    Args:
        url: the project's URL; ``/rest/v1`` is appended by supabase-py.
        key: the service-role (or ``sb_secret_``) key, or another that the database accepts.
        timeout_s: seconds for a whole request, answer included.
    """

    def __init__(self, url: str, key: str, *, timeout_s: float) -> None:
        self._http = httpx.Client(
            transport=DeadlineTransport(total_s=timeout_s),
            follow_redirects=False,
            event_hooks={"response": [_raise_if_refused]},
        )
        options = ClientOptions(
            httpx_client=self._http, auto_refresh_token=False, persist_session=False
        )
        self._shared = create_client(url, key, options=options)

    def client_for(self, user_uuid: str) -> Client:
        """Return the client that acts for ``user_uuid``.

        With a service-role key it is one client for all: the key carries no user, and
        every query of the stores names its user.
        """
        del user_uuid
        return self._shared

    def service_client(self) -> Client:
        """Return the client of the service role, for what concerns more than one person."""
        return self._shared

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def execute(query: Query, read: Callable[[Any], T]) -> T:
    """Send a query and return what ``read`` makes of its data.

    Raises:
        StorageUnavailableError: no answer in time, an answer that is not the database's, or
            the database cannot work now.
        StorageRefusedError: the key may not do this.
        MigrationsMissingError: a table or function of ours is not there.
        StorageRejectedError: the row breaks a rule for good.
    """
    try:
        return read(query.execute().data)
    except APIError as error:
        raise _in_our_words(error) from error
    except httpx.HTTPError as error:
        raise StorageUnavailableError(
            f"Supabase did not answer ({type(error).__name__}); check SUPABASE_URL and its state"
        ) from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StorageUnavailableError(
            "SUPABASE_URL answers, but not as a Supabase project does; check it"
        ) from error


def rows(data: Any) -> list[dict[str, Any]]:
    """Read an answer that is a list of rows.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise TypeError("not a list of rows")
    return data


def read_time(text: str) -> datetime:
    """Read a timestamptz as PostgREST writes it: ``2026-01-02T03:04:05.6+00:00``."""
    # Postgres leaves out trailing zeros of the fraction, which Python 3.10 cannot read.
    head, zone = text[:19], text[-6:]
    fraction = text[19:-6].lstrip(".").ljust(6, "0")
    return datetime.fromisoformat(f"{head}.{fraction}{zone}")


def _raise_if_refused(response: httpx.Response) -> None:
    # The gateway's refusals of a key carry no code of the database's.
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise StorageRefusedError(
            f"the database refused the key ({response.status_code}); "
            "set SUPABASE_SERVICE_ROLE_KEY to a key that may write"
        )


def _in_our_words(error: APIError) -> StorageError:
    code = str(error.code or "")
    if code in _NOT_MIGRATED:
        return MigrationsMissingError(
            f"the database lacks our tables or functions ({code}); "
            "run make migrate DATABASE_URL=... and try again"
        )
    if code.startswith(_ROW_BROKEN):
        return StorageRejectedError(f"the database refused the row for good ({code})")
    return StorageUnavailableError(f"Supabase cannot work now ({code or 'no code'})")
