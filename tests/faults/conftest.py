"""A worker whose Supabase lies behind a proxy that misbehaves on command."""

from tests.e2e.conftest import identity, new_room, worker_settings

__all__ = ["identity", "new_room", "worker_settings"]
