"""A study process that is killed while it writes its first draft: python -m tests.study.fragile_drafts STATE POINT.

POINT: "token", or a fail point of drafts. Not for: priorities, engines.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cathrt.runtime.failpoints import arm, kill
from tests.study.confirming import Sender, Study
from tests.study.scripted_writer import ScriptedWriter
from tests.study.test_drafting import left


def main(state: str, point: str) -> None:
    from cathrt.runtime.processes.state_folder import StateFolder

    folder = StateFolder(Path(state))
    writer = ScriptedWriter()
    if point == "token":
        writer.at_token = lambda number: kill() if number == 3 else None
    else:
        arm(point, kill)
    nobody: Sender = None  # type: ignore[assignment]  # the test has the store
    Study(folder, folder.path.parent / "watched", nobody, left, writer=writer).confirm(1, drafts=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
