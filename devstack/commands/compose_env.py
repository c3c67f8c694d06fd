"""``python -m devstack compose-env``: fresh keys and passwords for compose.yaml."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable

from devstack.keys import SupabaseKeys


def add_compose_env(register: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = register("compose-env", help="print new keys and passwords for compose.yaml")
    parser.set_defaults(run=_run)


def new_environment() -> dict[str, str]:
    """Return every variable that compose.yaml requires, each with a secret of its own."""
    keys = SupabaseKeys.generate()
    return {
        "LIVEKIT_API_KEY": f"API{secrets.token_hex(6)}",
        "LIVEKIT_API_SECRET": secrets.token_hex(32),
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "SUPABASE_JWT_SECRET": keys.jwt_secret,
        "SUPABASE_SERVICE_ROLE_KEY": keys.service_role_key,
        "ORCHESTRATOR_API_KEYS": secrets.token_hex(32),
        "ORCHESTRATOR_OPERATOR_KEYS": secrets.token_hex(32),
    }


def _run(arguments: argparse.Namespace) -> int:
    del arguments  # it takes none
    for name, value in new_environment().items():
        print(f"{name}={value}")
    return 0
