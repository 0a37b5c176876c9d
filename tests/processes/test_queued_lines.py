"""Log lines that nobody reads: who logs never waits, what is dropped is counted, and the process ends all the same."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cathrt.runtime.processes.log_lines import PlainLines
from cathrt.runtime.processes.queued_lines import MOST_LINES, QueuedLines
from tests.conftest import ROOT

LINE = "x" * 300


class Pipe:
    """A pipe, the handler that writes to it, and a logger."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.handler = QueuedLines(PlainLines("live"), self.write_end)

    def log(self, message: str, *values: object) -> None:
        record = logging.LogRecord("cathrt.line", logging.WARNING, "/a/line.py", 7, message, values, None)
        self.handler.handle(record)

    def lines_until(self, last: str) -> list[str]:
        """What comes, up to a line with that text."""
        with open(self.read_end, encoding="utf-8", closefd=False) as file:
            lines = []
            for line in file:
                lines.append(line.removesuffix("\n"))
                if last in line:
                    break
            return lines


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.handler.close()
    for descriptor in (made.read_end, made.write_end):
        os.close(descriptor)


def test_lines_come_whole_and_in_order(pipe: Pipe) -> None:
    for number in range(500):
        pipe.log("%d %s", number, LINE)
    pipe.log("the end")
    assert pipe.lines_until("the end")[:-1] == [f"cathrt live: WARNING: {number} {LINE}" for number in range(500)]


def test_who_logs_to_a_reader_that_takes_nothing_never_waits_and_the_count_is_said(pipe: Pipe) -> None:
    logged = 4 * MOST_LINES  # a megabyte; a pipe holds 64 KiB
    for number in range(logged):
        pipe.log("%d %s", number, LINE)
    lines = pipe.lines_until("lines were dropped")
    numbers = [int(line.split()[3]) for line in lines[:-1]]
    assert numbers == sorted(set(numbers))
    assert numbers[:MOST_LINES] == list(range(MOST_LINES))
    assert len(numbers) < logged
    assert lines[-1] == (
        f"cathrt live: WARNING: {logged - len(numbers)} log lines were dropped, nobody read those before them"
    )
    pipe.log("on again")
    assert pipe.lines_until("on again") == ["cathrt live: WARNING: on again"]


def test_a_line_longer_than_the_pipe_comes_whole(pipe: Pipe) -> None:
    pipe.log("%s the end", "y" * 300_000)
    (line,) = pipe.lines_until("the end")
    assert len(line) > 300_000


def test_without_a_reader_lines_are_lost_and_nothing_is_raised() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    handler = QueuedLines(PlainLines("live"), write_end)
    handler.handle(logging.LogRecord("cathrt", logging.WARNING, "line.py", 7, "lost", (), None))
    handler.close()
    os.close(write_end)


def test_a_record_that_cannot_be_shown_is_named_by_its_place(pipe: Pipe) -> None:
    pipe.log("%d", "no number")
    assert pipe.lines_until("cannot be shown") == ["a record of cathrt.line, line.py line 7, cannot be shown"]


def test_a_process_whose_log_nobody_reads_works_and_ends_with_its_own_exit_code() -> None:
    code = (
        "import logging, os, sys\n"
        "from cathrt.runtime.config import LogConfig\n"
        "from cathrt.runtime.processes.log_lines import set_up_log\n"
        "set_up_log('live', LogConfig())\n"
        f"for number in range(2000): logging.getLogger('cathrt').warning('%s', {LINE!r})\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    logging.getLogger('cathrt').warning('of the child')\n"
        "    sys.exit(3)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n"
        "print('worked', flush=True)\n"
        "sys.exit(5)\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], stdout=pipe, stderr=pipe, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "worked\n"
        assert process.wait() == 5, "while nobody has read a line"
        assert process.stderr is not None
        assert "of the child" not in process.stderr.read(), "the pipe was full for it too"
