"""The one place that imports OpenVINO, without its telemetry: `from cathrt.runtime.engines.silent_openvino import ov`.

`import openvino` alone starts a thread that forks the process and reports the import to Google Analytics (2026.4.1,
seen). Neither belongs into a cath lab. Where the telemetry client is not installed OpenVINO goes on without it, so
here it finds none. Not for: changing anything else of OpenVINO, which works as ever.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: "not to be found" to every import

import openvino as ov  # noqa: E402

__all__ = ["ov"]
