"""Supabase over PostgREST: the clients, and their driver's errors in our words.

One client a user over one shared connection pool: a client that is re-authenticated per
call leaks answers between threads, and a client without the shared pool costs a TLS
handshake. HTTP/1.1, because HTTP/2 streams fail under load behind hosted proxies.

Where tokens are minted, a user's client carries their token and is never changed: a renewed
token comes in a new client, and whoever holds the old one goes on with a token that is good
for longer than any request takes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
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
from storage.user_tokens import UserTokens

MOST_CLIENTS = 64

_NOT_MIGRATED = frozenset({"PGRST202", "PGRST205", "42P01", "42883", "404"})
_ROW_BROKEN = ("22", "23", "PGRST102")
"""SQLSTATE classes 22 (data) and 23 (integrity): https://www.postgresql.org/docs/current/errcodes-appendix.html"""


T = TypeVar("T")


class Query(Protocol):
    """A built supabase-py query."""

    def execute(self) -> Any:
        """Send it; the answer carries ``data``."""


class SupabaseClients:
    """Makes the clients with which users' rows are read and written.

    Args:
        url: the project's URL; ``/rest/v1`` is appended by supabase-py.
        key: the service-role (or ``sb_secret_``) key, or another that the database accepts.
        timeout_s: seconds for a whole request, answer included.
        tokens: mints what users' clients identify themselves with; None where the key does
            all, and nothing but the stores' own filters keeps people apart.
        api_key: lets users' clients through the project's gateway; which role a request has
            is decided by its token. By default ``key``.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float,
        tokens: UserTokens | None = None,
        api_key: str | None = None,
    ) -> None:
        self._http = httpx.Client(
            transport=DeadlineTransport(total_s=timeout_s),
            follow_redirects=False,
            event_hooks={"response": [self._raise_if_refused]},
        )
        self._url = url
        self._tokens = tokens
        self._api_key = api_key or key
        self._lock = threading.Lock()
        self._by_token: OrderedDict[str, Client] = OrderedDict()
        self._service_authorization = f"Bearer {key}"
        self._service = self._client(key, self._service_authorization)

    def client_for(self, user_uuid: str) -> Client:
        """Return the client that acts for ``user_uuid``; ask for it anew for each query.

        Where no tokens are minted it is one client for all: the key carries no user, and
        every query of the stores names its user.

        Raises:
            StorageRejectedError: ``user_uuid`` is not a uuid (where tokens are minted).
        """
        if self._tokens is None:
            return self._service
        token = self._tokens.token_for(user_uuid)
        with self._lock:
            client = self._by_token.get(token)
            if client is None:
                client = self._by_token[token] = self._client(self._api_key, f"Bearer {token}")
            self._by_token.move_to_end(token)
            while len(self._by_token) > MOST_CLIENTS:
                self._by_token.popitem(last=False)
            return client

    def service_client(self) -> Client:
        """Return the client of the service role, which may do what no user may: make profiles.

        Row level security does not hold for it: every query must name its user.
        """
        return self._service

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _client(self, api_key: str, authorization: str) -> Client:
        options = ClientOptions(
            headers={"Authorization": authorization},
            httpx_client=self._http,
            auto_refresh_token=False,
            persist_session=False,
        )
        client = create_client(self._url, api_key, options=options)
        _ = client.postgrest  # made now, by one thread: supabase-py makes it without a lock
        return client

    def _raise_if_refused(self, response: httpx.Response) -> None:
        # The gateway's refusals of a key carry no code of the database's.
        if response.status_code not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return
        if response.request.headers.get("Authorization") == self._service_authorization:
            raise StorageRefusedError(
                f"the database refused the key ({response.status_code}); "
                "set SUPABASE_SERVICE_ROLE_KEY to a key that may write"
            )
        if response.status_code == httpx.codes.FORBIDDEN:
            raise StorageRefusedError(
                "the database does not let this user do that (403): the row is somebody "
                "else's, or the migrations lack; run make migrate DATABASE_URL=..."
            )
        variable = self._tokens.key.variable if self._tokens else "SUPABASE_SERVICE_ROLE_KEY"
        raise StorageRefusedError(
            f"the database refused a user's token (401); set {variable} to the key of this "
            "project that verifies it, and check this host's clock"
        )


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
