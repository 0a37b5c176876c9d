"""What a TensorRT plan was built from and for, and refusing one that does not fit before NVIDIA's code sees it.

A plan is no portable file: it fits the compute capabilities it was built for and the very TensorRT that built it. The
device is asked through the CUDA driver, since TensorRT's lean runtime crashes where there is none.
Not for: running a plan, and not for building one (export/targets/tensorrt.py).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.errors import EngineError

Target = Literal["tensorrt-rtx", "tensorrt"]

# cuda.h: CUdevice_attribute
_COMPUTE_CAPABILITY_MAJOR = 75
_COMPUTE_CAPABILITY_MINOR = 76
_NAME_BYTES = 256


@dataclass(frozen=True, slots=True)
class ShapeProfile:
    """The shapes of one dynamic input that a plan is built for: smallest, the one to be fast at, largest."""

    input: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the builder is told beside the graph. Precision is not among it: that stands in the graph.

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


def probe_device(ordinal: int = 0, library: str = "libcuda.so.1") -> Device:
    """Ask the CUDA driver for a device, without the CUDA runtime and without TensorRT.

    library: the driver's own; another one is only of use to tests. Raises EngineError where no device answers.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError as exc:
        raise EngineError(
            f"no NVIDIA driver: {library} cannot be loaded ({exc}), a TensorRT engine needs one: "
            "install the driver, or choose an engine for the CPU"
        ) from exc
    _call(cuda, "cuInit", ctypes.c_uint(0))
    count, version, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
    if not 0 <= ordinal < count.value:
        raise EngineError(
            f"CUDA device {ordinal} does not exist: the driver knows {count.value}: "
            "check nvidia-smi and CUDA_VISIBLE_DEVICES, or choose an engine for the CPU"
        )
    _call(cuda, "cuDriverGetVersion", ctypes.byref(version))
    _call(cuda, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(ordinal))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _call(cuda, "cuDeviceGetName", name, ctypes.c_int(_NAME_BYTES), device)
    sm = 10 * _attribute(cuda, device, _COMPUTE_CAPABILITY_MAJOR) + _attribute(cuda, device, _COMPUTE_CAPABILITY_MINOR)
    major, rest = divmod(version.value, 1000)
    return Device(name.value.decode(errors="replace"), sm, f"{major}.{rest // 10}")


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


def _call(cuda: ctypes.CDLL, name: str, *arguments: object) -> None:
    status = getattr(cuda, name)(*arguments)
    if status != 0:
        raise EngineError(
            f"the NVIDIA driver does not answer: {name} ended with CUDA error {status}: check nvidia-smi, "
            "or choose an engine for the CPU"
        )


def _attribute(cuda: ctypes.CDLL, device: ctypes.c_int, attribute: int) -> int:
    value = ctypes.c_int()
    _call(cuda, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
    return value.value


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
