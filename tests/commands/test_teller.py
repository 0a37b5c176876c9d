"""Lines told to a thread that prints them: in order, at once for the teller, and bounded."""

from __future__ import annotations

import threading

from cathrt.runtime.commands.teller import Teller


def test_all_is_told_in_order_also_what_came_before_the_start() -> None:
    told: list[int] = []
    teller = Teller("test")
    teller.tell(lambda: told.append(0))
    teller.start()
    for number in range(1, 50):
        teller.tell(lambda number=number: told.append(number))  # type: ignore[misc]
    assert teller.finish() == 0
    assert told == list(range(50))


def test_nobody_waits_for_a_reader_and_what_is_too_much_is_counted() -> None:
    read_on, told = threading.Event(), list[int]()
    teller = Teller("test")
    teller.start()
    teller.tell(read_on.wait)
    for number in range(1500):
        teller.tell(lambda number=number: told.append(number))  # type: ignore[misc]
    read_on.set()
    left_out = teller.finish()
    assert left_out >= 499
    assert len(told) == 1500 - left_out
    assert told == sorted(told)
