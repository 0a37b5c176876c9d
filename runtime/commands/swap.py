"""`cathrt swap`: asks a running `cathrt run` for another bundle on its live sources, and shows how that goes.

Not for: what makes it so (processes/swap_desk.py).
"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import JsonOption, say, show, show_json
from cathrt.runtime.errors import CathrtError, ConfigError, ManifestError

_LOOK_S = 0.2


def swap_command(
    state: Annotated[Path, typer.Argument(readable=False, help="State folder of `cathrt run`.")],
    bundle: Annotated[Path, typer.Argument(readable=False, help="Folder of the bundle that is to judge live runs.")],
    json_: JsonOption = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.0, help="Wait so long for the end; the swap goes on. Default: until it ends.")
    ] = None,
) -> None:
    """Swap a bundle into the running live process, without a missed frame.

    The bundle is checked, loaded beside, compared on live frames, put on trial between two runs, and kept or rolled
    back. Ends with 0 where it was kept, 5 where it was refused or rolled back, 1 where that is not known yet.
    """
    from cathrt.runtime.models import policies
    from cathrt.runtime.processes.health import configured
    from cathrt.runtime.processes.heartbeat import last_beat_ns
    from cathrt.runtime.processes.restarts import patience_with
    from cathrt.runtime.processes.state_folder import StateFolder
    from cathrt.runtime.processes.supervisor import SUPERVISOR
    from cathrt.runtime.processes.swap_files import OVER, WELL, SwapRequest, request_swap, swap_answer

    folder = StateFolder(state)
    beat_ns = last_beat_ns(folder.heartbeat(SUPERVISOR))
    if beat_ns is None or time.monotonic_ns() - beat_ns > patience_with(SUPERVISOR).hung_s * 1e9:
        raise CathrtError(f"{state}: no `cathrt run` has this state folder: start it with this bundle instead")
    if not configured(folder, policies()).sources:
        raise ConfigError(f"{state}: `cathrt run` has no live sources there: nothing to swap a bundle into")
    before = swap_answer(folder)
    if before is not None and before.phase not in OVER:
        raise CathrtError(f"{before.bundle} is on its way in ({before.phase}): wait until that has ended")
    request = SwapRequest(str(uuid.uuid4()), str(bundle.absolute()))
    request_swap(folder, request)
    until_s = None if seconds is None else time.monotonic() + seconds
    said = None
    while True:
        answer = swap_answer(folder)
        if answer is not None and answer.id == request.id and answer != said:
            said = answer
            if json_:
                show_json({"type": "swap", **asdict(answer), "notice": NOTICE})
            else:
                progress = f" {answer.frames}/{answer.of}" if answer.of else ""
                show(f"{answer.phase}{progress} ({answer.reason}): {answer.detail}")
            if answer.phase in OVER:
                raise typer.Exit(0 if answer.phase == WELL else ManifestError.exit_code)
        if until_s is not None and time.monotonic() >= until_s:
            say("not decided yet: it goes on without this command; ask `cathrt health`, or read the records `engine`")
            raise typer.Exit(1)
        time.sleep(_LOOK_S)
