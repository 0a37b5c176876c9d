"""Scripts that stand in for the decoder process and say or do what no honest one would. Not for: honest decoders."""

from __future__ import annotations

import time
from dataclasses import replace

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.sources.decoder.process import DecoderProcess
from cathrt.runtime.sources.decoder.sandbox import SandboxedSource
from cathrt.runtime.sources.messages import Request
from tests.sources.reading import LIMITS
from tests.sources.stand_ins import SCRIPTED, server

RUN = """{"run_id": "00000000-0000-5000-8000-000000000000", "frame_count": 3, "rows": 2, "columns": 2,
 "bits_stored": 10, "grayscales": [{"photometric_interpretation": "MONOCHROME2", "presentation_lut_shape": null,
 "modality_transform": null, "voi": null, "exposed": null, "pixel_intensity_relationship": null}],
 "timing": {"frame_rate_hz": 15.0, "origin": "default", "frame_time_vector_ms": null}, "geometry": {}, "dicom": null,
 "modality": "XA", "radiation_setting": null, "flags": [],
 "taken_at": {"series_s": null, "acquisition_s": null}}""".replace("\n", "")

LIAR = """
import json, mmap, os, sys
replies, credits, ring = given.replies, given.credits, given.ring
first = request["first_frame"]
say = lambda text: os.write(replies, text.encode() + b"\\n")
run = json.loads(RUN)
grey = run["grayscales"][0]
shown = 0
def show(value):
    global shown
    os.read(credits, 1)
    start, shown = shown % 4 * 8, shown + 1
    mmap.mmap(ring, 4 * 8)[start : start + 8] = int(value).to_bytes(2, "little") * 4
def frame(index):
    show(index)
    say(json.dumps({"frame": index, "angles": [None, None], "grayscale": 0}))
""".replace("RUN", repr(RUN))


def liar(behaviour: str, limits: LimitsConfig = LIMITS) -> SandboxedSource:
    """A source whose decoder is a script that misbehaves as told."""
    request = Request("dicom", "liar", (LIAR + behaviour,), limits)

    def start(first_frame: int) -> DecoderProcess:
        return DecoderProcess(replace(request, first_frame=first_frame), server("dicom", "-c", SCRIPTED))

    return SandboxedSource(start, "liar", limits, time.monotonic_ns)


SAY_RUN = "say(json.dumps({'run': run, 'walls': {'seccomp': True, 'landlock': 1}}))\n"
