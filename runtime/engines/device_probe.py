"""Asks the driver for its CUDA devices, in a child process, because a driver may crash or hang.

`python -m cathrt.runtime.engines.device_probe` answers with one JSON line. Not for: a device that the line has open
already.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from cathrt.runtime.bundle.fingerprint import Device
from cathrt.runtime.engines.asked_child import ask_child, how_it_ended
from cathrt.runtime.errors import EngineError

ANSWER_WITHIN_S = 30.0  # a driver without persistence mode starts every GPU first, which takes seconds
_PROGRAM = ("-m", "cathrt.runtime.engines.device_probe")
_ADVICE = "check nvidia-smi, or choose an engine for the CPU"
# cuda.h: CUdevice_attribute
_COMPUTE_CAPABILITY_MAJOR = 75
_COMPUTE_CAPABILITY_MINOR = 76
_NAME_BYTES = 256


def probe_in_child(ordinal: int = 0) -> Device:
    """The device of this number. Raises EngineError where there is none, or the driver crashes or does not answer."""
    devices = devices_in_child()
    if not 0 <= ordinal < len(devices):
        raise EngineError(
            f"CUDA device {ordinal} does not exist: the driver knows {len(devices)}: "
            "check nvidia-smi and CUDA_VISIBLE_DEVICES, or choose an engine for the CPU"
        )
    return devices[ordinal]


def devices_in_child(*, program: Sequence[str] = _PROGRAM) -> tuple[Device, ...]:
    """probe_devices(), in another process. Raises EngineError as it does, or where the child crashes or hangs.

    program: arguments to the child's Python; another one is only of use to tests.
    """
    try:
        child = ask_child(program, ANSWER_WITHIN_S)
    except TimeoutError as exc:
        raise EngineError(
            f"the NVIDIA driver does not answer within {ANSWER_WITHIN_S:g} s: look at nvidia-smi and dmesg (lines with "
            "Xid), or choose an engine for the CPU"
        ) from exc
    lines = child.stdout.splitlines()
    if child.returncode == EngineError.exit_code and lines:
        raise EngineError(json.loads(lines[-1])["error"])
    if child.returncode != 0 or not lines:
        raise EngineError(f"asking the NVIDIA driver ended with {how_it_ended(child)}: {_ADVICE}")
    return tuple(Device(**device) for device in json.loads(lines[-1]))


def probe_devices(library: str = "libcuda.so.1") -> tuple[Device, ...]:
    """Ask the CUDA driver for its devices in this process, without the CUDA runtime and without TensorRT.

    It may crash or never return: call devices_in_child(), unless the process is a child itself.
    library: the driver's own; another one is only of use to tests. Raises EngineError where no driver answers.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError as exc:
        raise EngineError(
            f"no NVIDIA driver: {library} cannot be loaded ({exc}), a TensorRT engine needs one: "
            "install the driver, or choose an engine for the CPU"
        ) from exc
    _call(cuda, "cuInit", ctypes.c_uint(0))
    count, version = ctypes.c_int(), ctypes.c_int()
    _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
    _call(cuda, "cuDriverGetVersion", ctypes.byref(version))
    major, rest = divmod(version.value, 1000)
    return tuple(_device(cuda, ordinal, f"{major}.{rest // 10}") for ordinal in range(count.value))


def main() -> int:
    """Print the devices, or why there are none, as JSON."""
    try:
        print(json.dumps([asdict(device) for device in probe_devices()]))
    except EngineError as exc:
        print(json.dumps({"error": str(exc)}))
        return EngineError.exit_code
    return 0


def _device(cuda: ctypes.CDLL, ordinal: int, cuda_version: str) -> Device:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    _call(cuda, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(ordinal))
    _call(cuda, "cuDeviceGetName", name, ctypes.c_int(_NAME_BYTES), device)
    sm = 10 * _attribute(cuda, device, _COMPUTE_CAPABILITY_MAJOR) + _attribute(cuda, device, _COMPUTE_CAPABILITY_MINOR)
    return Device(name.value.decode(errors="replace"), sm, cuda_version)


def _call(cuda: ctypes.CDLL, name: str, *arguments: object) -> None:
    status = getattr(cuda, name)(*arguments)
    if status != 0:
        raise EngineError(f"the NVIDIA driver refuses: {name} ended with CUDA error {status}: {_ADVICE}")


def _attribute(cuda: ctypes.CDLL, device: ctypes.c_int, attribute: int) -> int:
    value = ctypes.c_int()
    _call(cuda, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
    return value.value


if __name__ == "__main__":
    sys.exit(main())
