"""Where the time of a run of the tests goes: seconds of each folder and of the longest files, over all workers.

Not for: single tests (--durations=25 lists those).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import pytest

LONGEST = 40


class Seconds:
    """A plugin of the process that prints: its summary ends with the table."""

    def __init__(self) -> None:
        self._of: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Set-up, call and tear-down each have a report."""
        self._of[report.nodeid.partition("::")[0]] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._of:
            terminalreporter.section("seconds")
            for line in self.lines():
                terminalreporter.write_line(line)

    def lines(self) -> Iterator[str]:
        """The folders of tests, then the longest files, each from the longest on."""
        folders: defaultdict[str, float] = defaultdict(float)
        for file, seconds in self._of.items():
            folders["/".join(PurePosixPath(file).parts[:2])] += seconds
        yield f"{sum(self._of.values()):9.1f}  all of them, over all workers"
        for name, seconds in (*_longest_first(folders), *_longest_first(self._of)[:LONGEST]):
            yield f"{seconds:9.1f}  {name}"


def _longest_first(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda entry: -entry[1])
