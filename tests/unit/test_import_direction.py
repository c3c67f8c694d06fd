"""What import-linter cannot see: the modules that lie outside of any package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from config import PROJECT_ROOT

LOWEST = ["session_context.py", "log_privacy.py"]
OURS = {
    path.stem if path.is_file() else path.name
    for path in PROJECT_ROOT.iterdir()
    if path.suffix == ".py" or (path / "__init__.py").exists()
}


def imported(file: Path) -> set[str]:
    """The first names of everything that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("module", LOWEST)
def test_the_lowest_modules_import_nothing_of_ours(module):
    assert not imported(PROJECT_ROOT / module) & OURS


@pytest.mark.parametrize("module", sorted((PROJECT_ROOT / "config").glob("*.py")), ids=str)
def test_the_settings_import_nothing_else_of_ours(module):
    assert not imported(module) & OURS - {"config"}


def test_agent_wires_the_features_and_knows_no_driver():
    names = imported(PROJECT_ROOT / "agent.py")
    assert {"assistant", "worker", "memory", "profiles"} <= names
    assert not names & {"sqlite3", "supabase", "httpx", "devstack"}


def test_there_is_something_to_look_at():
    assert {"agent", "config", "memory", "storage", "worker", "assistant"} <= OURS
