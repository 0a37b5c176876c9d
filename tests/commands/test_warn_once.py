"""A warning that comes again and again is shown once and counted."""

from __future__ import annotations

import logging
import subprocess
import sys

from cathrt.runtime.commands.warn_once import WarnOnce

_THREE_RUNS = """
import logging
from cathrt.runtime.commands import cli

def run():
    for name in ("a.dcm", "b.dcm", "c.dcm"):
        logging.getLogger("cathrt.line").warning("%s cannot judge %s", "tensorrt", name)
    logging.getLogger("cathrt.line").warning("another matter")
    return 9

cli.run = run
cli.main()
"""


def warned(once: WarnOnce, message: str, *values: object, name: str = "a", level: int = logging.WARNING) -> bool:
    return once.filter(logging.LogRecord(name, level, "file.py", 1, message, values, None))


def test_the_first_of_each_kind_passes_and_the_others_are_counted() -> None:
    once = WarnOnce()
    assert warned(once, "lost %s", "frame 1")
    assert not warned(once, "lost %s", "frame 2")
    assert not warned(once, "lost %s", "frame 3")
    assert warned(once, "late %s", "frame 3"), "other words are another kind"
    assert warned(once, "lost %s", "frame 3", name="b"), "and so is another module"
    assert warned(once, "lost %s", "frame 3", level=logging.ERROR), "and another level"
    assert once.counts() == ["2 more warnings like this one (see the records): lost frame 1"]


def test_one_that_came_once_has_no_count() -> None:
    once = WarnOnce()
    assert once.counts() == []
    warned(once, "lost")
    assert once.counts() == []
    warned(once, "lost")
    assert once.counts() == ["1 more warning like this one (see the records): lost"]


def test_a_command_shows_a_repeated_warning_once_and_its_count_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", _THREE_RUNS], capture_output=True, text=True, check=False)
    assert done.returncode == 9
    assert done.stderr.splitlines() == [
        "cathrt: WARNING: tensorrt cannot judge a.dcm",
        "cathrt: WARNING: another matter",
        "cathrt: 2 more warnings like this one (see the records): tensorrt cannot judge a.dcm",
    ]
