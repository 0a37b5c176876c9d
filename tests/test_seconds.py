"""The table of seconds adds up what each test took, by folder and by file."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.seconds import Seconds

Phase = Literal["setup", "call", "teardown"]


def report(test: str, phase: Phase, seconds: float) -> pytest.TestReport:
    return pytest.TestReport(test, (test, None, test), {}, "passed", None, phase, duration=seconds)


def test_set_up_call_and_tear_down_count_and_the_longest_comes_first() -> None:
    table = Seconds()
    taken: list[tuple[str, Phase, float]] = [
        ("tests/line/test_a.py::test_one", "setup", 1.0),
        ("tests/line/test_a.py::test_one", "call", 2.0),
        ("tests/line/deep/test_b.py::test_two[x::y]", "teardown", 5.0),
        ("tests/test_c.py::test_three", "call", 14.0),
    ]
    for test, phase, seconds in taken:
        table.pytest_runtest_logreport(report(test, phase, seconds))
    assert [line.split(maxsplit=1) for line in table.lines()] == [
        ["22.0", "all of them, over all workers"],
        ["14.0", "tests/test_c.py"],
        ["8.0", "tests/line"],
        ["14.0", "tests/test_c.py"],
        ["5.0", "tests/line/deep/test_b.py"],
        ["3.0", "tests/line/test_a.py"],
    ]
