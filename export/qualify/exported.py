"""What became of one target of an export, as every command and program hands it on. Light to import.

Not for: making it (recipe/, and kinds with an export of their own), or saying it to a person (commands/export.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cathrt.export.qualify.evidence import Fidelity
    from cathrt.runtime.bundle.manifest import WorthVerdict

# What graph.fold.Target has, and our own engine, which kinds with an export of their own may have files for.
AnyTarget = Literal["openvino", "onnxruntime", "tensorrt-rtx", "tensorrt", "cathrt"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one target. path: the signed bundle, or the unsigned files; None where the verdicts forbid both.

    fidelity: the worst of all that was qualified. worth: likewise; None where the kind has no measure of it. not_run:
    what evidence says of an artifact that could not run here; empty where it did. accuracy: lines: how often the
    network is right, beside chance.
    """

    target: AnyTarget
    fidelity: Fidelity
    failures: tuple[str, ...]
    worth: WorthVerdict | None
    report: Path
    path: Path | None
    signed: bool
    not_run: str
    accuracy: tuple[str, ...] = ()
