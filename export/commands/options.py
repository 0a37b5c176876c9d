"""Options and precisions that the export commands share, and how they print. Imports nothing heavy.

Not for: what is asked of one kind of model (models/<kind>/options.py).
"""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import show_json
from cathrt.runtime.errors import ConfigError

if TYPE_CHECKING:
    from cathrt.export.graph.fold import Target
    from cathrt.runtime.bundle.manifest import Precision

_EXTRA = ("torch", "onnx", "safetensors")
# Written out, since the tables themselves import torch and onnx; a test holds them equal.
PrecisionName = Literal["fp32", "bf16", "fp16", "int8"]


class TargetName(StrEnum):
    """As cathrt.export.graph.fold.Target; typer takes a list of an enumeration's values, but not of a Literal's."""

    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TENSORRT_RTX = "tensorrt-rtx"
    TENSORRT = "tensorrt"


TARGETS: dict[TargetName, Target] = {
    TargetName.OPENVINO: "openvino",
    TargetName.ONNXRUNTIME: "onnxruntime",
    TargetName.TENSORRT_RTX: "tensorrt-rtx",
    TargetName.TENSORRT: "tensorrt",
}
PRECISIONS: dict[str, Precision] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}

QualifyOnOption = Annotated[
    Path | None,
    typer.Option("--qualify-on", readable=False, help="Folder of runs to qualify on, besides generated runs."),
]
PhantomsOption = Annotated[
    int, typer.Option("--qualify-phantoms", min=0, max=10_000, help="Number of generated runs to qualify on.")
]
GateOption = Annotated[
    list[str] | None,
    typer.Option("--gate", help="Make a limit of the gate stricter, such as agreement=0.995. May be repeated."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", readable=False, help="Checkpoint: .safetensors, .pth, .pt, .ckpt or .bin."),
]
StateOption = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="Set of weights in a checkpoint that holds several: ema, model, or its name. Default: the bundle's.",
    ),
]


def require_extra() -> None:
    """Raises ConfigError where a package that export needs is missing."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} not installed, which export needs: pip install '.[export]' in a clone of cathrt, "
            "or pip install 'FILE.whl[export]' of its wheel"
        )


def print_record(record: dict[str, Any]) -> None:
    """One JSON line on standard output."""
    show_json({**record, "notice": NOTICE})
