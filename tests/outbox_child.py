"""A process that uses the outbox, to be traced and killed: ``python -m tests.outbox_child``.

``append FOLDER USER FIRST COUNT`` appends and acknowledges each write in a line.
``deliver FOLDER [kill]`` delivers to FOLDER/database; with ``kill`` it ends by SIGKILL after
the first delivery, before the rows are deleted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from memory.outbox import Drainer, OutboxFile
from tests.outbox import Database, an_outbox, new


class KilledBeforeDeleting(OutboxFile):
    def delivered(self, ordinals: Iterable[int]) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().delivered(ordinals)


def append(folder: Path, user: str, first: int, count: int) -> None:
    outbox = an_outbox(folder / "data")
    for number in range(first, first + count):
        outbox.append(user, [new(f"turn {number}")])
        os.write(1, f"acknowledged {number}\n".encode())


def deliver(folder: Path, *, kill: bool) -> None:
    make = KilledBeforeDeleting if kill else OutboxFile
    database = Database(folder / "database")
    Drainer(make(folder / "data", max_bytes=1 << 30), lambda: database).run_once()
    database.files.close()


if __name__ == "__main__":
    action, folder, *rest = sys.argv[1:]
    if action == "append":
        append(Path(folder), rest[0], int(rest[1]), int(rest[2]))
    else:
        deliver(Path(folder), kill=rest == ["kill"])
