"""The CPU twins on one core: ours beside OpenCV, scikit-image, numba, torch and the memory limit, op by op.

`python -m benchmarks.kernels [--json] [--quick]`. What an op does and who its peers are: benchmarks/kernel_ops/. All
variants of a case take turns; each is compared with kernels/reference/ before it is timed. Not for: inference
(benchmarks/engines.py) or a GPU (`make gpu-check`).
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import cv2
import torch

from benchmarks import measure
from benchmarks.kernel_ops import clahe, clip, histogram, ingest, repeats, subtraction, temporal, vesselness

OPS: dict[str, ModuleType] = {
    "clahe": clahe,
    "clip": clip,
    "ingest": ingest,
    "histogram": histogram,
    "repeats": repeats,
    "subtraction": subtraction,
    "temporal": temporal,
    "vesselness": vesselness,
}


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    heartbeat = measure.Heartbeat()
    with heartbeat:
        measure.pin_to_one_core()
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        results = {name: op.run(rounds) for name, op in OPS.items()}
    figures: dict[str, float] = {}
    for name, cases in results.items():
        for case, samples in cases.items():
            for impl, taken in samples.items():
                yield measure.row("kernels", f"{name} {case}", impl, taken, heartbeat)
        figures |= OPS[name].figures(cases)
    packages = ("numpy", "opencv-python-headless", "scikit-image", "pydicom", "torch", "pillow", "numba")
    yield measure.headline("kernels", figures, heartbeat, packages)


if __name__ == "__main__":
    measure.command(__doc__, rows, quick=25, full=300)
