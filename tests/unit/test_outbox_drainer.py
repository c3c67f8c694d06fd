"""What waits is delivered in order, once, by one process, whatever happens to the others."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import pytest

from memory.outbox import Drainer, Forgetting
from memory.outbox.backoff import Backoff
from memory.outbox.delivery import Delivery
from memory.outbox.drainer import DrainLock
from memory.outbox.errors import OutboxBusyError
from storage import MigrationsMissingError, StorageRefusedError, StorageUnavailableError
from tests.outbox import an_outbox, new

pytest_plugins = ["tests.unit.outbox_fixtures"]

ALICE, BOB = str(uuid.uuid4()), str(uuid.uuid4())
AWAY = StorageUnavailableError("away")


@pytest.fixture
def drainer(outbox, database):
    made = Drainer(outbox, lambda: database)
    yield made
    made.close()


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def test_what_waits_is_delivered_in_order_and_then_gone(outbox, database, drainer):
    said = [f"turn {n}" for n in range(250)]
    for each in said:
        outbox.append(ALICE, [new(each)])
    drainer.run_once()
    assert database.values(ALICE) == said
    assert outbox.counts() == (0, 0)
    assert len(database.calls) < 10


def test_an_append_is_delivered_at_once_in_this_process_and_from_another(
    outbox, database, drainer, data_dir
):
    drainer.start()
    outbox.append(ALICE, [new("here")])
    until(lambda: database.values(ALICE) == ["here"], 2)
    other = an_outbox(data_dir)
    other.append(ALICE, [new("there")])
    until(lambda: database.values(ALICE) == ["here", "there"], 2)
    other.close()


def test_a_key_forgotten_between_two_values_keeps_the_second(outbox, database, drainer):
    outbox.append(ALICE, [new("blue", "color"), Forgetting(None, "color"), new("red", "color")])
    drainer.run_once()
    assert database.values(ALICE) == ["red"]


@pytest.mark.parametrize("poisoned", [{0}, {49}, {3, 4, 30}, set(range(50))])
def test_a_refused_row_is_found_set_aside_and_blocks_no_other(outbox, database, drainer, poisoned):
    said = [f"turn {n}" for n in range(50)]
    outbox.append(ALICE, [new(each) for each in said])
    outbox.append(BOB, [new("fine")])
    bad = {said[n] for n in poisoned}
    database.poison = lambda memory: memory.value in bad
    drainer.run_once()
    assert database.values(ALICE) == [each for each in said if each not in bad]
    assert database.values(BOB) == ["fine"]
    assert {entry.read().value for entry in outbox.entries()} == bad
    assert all("23514" in (entry.problem or "") for entry in outbox.entries())


@pytest.mark.parametrize(
    "problem", [StorageRefusedError("the key"), MigrationsMissingError("the table"), AWAY]
)
def test_what_an_operator_or_time_must_mend_is_no_poison(
    outbox, database, drainer, problem, caplog
):
    outbox.append(ALICE, [new("one")])
    outbox.append(BOB, [new("two")])
    database.away = problem
    drainer.start()
    until(lambda: any(entry.attempts for entry in outbox.entries()))
    until(lambda: "writes wait in the outbox" in caplog.text)
    assert outbox.counts() == (2, 0)
    database.away = None
    until(lambda: outbox.counts() == (0, 0))
    assert (database.values(ALICE), database.values(BOB)) == (["one"], ["two"])


def test_rows_that_cannot_be_read_are_set_aside(outbox, database, drainer):
    entries = outbox.append(ALICE, [new("one"), new("two"), new("three")])
    with outbox._writing() as file:
        damage = "UPDATE entry SET payload = replace(payload, 'one', 'One') WHERE ordinal = ?"
        file.execute(damage, (entries[0].ordinal,))
        file.execute("UPDATE entry SET kind = 'dance' WHERE ordinal = ?", (entries[1].ordinal,))
    drainer.run_once()
    assert database.values(ALICE) == ["three"]
    assert [entry.problem for entry in outbox.entries()] == ["the row is damaged"] * 2


def test_a_delivery_whose_answer_was_lost_is_made_again_and_doubles_nothing(
    outbox, database, drainer
):
    said = [f"turn {n}" for n in range(20)]
    outbox.append(ALICE, [new(each) for each in said])
    database.answers_lost = 3
    drainer.start()
    until(lambda: outbox.counts() == (0, 0))
    assert database.values(ALICE) == said
    assert len(database.calls) > 3


def test_one_persons_rows_that_cannot_pass_now_hold_up_nobody_else(outbox, database, drainer):
    stuck = [str(uuid.uuid4()) for _ in range(5)]
    for user in stuck:
        outbox.append(user, [new("stuck")])
    store = database.store

    def store_all_but_theirs(user, memories):
        if user in stuck:
            raise AWAY
        return store(user, memories)

    database.store = store_all_but_theirs
    drainer.start()
    for number in range(3):
        outbox.append(BOB, [new(str(number))])
        until(lambda: not outbox.is_waiting(BOB))
    assert database.values(BOB) == ["0", "1", "2"]
    assert all(outbox.is_waiting(user) for user in stuck)


def test_batches_shrink_while_the_database_does_not_manage_them(outbox, database):
    store = database.store

    def store_few(user, memories):
        if len(memories) > 7:
            raise AWAY
        return store(user, memories)

    database.store = store_few
    said = [f"turn {n}" for n in range(40)]
    outbox.append(ALICE, [new(each) for each in said])
    delivery = Delivery(outbox, database)
    for _ in range(200):
        try:
            if not delivery.deliver(ALICE) and not outbox.is_waiting(ALICE):
                break
        except StorageUnavailableError:
            continue
    assert database.values(ALICE) == said


def test_one_process_delivers_and_the_next_takes_over(outbox, database, drainer, data_dir):
    held = DrainLock(data_dir)
    assert held.take()
    with pytest.raises(OutboxBusyError):
        drainer.run_once()
    drainer.start()
    outbox.append(ALICE, [new("one")])
    time.sleep(0.2)
    assert database.values(ALICE) == []
    held.release()
    until(lambda: database.values(ALICE) == ["one"])


def test_two_that_deliver_at_once_double_nothing_and_lose_nothing(outbox, database, data_dir):
    said = [f"turn {n}" for n in range(300)]
    for each in said:
        outbox.append(ALICE, [new(each)])
    drainers = [Drainer(an_outbox(data_dir), lambda: database) for _ in range(3)]
    for number, drainer in enumerate(drainers):
        drainer._lock = DrainLock(data_dir / f"own-{number}")
        drainer.start()
    until(lambda: outbox.counts() == (0, 0))
    for drainer in drainers:
        drainer.close()
        drainer._outbox.close()
    assert database.values(ALICE) == said


def test_closing_ends_the_thread_also_while_the_database_hangs(outbox, database, drainer):
    outbox.append(ALICE, [new("one")])
    database.passing.clear()
    drainer.start()
    assert database.entered.wait(5)
    begun = time.monotonic()
    drainer.close(0.1)
    assert time.monotonic() - begun < 5
    database.passing.set()
    until(lambda: outbox.counts() == (0, 0))


def test_pauses_double_to_ten_seconds_and_begin_anew_after_a_success():
    backoff = Backoff()
    bounds = [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    for bound in bounds:
        backoff.failed("it")
        assert bound * 0.49 < backoff.wait_s("it") <= bound * 1.5
    backoff.hurry()
    assert backoff.wait_s("it") == 0
    backoff.succeeded("it")
    backoff.failed("it")
    assert backoff.wait_s("it") <= 0.375
    assert backoff.wait_s("another") == 0
