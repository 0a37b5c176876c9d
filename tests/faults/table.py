"""docs/faults.md, made by the tests: `python -m tests.faults.table [--only TEXT]`.

Runs every test that tests/faults/operations/faults.py names, with the times of recovery that they record, and writes
the page where all of them pass. --only: runs those whose name has TEXT in it; other times stay as the page has them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import pytest

from benchmarks import measure
from tests.faults.operations.faults import CLASSES, FAULTS, INVARIANTS, Fault

PAGE = measure.ROOT / "docs" / "faults.md"
NOTHING = "—"
_MEASURED = "Recovery was measured on"
_HEAD = """# Faults

What may go wrong around cathrt, what holds nevertheless, and the test that shows it. `python -m tests.faults.table`
runs the tests and writes this page; its rows are in `tests/faults/operations/faults.py`.

| invariant | |
|---|---|
"""
_COLUMNS = """
*Recovery* is the time from the end of the fault until the work goes on, the longest of the test's cases.
{nothing}: nothing has to recover, the fault is met within the test. Disks that fail and clocks that step are made by a
library that is preloaded into whole processes (`tests/faults/calls.c`).
"""


class Recorded:
    """A plugin of pytest: how each test ended, and the recovery that it recorded."""

    def __init__(self) -> None:
        self.recovery_s: dict[str, float] = {}
        self.passed: set[str] = set()
        self.not_passed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of each phase of each test."""
        test = node_name(report.nodeid)
        if report.when == "call" and report.passed:
            self.passed.add(test)
        elif not report.passed:
            self.not_passed[test] = "skipped" if report.skipped else "failed"
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "recovery_s":
                self.recovery_s[test] = max(self.recovery_s.get(test, 0.0), float(str(value)))


def node_name(node: str) -> str:
    """A node id without its parameters, below tests/."""
    return node.partition("[")[0].removeprefix("tests/")


def page(recovery: Mapping[str, str], measured: str) -> str:
    """The whole page. recovery: of each fault that has one, by recovery_key. measured: where and when."""
    return "".join([
        _HEAD,
        *(f"| {name} | {text} |\n" for name, text in INVARIANTS.items()),
        _COLUMNS.format(nothing=NOTHING),
        f"{_MEASURED} {measured}.\n",
        *(_table(number, recovery) for number in CLASSES),
    ])  # fmt: skip


def _table(number: int, recovery: Mapping[str, str]) -> str:
    lines = [
        f"\n## F{number}: {CLASSES[number]}\n\n| fault | holds | recovery | shown by | test |\n|---|---|---|---|---|\n"
    ]
    for fault in FAULTS:
        if fault.number == number:
            tests = "<br>".join(f"`tests/{test}`" for test in fault.tests) or f"not tested: {fault.why_not}"
            took = recovery.get(recovery_key(fault), NOTHING)
            lines.append(f"| {fault.what} | {fault.holds} | {took} | {fault.seen} | {tests} |\n")
    return "".join(lines)


def recovery_key(fault: Fault) -> str:
    """What stands for a fault on the page."""
    return f"F{fault.number} {fault.what}"


def read_page(text: str) -> tuple[dict[str, str], str]:
    """The recovery of each fault on a page, and where it was measured."""
    recovery, number = {}, 0
    for line in text.splitlines():
        if found := re.match(r"## F(\d+):", line):
            number = int(found[1])
        elif number and line.startswith("| ") and not line.startswith("| fault |"):
            what, _, took, *_ = line.strip("| ").split(" | ")
            if took != NOTHING:
                recovery[f"F{number} {what}"] = took
    (measured,) = re.findall(rf"^{_MEASURED} (.*)\.$", text, re.MULTILINE)
    return recovery, measured


def measured_recovery(recorded: Mapping[str, float]) -> dict[str, str]:
    """The longest of each fault's tests, in words."""
    longest: dict[str, float] = defaultdict(float)
    for fault in FAULTS:
        for test in fault.tests:
            if test in recorded:
                longest[recovery_key(fault)] = max(longest[recovery_key(fault)], recorded[test])
    return {key: f"{seconds:.1f} s" for key, seconds in longest.items()}


def named_tests() -> set[str]:
    """Every test of the table."""
    return {test for fault in FAULTS for test in fault.tests}


def without_result(named: Iterable[str], recorded: Recorded) -> Iterator[str]:
    """Tests of the table that did not pass here, each with how it ended."""
    for test in sorted(named):
        if test not in recorded.passed or recorded.not_passed.get(test) == "failed":
            yield f"{test}: {recorded.not_passed.get(test, 'not run')}"


def main() -> int:
    """Run the tests and write the page. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only tests whose name has this in it")
    only = parser.parse_args().only
    recorded, tests = Recorded(), sorted(test for test in named_tests() if only in test)
    nodes = [f"tests/{test}" for test in tests]
    pytest.main(["-q", "-p", "no:cacheprovider", "-m", "slow or not slow", *nodes], plugins=[recorded])
    if missing := list(without_result(tests, recorded)):
        print("nothing is written:", *missing, sep="\n", file=sys.stderr)
        return 1
    before, _ = read_page(PAGE.read_text(encoding="utf-8")) if only else ({}, "")
    known = {key: took for key, took in before.items() if key in map(recovery_key, FAULTS)}
    machine = measure.machine(())
    commit = measure.commit()
    changed = ", with changes" if commit.endswith("+") else ""
    where = f"{machine['cpu']}, {machine['cores_used']} cores, at commit {commit[:12]}{changed}"
    PAGE.write_text(page(known | measured_recovery(recorded.recovery_s), where), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
