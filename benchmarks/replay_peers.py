"""What benchmarks/replay.py times beside `cathrt replay`, each as a process of its own.

`python -m benchmarks.replay_peers WHAT FOLDER OUT`

plain_loop: what a user writes in an afternoon: pydicom (with gdcm for JPEG Lossless), OpenCV and OpenVINO, one frame
after the other, a JSON line a frame in the file OUT. decode: our confined decoder alone, each run opened while the one
before it is read. decode_pydicom: pydicom alone. The last two write nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.sources.decoder.sandbox import opening_of
from cathrt.runtime.sources.discover import discover

_SIDE = 224


def pydicom_frames(path: Path) -> tuple[NDArray[Any], int]:
    """All frames of a run, (frames, rows, columns), and Bits Stored."""
    import pydicom

    dataset = pydicom.dcmread(path)
    return dataset.pixel_array, int(dataset.BitsStored)


def plain_loop(folder: Path, out: Path) -> None:
    """The shipped network in its own precision. Every channel is the grey value: a loop keeps no history."""
    import cv2

    bundle = open_bundle(demonstration_bundle(), shipped_keys())
    artifact = bundle.manifest.network(CLASSIFIER).artifacts["openvino"]
    hint = {"float32": ov.Type.f32, "bfloat16": ov.Type.bf16}[artifact.rest]
    graph = demonstration_bundle() / artifact.file
    compiled = ov.Core().compile_model(str(graph), "CPU", {"INFERENCE_PRECISION_HINT": hint})
    request = compiled.create_infer_request()
    with out.open("w", encoding="utf-8") as lines:
        for path in sorted(folder.glob("*.dcm")):
            frames, bits_stored = pydicom_frames(path)
            for index, pixels in enumerate(frames):
                small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
                grey = small.astype(np.float32) / ((1 << bits_stored) - 1)
                found = request.infer({0: np.repeat(grey[None, None], 3, axis=1)})
                lines.write(json.dumps({"file": path.name, "frame": index, "logits": found[0].tolist()}) + "\n")


def decode(folder: Path, out: Path) -> None:  # noqa: ARG001 - one signature for all
    """Every frame through our decoder, as the line gets them."""
    openings = [opening_of(found, LimitsConfig()) for found in discover([folder]).inputs]
    for opening, following in zip_longest(openings, openings[1:]):
        with closing(opening.open()) as source:
            if following is not None:
                following.start()
            for _ in source.frames():
                pass


def decode_pydicom(folder: Path, out: Path) -> None:  # noqa: ARG001
    """Every run decoded whole, as pydicom does it."""
    for path in sorted(folder.glob("*.dcm")):
        pydicom_frames(path)


PEERS: dict[str, Callable[[Path, Path], None]] = {
    "plain_loop": plain_loop,
    "decode": decode,
    "decode_pydicom": decode_pydicom,
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
