"""Whatever our code imports by name is pinned by name."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from config import PROJECT_ROOT

FOR_PYTEST = {"tests", "benchmarks", "devstack/for_pytest.py"}
OURS = {path.stem for path in PROJECT_ROOT.iterdir() if not path.name.startswith(".")}


def sources(*, tests: bool) -> Iterator[Path]:
    for path in PROJECT_ROOT.rglob("*.py"):
        name = path.relative_to(PROJECT_ROOT)
        folder = name.parts[0]
        for_development = FOR_PYTEST & {folder, name.as_posix()}
        if not folder.startswith(".") and (tests or not for_development):
            yield path


def imported(paths: Iterator[Path]) -> set[str]:
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {origin(node.module, alias.name) for alias in node.names}
    return {name for name in found if name.split(".")[0] not in OURS | sys.stdlib_module_names}


def origin(module: str, name: str) -> str:
    """``from livekit import rtc`` takes a package out of a namespace that several share."""
    return f"{module}.{name}" if module in {"livekit", "livekit.plugins"} else module


def distribution_of() -> dict[str, str]:
    return {
        str(distribution.locate_file(file)): distribution.metadata["Name"]
        for distribution in distributions()
        for file in distribution.files or ()
        if file.suffix in {".py", ".so"}
    }


def pinned(*names: str) -> set[str]:
    lines = [line for name in names for line in (PROJECT_ROOT / name).read_text().splitlines()]
    found = (re.match(r"([A-Za-z0-9-]+)(\[\w+\])?==", line) for line in lines)
    return {match[1] for match in found if match}


def origin_of(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # put there by its library, which may have left it its file
        file = getattr(sys.modules[module], "__file__", None)
        return str(file) if file else origin_of(module.rpartition(".")[0])
    assert spec is not None, f"{module} is not installed"
    return str(spec.origin)


def unpinned(modules: set[str], pins: set[str]) -> set[str]:
    known = distribution_of()
    missing = set()
    for module in modules:
        name = known[origin_of(module)].lower().replace("_", "-")
        if name not in pins:
            missing.add(name)
    return missing


def test_what_the_product_imports_is_pinned():
    assert unpinned(imported(sources(tests=False)), pinned("requirements.txt")) == set()


def test_what_the_tests_import_is_pinned():
    pins = pinned("requirements.txt", "requirements-dev.txt")
    assert unpinned(imported(sources(tests=True)), pins) == set()
