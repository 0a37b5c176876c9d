"""What this process may use of the CPU: how many threads, and which products it has.

Not for: choosing an engine or pinning threads. Linux: /proc, cgroup v1 and v2; `root` stands for "/" in tests.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cathrt.runtime.bundle.manifest import Rest

_ROOT = Path("/")


def cpu_quota(root: Path = _ROOT) -> int:
    """CPUs this process may keep busy: the smaller of its affinity mask and its cgroups' quota, at least 1.

    A quota of 1.5 CPUs counts as 1: a thread more would be throttled in the middle of a frame.
    """
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for quota in (_quota_v2(folder) or _quota_v1(folder) for folder in _cgroups(root)) if quota]
    return max(1, min(allowed, *(int(quota) for quota in quotas))) if quotas else allowed


def sums_int8_exactly(weight_bits: int = 8, root: Path = _ROOT) -> bool:
    """Whether products of int8 activations with weights of so many bits, 7 or 8, are summed without saturation.

    x86 before VNNI adds pairs of u8 x s8 products in 16 bits and clips them (VPMADDUBSW): a network quantised to the
    full int8 range then computes something else, quietly. Weights of 7 bits cannot reach the clip: 2 x 255 x 63 is
    32,130, int16 ends at 32,767. ARM widens first.
    """
    if weight_bits <= 7:
        return True
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    return not {"avx512_vnni", "avx_vnni", "amx_int8"}.isdisjoint(cpu_flags(root))


def multiplies_bfloat16(root: Path = _ROOT) -> bool:
    """Whether this CPU has bfloat16 products that OpenVINO uses: without them, bfloat16 is slower than float32."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(cpu_flags(root))


def rest_here(rest: Rest, root: Path = _ROOT) -> Rest:
    """What this CPU computes the rest of an int8 artifact in whose manifest asks for `rest`."""
    return rest if multiplies_bfloat16(root) else "float32"


def cpu_flags(root: Path = _ROOT) -> frozenset[str]:
    """Instruction sets of the first CPU by the kernel's names; empty where it tells none."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):  # x86, ARM
            return frozenset(value.split())
    return frozenset()


def _cgroups(root: Path) -> list[Path]:
    """Folders of the CPU controller this process is in, and all above them: each of them may set a quota."""
    folders = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if hierarchy != "0" and "cpu" not in controllers.split(","):
            continue
        mounts = ("sys/fs/cgroup", "sys/fs/cgroup/unified") if hierarchy == "0" else (f"sys/fs/cgroup/{controllers}",)
        parts = [part for part in name.split("/") if part not in ("", "..")]
        folders += [root / mount / "/".join(parts[:count]) for mount in mounts for count in range(len(parts) + 1)]
    return folders


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None  # -1: none set


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # this kernel has no such file: no quota from there
        return ""
