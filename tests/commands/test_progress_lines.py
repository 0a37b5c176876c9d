"""How far a command is, on stderr: lines now and then off a terminal, a bar on one, nothing where nothing is wanted."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from cathrt.runtime.commands.options import progress_bar


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def said_after(capfd: pytest.CaptureFixture[str], seconds: list[float], *, shown: bool = True) -> list[str]:
    """What is said where ten more of a hundred frames are done at each of these seconds."""
    clock = Seconds()
    with progress_bar("judging", shown=shown, now_s=clock) as advance:
        for number, second in enumerate(seconds, 1):
            clock.now = second
            advance(10 * number, 100)
    caught = capfd.readouterr()
    assert caught.out == ""
    return caught.err.splitlines()


def test_off_a_terminal_there_is_a_line_every_ten_seconds(capfd: pytest.CaptureFixture[str]) -> None:
    assert said_after(capfd, [2.0, 5.0, 10.0, 12.0, 19.0, 21.0]) == [
        "cathrt: judging: 30 of about 100 frames, 3 frames/s, 0:23 left",
        "cathrt: judging: 60 of about 100 frames, 2.86 frames/s, 0:14 left",
    ]


def test_a_short_command_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert said_after(capfd, [1.0, 4.0, 9.9]) == []


def test_nothing_is_said_where_nothing_is_wanted(capfd: pytest.CaptureFixture[str]) -> None:
    assert said_after(capfd, [20.0, 40.0], shown=False) == []


def test_on_a_terminal_a_bar_has_frames_speed_and_time_left() -> None:
    code = """
from cathrt.runtime.commands.options import progress_bar
now = [0.0]
with progress_bar("judging", shown=True, now_s=lambda: now[0]) as advance:
    now[0] = 10.0
    advance(50, 200)
"""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    done = subprocess.run([sys.executable, "-c", code], stderr=theirs, env=environment, check=False, timeout=60)
    os.close(theirs)
    assert done.returncode == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(ours, 1 << 16).decode())
    os.close(ours)
    assert "judging" in shown
    assert "50 of about 200 frames, 5 frames/s, 0:30 left" in shown
