"""Quantises a network with NNCF as its documentation does it: the peer that OpenVINO's users would pick.

`PYTHON benchmarks/nncf_quantise.py PLAIN.onnx FRAMES.npy WEIGHT_BITS FOLDER` writes FOLDER/nncf_<settings>.xml and its
.bin for each of SETTINGS. PYTHON is that of an environment with nncf and openvino; nothing of cathrt is imported here,
because NNCF's requirements are not ours. For: benchmarks/engine_peers.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SETTINGS = ("default", "mixed", "transformer")  # by the page on post-training quantisation


def main(plain: Path, frames: Path, weight_bits: int, folder: Path) -> None:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it reports to Google Analytics
    import nncf
    import numpy as np
    import openvino as ov  # noqa: TID251  (that environment has no cathrt)

    # Its own remedy for CPUs without VNNI: weights of 7 bits in all layers.
    overflow = nncf.OverflowFix.ENABLE if weight_bits == 7 else nncf.OverflowFix.DISABLE
    chosen: Mapping[str, Mapping[str, Any]] = {
        "default": {},
        "mixed": {"preset": nncf.QuantizationPreset.MIXED},
        "transformer": {"model_type": nncf.ModelType.TRANSFORMER},
    }
    calibration = nncf.Dataset(list(np.load(frames)))
    for name in SETTINGS:
        model = ov.Core().read_model(plain)
        advanced = nncf.AdvancedQuantizationParameters(overflow_fix=overflow)
        quantised = nncf.quantize(model, calibration, advanced_parameters=advanced, **chosen[name])
        ov.save_model(quantised, folder / f"nncf_{name}.xml", compress_to_fp16=False)
    print(nncf.__version__)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
