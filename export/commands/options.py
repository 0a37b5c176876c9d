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
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW
from cathrt.runtime.commands.options import show_json
from cathrt.runtime.errors import ConfigError

if TYPE_CHECKING:
    from cathrt.export.graph.fold import Target
    from cathrt.export.qualify.exported import AnyTarget
    from cathrt.runtime.bundle.manifest import Precision

_EXTRA = ("torch", "onnx", "safetensors", "transformers")
# Written out, since the tables themselves import torch and onnx; a test holds them equal.
PrecisionName = Literal["fp32", "bf16", "fp16", "int8"]  # of kinds whose networks answer frames


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


class OwnTargetName(StrEnum):
    """As exported.AnyTarget: of kinds with an export of their own."""

    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TENSORRT_RTX = "tensorrt-rtx"
    TENSORRT = "tensorrt"
    CATHRT = "cathrt"


OWN_TARGETS: dict[OwnTargetName, AnyTarget] = {
    OwnTargetName.OPENVINO: "openvino",
    OwnTargetName.ONNXRUNTIME: "onnxruntime",
    OwnTargetName.TENSORRT_RTX: "tensorrt-rtx",
    OwnTargetName.TENSORRT: "tensorrt",
    OwnTargetName.CATHRT: "cathrt",
}
PRECISIONS: dict[str, Precision] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}

TargetsOption = Annotated[list[TargetName], typer.Option("--target", help="Engine to build for. May be repeated.")]
OwnTargetsOption = Annotated[
    list[OwnTargetName], typer.Option("--target", help="Engine to build for. May be repeated.")
]
OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        readable=False,
        help="Folder for bundles, reports and finished stages. The same command goes on from these.",
    ),
]
SmOption = Annotated[
    str | None, typer.Option("--sm", help="Compute capabilities to build plans for, such as 86,89,120.")
]
SignOption = Annotated[
    Path | None,
    typer.Option(
        "--sign", readable=False, help="Private key. Without it the result is unsigned, and the runtime refuses it."
    ),
]
SignAnywayOption = Annotated[
    bool, typer.Option("--sign-anyway", help="Also sign a network that is no better than chance. Its outputs say so.")
]
QualifyOnOption = Annotated[
    Path | None,
    typer.Option("--qualify-on", readable=False, help="Folder of runs to qualify on, besides generated runs."),
]
PHANTOM_RUNS = 240
PhantomsOption = Annotated[
    int,
    typer.Option(
        "--qualify-phantoms", min=0, max=10_000, help="Generated runs to qualify on at most; fewer if they decide."
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", readable=False, help="Folder for what other exports can use again. Default: the user's."),
]
# The two verdicts as a person reads them.
FIDELITY_SAYS: dict[str, str] = {
    "passed": "the engine answers as its float network",
    "failed": "the engine does not answer as its float network",
    "not enough evidence": "too few runs to say whether the engine answers as its float network",
}
WORTH_SAYS: dict[str | None, str] = {
    BETTER: "the network is better than chance",
    NO_BETTER: "the network is no better than chance",
    TOO_FEW: "too few runs of known truth to say whether the network is better than chance",
    None: "the network's worth is not stated",
}
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
