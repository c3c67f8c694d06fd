"""Which back end holds the data of this process, chosen once, when it is first needed."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass

from config import Settings, StoreSettings
from storage.errors import StorageError, StorageRejectedError
from storage.person_file import PersonFiles
from storage.signing_key import signing_key
from storage.supabase_clients import SupabaseClients, execute
from storage.user_tokens import UserTokens

logger = logging.getLogger("storage")


@dataclass(frozen=True)
class Storage:
    """The open back end: Supabase's clients, or people's files."""

    supabase: SupabaseClients | None
    people: PersonFiles | None

    def close(self) -> None:
        """Close whatever is open."""
        if self.supabase is not None:
            self.supabase.close()
        if self.people is not None:
            self.people.close()


def open_storage(settings: StoreSettings) -> Storage:
    """Open the back end that the settings name.

    Supabase where SUPABASE_URL is set, else SQLite. Where only the anon key is given and
    the database does not take it, SQLite takes over with a warning. Where a signing key is
    given, users' requests carry tokens of their own.

    Raises:
        ConfigError: the signing key cannot be used.
    """
    url, key = settings.supabase_url, settings.supabase_key
    if url is None or key is None:
        return Storage(supabase=None, people=PersonFiles(settings.data_dir))
    signing = signing_key(settings)
    supabase = SupabaseClients(
        url,
        key,
        timeout_s=settings.request_timeout_s,
        tokens=UserTokens(signing) if signing else None,
        api_key=settings.supabase_anon_key,
    )
    if settings.supabase_service_key is None and (problem := _why_not_writable(supabase)):
        logger.warning(
            "SUPABASE_ANON_KEY does not do; memories are kept in DATA_DIR on this host until "
            "SUPABASE_SERVICE_ROLE_KEY is set",
            extra={"reason": problem},
        )
        supabase.close()
        return Storage(supabase=None, people=PersonFiles(settings.data_dir))
    return Storage(supabase=supabase, people=None)


def decide_backend(settings: StoreSettings) -> None:
    """Decide for the processes that this one will start.

    Where Supabase does not take the only key there is, their environment tells them to use
    SQLite: it is asked, and the warning given, once and not in each of them.

    Raises:
        ConfigError: the signing key cannot be used.
    """
    if settings.supabase_url is not None:
        signing_key(settings)
    if settings.supabase_url is None or settings.supabase_service_key is not None:
        return
    storage = open_storage(settings)
    storage.close()
    if storage.supabase is None:
        os.environ["SUPABASE_URL"] = ""


_default: Storage | None = None
_default_lock = threading.Lock()


def default_storage() -> Storage:
    """Return this process's storage, opened from the environment at the first call.

    Raises:
        ConfigError: the environment does not say how to reach the storage.
    """
    global _default
    with _default_lock:
        if _default is None:
            _default = open_storage(Settings.from_environment().store)
        return _default


def _why_not_writable(supabase: SupabaseClients) -> str | None:
    # The function that writes memories refuses empty arguments, after the database has
    # checked whether the key may call it: a question without an effect.
    call = supabase.service_client().rpc("remember", {"p_user": None, "p_memories": []})
    try:
        execute(call, lambda _: None)
    except StorageRejectedError:
        return None
    except StorageError as error:
        return str(error)
    return None
