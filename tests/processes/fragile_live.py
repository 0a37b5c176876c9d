"""A live process with a line and a source in memory, which dies by SIGKILL at a fail point:
python -m tests.processes.fragile_live POINT AFTER STATE --config FILE; POINT "-" for none. Not for: its priority."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace

from cathrt.runtime.config import Config
from cathrt.runtime.failpoints import arm, kill
from cathrt.runtime.line.ladder_place import Place
from cathrt.runtime.processes import live
from cathrt.runtime.processes.child import process_main
from tests import lines
from tests.processes.moving_tap import MovingTap


def _places_in_memory(_bundles: object, settings: Config, *_: object) -> list[Place]:
    return lines.places_of(replace(lines.line(rate="live"), config=settings))


if __name__ == "__main__":
    point, after, *words = sys.argv[1:]
    live.open_places = _places_in_memory
    live.tap_opening = lambda _source, _limits: (
        lambda: MovingTap(  # type: ignore[assignment]
            45, threading.Event(), held=40, rate_hz=60.0
        )
    )
    if point != "-":
        arm(point, kill, int(after))
    process_main("live", "normal", live.live, words)
