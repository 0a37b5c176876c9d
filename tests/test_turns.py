"""Tests that measure time run alone, also where pytest has several workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.turns import Turns


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Turns]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Turns(tmp_path / "turns"))) for _ in range(3)]


def entered(turns: Turns, *, alone: bool, stack: ExitStack) -> threading.Event:
    """Set once another worker (a thread with locks of its own) has its turn, which it keeps until the stack ends."""
    has, leave = threading.Event(), threading.Event()

    def worker() -> None:
        with turns.turn(alone=alone):
            has.set()
            leave.wait(30.0)

    thread = threading.Thread(target=worker)
    thread.start()
    stack.callback(thread.join)
    stack.callback(leave.set)
    return has


def test_tests_run_side_by_side_and_one_that_is_alone_waits_for_them(workers: list[Turns]) -> None:
    first, second, third = workers
    with ExitStack() as outer:
        with ExitStack() as stack:
            assert entered(first, alone=False, stack=stack).wait(30.0)
            assert entered(second, alone=False, stack=stack).wait(30.0)
            alone = entered(third, alone=True, stack=outer)
            assert not alone.wait(0.1)
        assert alone.wait(30.0)


def test_no_further_test_begins_before_one_that_waits_to_be_alone(workers: list[Turns]) -> None:
    first, second, third = workers
    with ExitStack() as last, ExitStack() as outer:
        with ExitStack() as stack:
            assert entered(first, alone=False, stack=stack).wait(30.0)
            alone = entered(second, alone=True, stack=outer)
            assert not alone.wait(0.1)
            later = entered(third, alone=False, stack=last)
            assert not later.wait(0.1)
        assert alone.wait(30.0)
        assert not later.is_set()
        outer.close()
        assert later.wait(30.0)
