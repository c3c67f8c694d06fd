"""What can go wrong between us and a database.

StorageError
├── StorageUnavailableError   down, slow, restarting: the same call may work later
├── StorageRefusedError       the key may not do this: an operator must act
├── MigrationsMissingError    the database lacks our tables or functions
└── StorageRejectedError      the database will never take this row as it is
    ├── PersonErasedError     it was told before the person was erased
    └── NotRememberedError    the person does not want to be remembered

Texts carry codes and the mend, never a row's content. A driver's own message may quote what
a person said, and stays in ``__cause__``: log ``str(error)`` of these, never a traceback.
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of every failure of a store's back end."""


class StorageUnavailableError(StorageError):
    """The database did not answer in time or answered that it cannot work now."""


class StorageRefusedError(StorageError):
    """The database refused the key; set SUPABASE_SERVICE_ROLE_KEY to a key that may write."""


class MigrationsMissingError(StorageError):
    """The database lacks our tables; apply the files in migrations/ in order (make migrate)."""


class StorageRejectedError(StorageError):
    """The database refused the row for good; the code says which rule it broke."""


class PersonErasedError(StorageRejectedError):
    """It was told before the person was erased, and stays erased; bind the session anew."""


class NotRememberedError(StorageRejectedError):
    """The person does not want to be remembered; nothing is written of them."""
