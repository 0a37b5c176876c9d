"""Whether the CPU or a GPU is being throttled for heat: Linux's counters and thermal zones, and NVML where it is there.

Reading takes about a millisecond on a large machine: for a thread beside the line. Not for: what follows from it
(live_ladder.py).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COUNTERS = "devices/system/cpu/cpu*/thermal_throttle/*_throttle_count"
_ZONES = "class/thermal/thermal_zone*"
_TRIPS = ("hot", "critical")  # types of trip points at which the kernel slows down or switches off
# nvml.h: reasons why clocks are low: SW thermal slowdown, HW slowdown, HW thermal slowdown
_NVML_HOT = 0x20 | 0x08 | 0x40


@dataclass(frozen=True, slots=True)
class Heat:
    """What is throttled now."""

    cpu: bool = False
    gpu: bool = False


ReadHeat = Callable[[], Heat]


class HeatReader:
    """Call it again and again: a counter that has risen since the call before means throttling."""

    def __init__(self, sys: Path = Path("/sys"), gpu: Callable[[], bool] | None = None) -> None:
        """sys: where sysfs is mounted. gpu: tells of a GPU; None: NVML, or nothing where that is missing."""
        self._counters = sorted(sys.glob(_COUNTERS))
        self._trips = [trip for zone in sorted(sys.glob(_ZONES)) for trip in _trip_points(zone)]
        self._gpu = nvml_heat() if gpu is None else gpu
        self._before = self._counted()

    def __call__(self) -> Heat:
        counted, before = self._counted(), self._before
        self._before = counted
        rose = any(now > then for now, then in zip(counted, before, strict=True))
        return Heat(cpu=rose or any(_number(temp) >= limit for temp, limit in self._trips), gpu=self._gpu())

    def _counted(self) -> Sequence[int]:
        return [_number(path) for path in self._counters]


def _trip_points(zone: Path) -> list[tuple[Path, int]]:
    """The zone's temperature, and the millidegrees at which each of its trip points lies."""
    found = []
    for kind in sorted(zone.glob("trip_point_*_type")):
        limit = _number(kind.with_name(kind.name.replace("_type", "_temp")))
        with suppress(OSError):
            if limit > 0 and kind.read_text(encoding="ascii").strip() in _TRIPS:
                found.append((zone / "temp", limit))
    return found


def _number(path: Path) -> int:
    """What a file of sysfs says; 0 where it cannot be read, as a sensor that sleeps."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return 0


def nvml_heat(library: str = "libnvidia-ml.so.1") -> Callable[[], bool]:
    """Whether one of the GPUs is throttled for heat; never, where NVML or a GPU is missing."""
    try:
        nvml = ctypes.CDLL(library)
    except OSError:
        return lambda: False
    count = ctypes.c_uint()
    if nvml.nvmlInit_v2() != 0 or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return lambda: False
    devices: list[Any] = []
    for index in range(count.value):
        device = ctypes.c_void_p()
        if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == 0:
            devices.append(device)

    def hot() -> bool:
        reasons = ctypes.c_ulonglong()
        return any(
            nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device, ctypes.byref(reasons)) == 0
            and bool(reasons.value & _NVML_HOT)
            for device in devices
        )

    return hot
