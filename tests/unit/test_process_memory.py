"""What an orchestrator without Redis remembers, for as long as it runs."""

from __future__ import annotations

import weakref

from sessions.in_process.memory import Expiring


class Value:
    """Something that is there for as long as anybody holds it."""


def test_what_has_expired_is_let_go_though_nobody_asks_for_it_again():
    now = 0.0
    entries: Expiring[Value] = Expiring(lambda: now)
    held: weakref.WeakSet[Value] = weakref.WeakSet()
    for number in range(5000):
        now = float(number)
        value = Value()
        held.add(value)
        entries.put(f"key {number}", value, 100)
        assert len(held) <= 250
    assert len(entries.live()) == 100


def test_what_has_not_expired_is_kept_however_much_there_is():
    entries: Expiring[int] = Expiring(lambda: 0.0)
    for number in range(2000):
        entries.put(f"key {number}", number, 1)
    assert [entries.get(f"key {number}") for number in range(2000)] == list(range(2000))
