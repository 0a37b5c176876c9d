"""A live process whose OpenVINO engine hangs for as long as STATE/hang is there:
python -m tests.e2e.hanging_live STATE --config FILE. Not for: what must come of it (test_degradation.py)."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cathrt.runtime.engines import open_engine
from cathrt.runtime.engines.openvino import OpenVinoEngine
from cathrt.runtime.line import ladder_opening
from cathrt.runtime.ports import Engine
from cathrt.runtime.processes.child import process_main
from cathrt.runtime.processes.live import live


class Hanging:
    """The engine, but for its inference."""

    def __init__(self, engine: Engine, hang: Path) -> None:
        self._engine, self._hang = engine, hang

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        while self._hang.exists():
            time.sleep(0.005)
        return self._engine.infer(feeds)


if __name__ == "__main__":
    hang = Path(sys.argv[1]) / "hang"

    def opened(*arguments: Any, **settings: Any) -> Engine:
        engine = open_engine(*arguments, **settings)
        return Hanging(engine, hang) if isinstance(engine, OpenVinoEngine) else engine  # type: ignore[return-value]

    ladder_opening.open_engine = opened  # type: ignore[assignment]
    process_main("live", "normal", live)
