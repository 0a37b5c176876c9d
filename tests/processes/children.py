"""Small processes that a supervisor may be given: one that works, and ones that do what a process must not.

Each is the command line of a Python that is told its name and its state folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cathrt.runtime.processes.state_folder import StateFolder

# Beats until SIGTERM; then it says so in STATE/ended and ends well.
WORKS = """
from cathrt.runtime.processes.child import process_main
def work(process, arguments):
    while not process.stop.wait(0.05):
        process.beat()
    with open(arguments.state.path / "ended", "a") as file:
        file.write(process.name + "\\n")
process_main(NAME, "normal", work)
"""
# Beats once and never again, and does not hear SIGTERM.
HANGS = """
import signal, time
from cathrt.runtime.processes.child import process
with process(NAME, STATE, "normal", SUPERVISOR) as running:
    running.beat()
    time.sleep(600)
"""
IGNORES_TERM = """
import time
from cathrt.runtime.processes.child import process
with process(NAME, STATE, "normal", SUPERVISOR) as running:
    while True:
        running.beat()
        time.sleep(0.05)
"""
# Starts a process of its own, and works.
HAS_A_CHILD = (
    """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(STATE.path / "grandchild.new", "w") as file:
    file.write(str(child.pid))
(STATE.path / "grandchild.new").replace(STATE.path / "grandchild")
"""
    + WORKS
)
PRINTS = 'print("a vendor\'s banner", flush=True)\n' + WORKS


def ends(code: int) -> list[str]:
    """The command of a process that ends at once."""
    return [sys.executable, "-S", "-c", f"raise SystemExit({code})"]


def child(script: str, name: str, state: StateFolder) -> list[str]:
    """The command that runs one of the scripts above."""
    prepared = (
        "import sys; from cathrt.runtime.processes.child import arguments_from\n"
        f"NAME, ARGUMENTS = {name!r}, arguments_from(sys.argv[1:])\n"
        "STATE, SUPERVISOR = ARGUMENTS.state, ARGUMENTS.supervisor_pid\n"
    )
    return [sys.executable, "-c", prepared + script, str(state.path), "--supervisor", str(os.getpid())]


def ended(state: StateFolder) -> Sequence[str]:
    """The names of those that have ended well, in order."""
    return (state.path / "ended").read_text().split()
