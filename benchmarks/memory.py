"""How fast memory answers and stores, for people who told much in a store that holds more.

``python -m benchmarks.memory [--backend sqlite|supabase|both] [--total 1000000]``. One person
each of 100, 10 000 and 100 000 memories, in a store of ``--total``; the rest are people with
1 000 each. Searches and stores go through the product's own `MemoryManager`; a bare PostgREST
select of one row stands beside Supabase's. Then eight processes write for the person of
10 000 while one searches. The filled stores stay under ``--data-dir`` for the next run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.filling import fill_postgres, fill_sqlite, people_of
from benchmarks.invented import Speaker
from benchmarks.report import percentile, print_table, write_json
from config import Settings
from devstack.stack import Service, Stack
from memory import MemoryManager, open_memory_store
from migrations.apply import apply
from session_context import set_session_user
from storage import Storage, open_storage

SIZES = (100, 10_000, 100_000)
WRITERS = 8

_CROWDED = 10_000
_WARM_UP = 10

Times = dict[str, list[float]]


@dataclass(frozen=True)
class Store:
    """A filled store: the variables that open it, and what a bare read of it is, if anything."""

    name: str
    settings: dict[str, str]
    bare_select: Callable[[Storage], object] | None = None

    def open(self) -> Storage:
        """Open it as the product does."""
        return open_storage(Settings.from_environment(self.settings).store)


def main() -> int:
    """Fill, measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--backend", choices=["sqlite", "supabase", "both"], default="sqlite")
    parser.add_argument("--total", type=int, default=1_000_000, help="memories in the store")
    parser.add_argument("--calls", type=int, default=300, help="searches and stores of each person")
    parser.add_argument("--data-dir", type=Path, default=Path(".cache/bench-memory"))
    asked = parser.parse_args()
    times: Times = {}
    for backend in ["sqlite", "supabase"] if asked.backend == "both" else [asked.backend]:
        with _filled(backend, asked.total, asked.data_dir.absolute()) as store:
            times |= _measure(store, [n for n in SIZES if n <= asked.total], asked.calls)
            times |= _measure_crowded(store, asked.calls)
    _print(asked.total, times)
    file = write_json(f"memory-{asked.backend}-{asked.total}", {"total": asked.total, "ms": times})
    print(f"\nwritten to {file}")
    return 0


@contextmanager
def _filled(backend: str, total: int, data_dir: Path) -> Iterator[Store]:
    folder = data_dir / f"{backend}-{total}"
    people = people_of(total, SIZES)
    if backend == "sqlite":
        fill_sqlite(folder, people)
        yield Store("SQLite", {"DATA_DIR": str(folder)})
        return
    with Stack({Service.SUPABASE}, postgres_data_dir=folder) as stack:
        apply(stack.postgres.info.url)
        fill_postgres(stack.postgres.info.url, people)
        stack.supabase.reload_schema()
        wanted = ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY")
        yield Store("Supabase", {name: stack.environment()[name] for name in wanted}, _select_a_row)


def _select_a_row(storage: Storage) -> object:
    if storage.supabase is None:
        raise ValueError("the storage is not Supabase")
    client = storage.supabase.client_for("")
    return client.table("profiles").select("id").limit(1).execute()


def _measure(store: Store, sizes: list[int], calls: int) -> Times:
    times: Times = {}
    with ExitStack() as open_:
        storage = store.open()
        open_.callback(storage.close)
        memory = MemoryManager(lambda: open_memory_store(storage))
        if store.bare_select is not None:
            bare = store.bare_select
            times[f"{store.name}: bare select"] = _time(lambda: bare(storage), calls)
        for size in sizes:
            set_session_user(person(size))
            times[f"{store.name}: search, {size}"] = _time(_search(memory), calls)
            times[f"{store.name}: store, {size}"] = _time(_store(memory), calls)
    return times


def person(size: int) -> str:
    """Return the identity of the person who told that many memories."""
    return f"told-{size}@example.com"


def _search(memory: MemoryManager) -> Callable[[], object]:
    told = [each.value for each in memory.list_memories(limit=200)]
    asked = random.Random(1)
    speaker = Speaker(1)
    return lambda: memory.search(speaker.question(asked.choice(told)), 10)


def _store(memory: MemoryManager) -> Callable[[], object]:
    speaker = Speaker(time.time_ns())
    return lambda: memory.store("FACT", f"user_input_{time.time_ns()}", speaker.sentence())


def _time(call: Callable[[], object], calls: int) -> list[float]:
    taken = []
    for number in range(calls + _WARM_UP):
        began = time.perf_counter()
        call()
        if number >= _WARM_UP:
            taken.append((time.perf_counter() - began) * 1000)
    return taken


def _measure_crowded(store: Store, calls: int) -> Times:
    spawn = multiprocessing.get_context("spawn")
    stop, written = spawn.Event(), spawn.SimpleQueue()
    writers = [
        spawn.Process(target=_write, args=(store.settings, stop, written)) for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    try:
        for _ in writers:
            written.get()  # each says that it has begun
        searches = _measure_searches(store, calls)
    finally:
        stop.set()
        stores = [took for _ in writers for took in written.get()]
        for writer in writers:
            writer.join()
    return {
        f"{store.name}: search, {_CROWDED}, {WRITERS} write": searches,
        f"{store.name}: store, {_CROWDED}, {WRITERS} write": stores,
    }


def _measure_searches(store: Store, calls: int) -> list[float]:
    storage = store.open()
    try:
        set_session_user(person(_CROWDED))
        return _time(_search(MemoryManager(lambda: open_memory_store(storage))), calls)
    finally:
        storage.close()


def _write(
    settings: dict[str, str], stop: Event, written: multiprocessing.SimpleQueue[list[float]]
) -> None:
    storage = open_storage(Settings.from_environment(settings).store)
    set_session_user(person(_CROWDED))
    store = _store(MemoryManager(lambda: open_memory_store(storage)))
    store()
    written.put([])
    taken = []
    while not stop.is_set():
        taken += _time_once(store)
    storage.close()
    written.put(taken)


def _time_once(call: Callable[[], object]) -> list[float]:
    began = time.perf_counter()
    call()
    return [(time.perf_counter() - began) * 1000]


def _print(total: int, times: Times) -> None:
    rows: list[list[object]] = [
        [name, len(taken), *(percentile(taken, share) for share in (0.5, 0.9, 0.99)), max(taken)]
        for name, taken in times.items()
    ]
    print_table(
        f"One person's memories in a store of {total}, ms",
        ["", "calls", "p50", "p90", "p99", "max"],
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
