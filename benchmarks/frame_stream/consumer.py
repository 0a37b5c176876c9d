"""The process of one implementation: opens its models, then runs the trials that the parent asks for.

`python -m benchmarks.frame_stream.consumer IMPLEMENTATION SETTING`. Not for: the parent's end (trial.py).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.frame_stream.arrivals import let_ahead
from benchmarks.frame_stream.loops import Keep
from benchmarks.frame_stream.setting import Implementation, NotHereError, Setting, Trial
from benchmarks.turns import peak_rss_mb, serve, take_stdout
from cathrt.runtime.processes.priority import take_priority

Open = Callable[[Setting], Implementation]


def _line(setting: Setting) -> Implementation:
    from benchmarks.frame_stream.line import LiveLine

    return LiveLine(setting)


def _openvino(setting: Setting, keep: Keep) -> Implementation:
    from benchmarks.frame_stream.loops import PlainLoops, open_openvino

    return PlainLoops(setting, open_openvino, keep)


def _onnxruntime(setting: Setting, keep: Keep) -> Implementation:
    from benchmarks.frame_stream.loops import PlainLoops, open_onnxruntime

    return PlainLoops(setting, open_onnxruntime, keep)


def _gstreamer(setting: Setting, keep: Keep) -> Implementation:
    from benchmarks.frame_stream.gstreamer import BehindGStreamer

    return BehindGStreamer(setting, keep)


def _holoscan(setting: Setting, keep: Keep) -> Implementation:
    from benchmarks.frame_stream.holoscan import InHoloscan, prepare_process

    prepare_process(setting)
    return InHoloscan(setting, keep)


LINE, ALL, NEWEST = "line", "all", "newest"  # the last two: which pictures a plain queue keeps
IMPLEMENTATIONS: Mapping[str, Open] = {
    LINE: _line,
    f"openvino, {ALL}": partial(_openvino, keep="all"),
    f"openvino, {NEWEST}": partial(_openvino, keep="newest"),
    f"onnxruntime, {ALL}": partial(_onnxruntime, keep="all"),
    f"onnxruntime, {NEWEST}": partial(_onnxruntime, keep="newest"),
    f"gstreamer, {ALL}": partial(_gstreamer, keep="all"),
    f"gstreamer, {NEWEST}": partial(_gstreamer, keep="newest"),
    f"holoscan, {ALL}": partial(_holoscan, keep="all"),
    f"holoscan, {NEWEST}": partial(_holoscan, keep="newest"),
}


def main() -> None:
    """All implementations have the priority of a live process, so that none is ahead by that alone (arrivals.py)."""
    name, setting = sys.argv[1], Setting.from_text(sys.argv[2])
    began_ns = time.monotonic_ns()
    try:
        grants = take_priority("live")
        opened = IMPLEMENTATIONS[name](setting)
    except NotHereError as exc:
        print(json.dumps({"not_here": str(exc)}))
        return
    answers = take_stdout()
    facts: dict[str, Any] = {
        "opened_ms": round((time.monotonic_ns() - began_ns) / 1e6, 1),
        "granted": grants.granted,
    }
    if setting.check:
        facts["logits"], facts["service_ms"] = opened.check()

    def run(trial: str) -> dict[str, float]:
        read = Trial.from_text(trial)
        let_ahead(real_time=read.real_time)
        opened.run(read)
        return {"peak_rss_mb": peak_rss_mb()}

    serve(answers, facts, {}, run)


if __name__ == "__main__":
    main()
