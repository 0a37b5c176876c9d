"""Work in several threads: its results come in order, whoever asks for no more stops it, and errors come out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from cathrt.export.qualify.parallel import StoppedError, in_order


def test_results_come_in_order_though_later_work_is_done_first() -> None:
    first_may_end = threading.Event()

    def work(number: int, tool: str, stopping: threading.Event) -> int:
        if number == 0:
            assert first_may_end.wait(60)
        elif number == 1:
            first_may_end.set()
        return number

    with closing(in_order(5, [lambda: named("a"), lambda: named("b")], work)) as results:
        assert list(results) == [0, 1, 2, 3, 4]


def test_no_tool_is_used_twice_at_once_and_all_are_closed() -> None:
    closed: list[str] = []
    busy: set[str] = set()
    lock = threading.Lock()

    def work(number: int, tool: str, stopping: threading.Event) -> str:
        with lock:
            assert tool not in busy
            busy.add(tool)
        with lock:
            busy.remove(tool)
        return tool

    tools = [lambda: named("a", closed), lambda: named("b", closed)]
    with closing(in_order(20, tools, work)) as results:
        assert set(results) <= {"a", "b"}
    assert sorted(closed) == ["a", "b"]


def test_whoever_asks_for_no_more_stops_what_is_going_on() -> None:
    stopped = threading.Event()

    def work(number: int, tool: str, stopping: threading.Event) -> int:
        if number == 0:
            return 0
        assert stopping.wait(60)
        stopped.set()
        raise StoppedError

    with closing(in_order(100, [lambda: named("a"), lambda: named("b")], work)) as results:
        assert next(results) == 0
    assert stopped.is_set()


def test_an_error_of_the_work_comes_out_where_its_result_would() -> None:
    def work(number: int, tool: str, stopping: threading.Event) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    with closing(in_order(9, [lambda: named("a")], work)) as results:
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="two"):
            next(results)


@contextmanager
def named(name: str, closed: list[str] | None = None) -> Iterator[str]:
    yield name
    if closed is not None:
        closed.append(name)
