"""A worker whose Supabase lies behind a proxy, sessions whose parts are killed, and their times."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import identity, new_room, worker_settings
from tests.faults.session_traces import TIMES

__all__ = ["identity", "new_room", "worker_settings"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long after each fault nothing was left of the session."""
    if not TIMES:
        return
    terminalreporter.section("seconds until nothing was left of the session")
    terminalreporter.write_line(f"{'fault':<58} {'process':>8} {'room':>8} {'keys':>8}")
    for case, times in TIMES:
        columns = "".join(f"{times[kind]:>9.2f}" for kind in ("process", "room", "keys"))
        terminalreporter.write_line(f"{case:<57} {columns}")
