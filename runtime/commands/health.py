"""`cathrt health`: whether a running `cathrt run` is well. Not for: what makes it so (processes/health.py)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cathrt.runtime.commands.options import JsonOption, show, show_json


def health_command(
    state: Annotated[Path, typer.Argument(readable=False, help="State folder of `cathrt run`.")],
    json_: JsonOption = False,
) -> None:
    """Tell whether `cathrt run` is well.

    Every picture accounted for, an inference of late, every process up, room on the disk. Ends with 0 if so, else 1.
    """
    from cathrt.runtime.models import policies
    from cathrt.runtime.processes.health import configured, health_of
    from cathrt.runtime.processes.state_folder import StateFolder

    folder = StateFolder(state)
    health = health_of(folder, configured(folder, policies()), time.monotonic_ns())
    if json_:
        show_json({"type": "health", **health.document()})
    else:
        for line in health.lines():
            show(line)
    raise typer.Exit(0 if health.healthy else 1)
