"""Everything held about one person: exported, erased, moved, or not kept at all.

`person_manager` is the session's own view. It opens its store (Supabase or SQLite, as the
environment says) when it is first used.
"""

from __future__ import annotations

from collections.abc import Mapping

from people.earlier_file import erase_file, export_file
from people.elsewhere import ALSO_ERASED, ALSO_EXPORTED, is_waiting
from people.manager import PersonManager
from people.model import Erasure, ErasureUnfinishedError, Move, Standing, StillWaitingError
from people.people import EraseElsewhere, ExportElsewhere, People
from people.sqlite_store import SqlitePeopleStore
from people.store import PeopleStore
from people.supabase_store import SupabasePeopleStore
from storage import Storage, default_storage

__all__ = [
    "EraseElsewhere",
    "Erasure",
    "ErasureUnfinishedError",
    "ExportElsewhere",
    "Move",
    "People",
    "PeopleStore",
    "PersonManager",
    "SqlitePeopleStore",
    "Standing",
    "StillWaitingError",
    "SupabasePeopleStore",
    "open_everything",
    "open_people",
    "open_people_store",
    "person_manager",
]


def open_people_store(storage: Storage) -> PeopleStore:
    """Return the store of whole people of an open storage."""
    if storage.supabase is not None:
        return SupabasePeopleStore(storage.supabase)
    if storage.people is None:
        raise ValueError("the storage has neither Supabase nor a data folder")
    return SqlitePeopleStore(storage.people)


def open_people(
    storage: Storage,
    *,
    also_erase: Mapping[str, EraseElsewhere] | None = None,
    also_export: Mapping[str, ExportElsewhere] | None = None,
) -> People:
    """Return `People` over an open storage.

    Args:
        storage: whoever opened it closes it.
        also_erase: what else is erased with a person, by the name of the place.
        also_export: what else is exported, by the name of the place.
    """
    store = open_people_store(storage)
    return People(store, also_erase=also_erase, also_export=also_export)


def open_everything(
    storage: Storage,
    *,
    also_erase: Mapping[str, EraseElsewhere] | None = None,
    also_export: Mapping[str, ExportElsewhere] | None = None,
) -> People:
    """Return `People` over an open storage and over the other places of this host.

    Args:
        storage: whoever opened it closes it. Where it is Supabase, a person's file on this host
            is one of the other places.
        also_erase: what else is erased with a person, by the name of the place.
        also_export: what else is exported, by the name of the place.
    """
    erased, exported = dict(ALSO_ERASED), dict(ALSO_EXPORTED)
    if storage.supabase is not None:
        erased["person_file"], exported["person_file"] = erase_file, export_file
    return People(
        open_people_store(storage),
        also_erase={**erased, **(also_erase or {})},
        also_export={**exported, **(also_export or {})},
        is_waiting=is_waiting,
    )


person_manager = PersonManager(lambda: open_everything(default_storage()))
