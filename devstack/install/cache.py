"""Folders of the cache: filled by one process at a time, seen whole or not at all."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devstack.machine import Machine

_POLL_S = 0.1


def installed_folder(machine: Machine, name: str, fill: Callable[[Path, Path], None]) -> Path:
    """Return a folder of the cache, filling it first when it is not there.

    Args:
        machine: says where the cache is.
        name: the folder's name, with the version of what is in it.
        fill: is given the folder to fill and another one for what is needed meanwhile;
            whatever it raises passes through, and leaves nothing behind.

    Returns:
        The filled folder.
    """
    folder = machine.install_dir / name
    if folder.is_dir():
        return folder
    machine.install_dir.mkdir(parents=True, exist_ok=True)
    with _one_installer(machine, name):
        if not folder.is_dir():
            _fill(folder, fill)
    return folder


def _fill(folder: Path, fill: Callable[[Path, Path], None]) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    scratch = folder.with_name(f".{folder.name}.scratch")
    try:
        for temporary in (partial, scratch):
            _remove(temporary)  # what a killed installer left
            temporary.mkdir()
        fill(partial, scratch)
        partial.rename(folder)
    finally:
        _remove(partial)
        _remove(scratch)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


@contextmanager
def _one_installer(machine: Machine, name: str) -> Iterator[None]:
    with (machine.install_dir / f".{name}.lock").open("wb") as lock:
        if not _locks_now(lock):
            machine.report(f"waiting for another process that installs {name}")
        while not _locks_now(lock):
            machine.raise_if_cancelled()
            time.sleep(_POLL_S)
        yield


def _locks_now(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
