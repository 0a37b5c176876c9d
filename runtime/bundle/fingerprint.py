"""What a TensorRT plan was built from and for. Refuses a plan that does not fit before NVIDIA's code sees it.

A plan is no portable file: it fits the compute capabilities it was built for and the very TensorRT that built it.
Not for: asking for the device (device_probe.py), running a plan, and building one (export/targets/tensorrt.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.errors import EngineError

Target = Literal["tensorrt-rtx", "tensorrt"]


@dataclass(frozen=True, slots=True)
class ShapeProfile:
    """The shapes of one dynamic input that a plan is built for: smallest, the one to be fast at, largest."""

    input: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Options of the builder. Precision is not one of them: it is in the graph.

    tf32: let float32 products be rounded to 10 bits of mantissa. Off, where TensorRT's own default is on, because a
    manifest that says float32 means it. optimization_level: TensorRT's builder_optimization_level, 0 to 5.
    """

    tf32: bool = False
    optimization_level: int = 3


@dataclass(frozen=True, slots=True)
class EngineFingerprint:
    """Everything that decides what is in a plan and where it runs. Stands in the manifest beside the plan's file.

    tensorrt_version: of the package that built it, as its __version__ says. sm: compute capabilities, 89 for SM 8.9.
    cuda_version: the CUDA that package was made for, as its wheel's name says ("13"); None where no wheel says so.
    driver_version: CUDA version of the driver at the build; None where the build needed no device.
    onnx_sha256: of the ONNX file, 64 hex digits. It and the options can be built from again.
    """

    target: Target
    tensorrt_version: str
    sm: tuple[int, ...]
    cuda_version: str | None
    driver_version: str | None
    options: BuildOptions
    profiles: tuple[ShapeProfile, ...]
    onnx_sha256: str


@dataclass(frozen=True, slots=True)
class Device:
    """One CUDA device as its driver describes it. cuda_version: the newest CUDA the driver runs, "13.1"."""

    name: str
    sm: int
    cuda_version: str


def refuse_misfit(fingerprint: EngineFingerprint, device: Device, tensorrt_version: str) -> None:
    """Raise EngineError unless this device and the TensorRT at hand can run the plan.

    tensorrt_version: __version__ of the module that fingerprint.target names. Call it before deserialising.
    """
    faults = []
    if tensorrt_version != fingerprint.tensorrt_version:
        faults.append(
            f"plan built by {fingerprint.target} {fingerprint.tensorrt_version}, "
            f"this machine has {tensorrt_version or 'none'}"
        )
    if device.sm not in fingerprint.sm:
        faults.append(
            f"plan built for SM {sm_text(fingerprint.sm)}, this device ({device.name}) is SM {sm_text([device.sm])}"
        )
    needed = fingerprint.cuda_version
    if needed is not None and _numbers(device.cuda_version) < _numbers(needed):
        faults.append(
            f"plan needs a driver for CUDA {needed} or newer, this one ends at CUDA {device.cuda_version}: update it"
        )
    if faults:
        raise EngineError(f"{'; '.join(faults)}: rebuild with {rebuild_command(fingerprint.target, [device.sm])}")


def rebuild_command(target: Target, sm: Iterable[int]) -> str:
    """The command line that builds a plan for these compute capabilities."""
    return f"cathrt export keyframe ... --target {target} --sm {','.join(map(str, sm))}"


def sm_text(sm: Iterable[int]) -> str:
    """Compute capabilities as NVIDIA writes them: 89 is 8.9, 120 is 12.0."""
    return ", ".join(f"{number // 10}.{number % 10}" for number in sm) or "none"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
