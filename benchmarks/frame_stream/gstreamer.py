"""The plain OpenVINO loop behind GStreamer: appsrc, then appsink as its queue.

GStreamer and its Python bindings are Debian's: `apt-get install python3-gi gir1.2-gst-plugins-base-1.0
gstreamer1.0-plugins-base`. They fit a Python of the same version as Debian's.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame_stream.arrivals import Arrival, Arrivals
from benchmarks.frame_stream.loops import Keep, Loop, checked, open_openvino, opened_loops, run_sources
from benchmarks.frame_stream.setting import NotHereError, Setting, Trial

_DEBIAN = "/usr/lib/python3/dist-packages"
_WAIT_NS = 100_000_000
_FORMATS = {"uint8": "GRAY8", "uint16": "GRAY16_LE"}


def _gst() -> Any:
    """The bindings, initialised. Raises NotHereError."""
    if _DEBIAN not in sys.path:
        sys.path.append(_DEBIAN)  # last: everything else stays what it is
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstApp", "1.0")
        from gi.repository import Gst, GstApp  # noqa: F401 - GstApp gives appsink its methods
    except (ImportError, ValueError) as exc:
        python = ".".join(map(str, sys.version_info[:2]))
        raise NotHereError(
            f"no GStreamer for this Python {python} ({exc}): install python3-gi, gir1.2-gst-plugins-base-1.0 and "
            "gstreamer1.0-plugins-base of a Debian with the same Python"
        ) from exc
    Gst.init(None)
    if Gst.ElementFactory.find("appsink") is None:
        raise NotHereError("GStreamer has no appsink: install gstreamer1.0-plugins-base")
    return Gst


class BehindGStreamer:
    """The newest alone: an appsink that keeps one buffer and drops the older one. All: one without a limit."""

    def __init__(self, setting: Setting, keep: Keep) -> None:
        self._loops, self._pictures = opened_loops(setting, open_openvino)
        self._gst = _gst()  # last: it makes libunwind's symbols global, and a C++ library loaded after it aborts
        self._scratch = Path(setting.pictures) / "checked.jsonl"
        self._sink = "max-buffers=0 drop=false" if keep == "all" else "max-buffers=1 drop=true"

    def check(self) -> tuple[list[list[float]], float]:
        return checked(self._loops[0], self._pictures, self._scratch)

    def run(self, trial: Trial) -> None:
        run_sources(self._loops, trial, self._one)

    def _one(self, source: int, loop: Loop, trial: Trial) -> None:
        gst, pixels = self._gst, self._pictures.pixels
        _, rows, columns = pixels.shape
        caps = f"video/x-raw,format={_FORMATS[pixels.dtype.name]},width={columns},height={rows},framerate=0/1"
        pipeline = gst.parse_launch(
            f'appsrc name=in caps="{caps}" format=time max-bytes=0 ! appsink name=out sync=false {self._sink}'
        )
        into, out = pipeline.get_by_name("in"), pipeline.get_by_name("out")
        pipeline.set_state(gst.State.PLAYING)
        arrivals = Arrivals(Path(trial.fifos[source]), self._pictures)
        captured_ns: dict[int, int] = {}

        def take() -> None:
            while (arrival := arrivals.next()) is not None:
                captured_ns[arrival.number] = arrival.captured_ns
                buffer = gst.Buffer.new_wrapped(arrival.pixels.tobytes())
                buffer.pts = arrival.number
                into.emit("push-buffer", buffer)
            into.emit("end-of-stream")

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        while not out.get_property("eos"):
            sample = out.emit("try-pull-sample", _WAIT_NS)
            if sample is None:
                continue
            buffer = sample.get_buffer()
            read = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), pixels.dtype).reshape(rows, columns)
            loop.judge(source, Arrival(buffer.pts, captured_ns.pop(buffer.pts), read))
        taker.join()
        pipeline.set_state(gst.State.NULL)
