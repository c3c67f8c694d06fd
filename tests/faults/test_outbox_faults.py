"""Whatever the database does, and however often the session is killed: nothing lost or doubled."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest

from config import PROJECT_ROOT
from devstack.servers.postgres import Postgres
from devstack.servers.supabase import SupabaseProject
from session_context import livekit_identity_to_uuid
from tests import leaks
from tests.faults.proxy import FaultyProxy, Mode

Fault = Callable[[FaultyProxy, SupabaseProject, Postgres], AbstractContextManager[None]]


def misbehaving(*modes: Mode, every_s: float = 0.15) -> Fault:
    """The proxy in each of the modes by turns, or in one all the time."""

    @contextmanager
    def fault(proxy: FaultyProxy, _: SupabaseProject, __: Postgres) -> Iterator[None]:
        proxy.set(modes[0])
        turns = itertools.cycle(modes[1:] + modes[:1])
        with ExitStack() as running:
            if len(modes) > 1:
                running.enter_context(_repeating(lambda: proxy.set(next(turns)), every_s))
            yield
        proxy.set(Mode.PASS)

    return fault


@contextmanager
def postgrest_restarts(_: FaultyProxy, supabase: SupabaseProject, __: Postgres) -> Iterator[None]:
    def restart() -> None:
        supabase.postgrest.kill()
        supabase.postgrest.start()

    with _repeating(restart, 0.5):
        yield
    supabase.postgrest.start()


@contextmanager
def postgres_restarts(_: FaultyProxy, __: SupabaseProject, postgres: Postgres) -> Iterator[None]:
    with _repeating(postgres.restart, 1.0):
        yield


FAULTS: dict[str, Fault] = {
    "up": misbehaving(Mode.PASS),
    "down": misbehaving(Mode.REFUSE),
    "flapping": misbehaving(Mode.REFUSE, Mode.PASS),
    "slow (10 s)": misbehaving(Mode.SLOW),
    "answers 500": misbehaving(Mode.ERROR_500),
    "answers 409": misbehaving(Mode.ERROR_409),
    "answers 401": misbehaving(Mode.WRONG_KEY),
    "answers garbage": misbehaving(Mode.GARBAGE, Mode.PASS),
    "reset in an answer": misbehaving(Mode.CUT),
    "everything by turns": misbehaving(*Mode),
    "PostgREST restarted": postgrest_restarts,
    "Postgres restarted": postgres_restarts,
}


@dataclass
class Figures:
    """What became of the turns of one fault's sessions."""

    fault: str
    kills: int = 0
    spoken: set[int] = field(default_factory=set)
    appended: set[int] = field(default_factory=set)
    stored: list[int] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return len(self.appended - set(self.stored))

    @property
    def doubled(self) -> int:
        return len(self.stored) - len(set(self.stored))

    def row(self) -> str:
        numbers = (self.kills, len(self.spoken), len(self.appended), len(self.stored))
        return f"{self.fault:<22}" + "".join(
            f"{n:>10}" for n in (*numbers, self.lost, self.doubled)
        )


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[Figures]]:
    """Printed when all faults are through."""
    rows: list[Figures] = []
    yield rows
    heads = ("kills", "spoken", "appended", "stored", "lost", "doubled")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        sys.stdout.write(f"\n\n{'fault':<22}" + "".join(f"{head:>10}" for head in heads) + "\n")
        sys.stdout.writelines(f"{figures.row()}\n" for figures in rows)
        sys.stdout.flush()


@pytest.fixture(scope="module")
def proxy(supabase: SupabaseProject) -> Iterator[FaultyProxy]:
    with leaks.shared():
        made = FaultyProxy(supabase.info.url)
        made.__enter__()
    yield made
    made.__exit__(None, None, None)


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.soak)])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_turn_that_was_put_away_is_stored_once_and_in_order(
    fault, kills, proxy, supabase, postgres, data_dir, table
):
    identity = f"{uuid.uuid4().hex}@example.com"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(data_dir),
        "SUPABASE_URL": proxy.url,
        "SUPABASE_SERVICE_ROLE_KEY": supabase.info.keys.service_role_key,
        "STORE_TIMEOUT_S": "1",
    }
    figures = Figures(fault, kills)
    with leaks.shared():
        proxy.set(Mode.PASS)
    with leaks.shared(), FAULTS[fault](proxy, supabase, postgres):
        for number in range(kills):
            # The last is killed once there is more than the others may have got to.
            least = kills + 1 if number == kills - 1 else 0
            _speak_and_die(figures, environment, identity, f"session-{number:03}", least)
    _drain(environment)
    figures.stored = _stored(supabase, identity)
    table.append(figures)
    assert figures.lost == 0
    assert figures.doubled == 0
    assert figures.stored == sorted(figures.stored)
    # At most the turn that was being put away when the session was killed is there besides.
    assert len(set(figures.stored) - figures.appended) <= kills
    assert set(figures.stored) <= figures.spoken
    assert len(figures.appended) > kills


def _speak_and_die(
    figures: Figures, environment: dict[str, str], identity: str, session_id: str, least: int
) -> None:
    first = max(figures.spoken, default=-1) + 1
    command = [sys.executable, "-m", "tests.faults.outbox_session", identity, session_id]
    with subprocess.Popen(
        [*command, str(first)],
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as session:
        assert session.stdout is not None
        lines = [session.stdout.readline()]
        while lines[-1] and len(figures.appended) + _appended(lines) < least:
            lines.append(session.stdout.readline())
        killer = threading.Timer(random.uniform(0.1, 1.0), session.kill)
        killer.start()
        lines += session.stdout.readlines()
        killer.join()
    for line in lines:
        if line.endswith("\n"):
            what, number = line.split()
            {"spoken": figures.spoken, "appended": figures.appended}[what].add(int(number))


def _appended(lines: list[str]) -> int:
    return sum(line.startswith("appended") for line in lines)


def _drain(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "memory", "outbox", "drain", "--deadline", "100"]
    drained = subprocess.run(
        command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert drained.returncode == 0, drained.stderr
    assert "0 wait, 0 are set aside" in drained.stderr


def _stored(supabase: SupabaseProject, identity: str) -> list[int]:
    query = "select value from public.memory where user_id = %s order by session_id, place"
    with psycopg.connect(supabase.info.database.url) as connection:
        found = connection.execute(query, (livekit_identity_to_uuid(identity),)).fetchall()
    return [int(value.rsplit(" ", 1)[1]) for (value,) in found]


@contextmanager
def _repeating(action: Callable[[], object], every_s: float) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_s * random.uniform(0.5, 1.5)):
            action()

    thread = threading.Thread(target=run, name="fault")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
