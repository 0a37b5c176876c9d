"""The CPU quota, read from made-up /proc and /sys trees."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from cathrt.runtime.engines.cpu import cpu_quota, multiplies_bfloat16, rest_here, sums_int8_exactly


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = {"proc/self/cgroup": "0::/pods/line\n"}
V1 = {"proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/pods/line\n0::/\n"}


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        (V2, 8),
        (V2 | {"sys/fs/cgroup/pods/line/cpu.max": "200000 100000\n"}, 2),
        (V2 | {"sys/fs/cgroup/pods/line/cpu.max": "max 100000\n"}, 8),
        (V2 | {"sys/fs/cgroup/pods/line/cpu.max": "max 100000\n", "sys/fs/cgroup/pods/cpu.max": "300000 100000\n"}, 3),
        (V2 | {"sys/fs/cgroup/pods/line/cpu.max": "400000 100000\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1),
        (V2 | {"sys/fs/cgroup/pods/line/cpu.max": "50000 100000\n"}, 1),
        (V2 | {"sys/fs/cgroup/pods/line/cpu.max": "9900000 100000\n"}, 8),
        (V2 | {"sys/fs/cgroup/unified/pods/line/cpu.max": "200000 100000\n"}, 2),
        (V2 | {"sys/fs/cgroup/pods/line/cpu.max": "nonsense"}, 8),
        (
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/pods/line/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu,cpuacct/pods/line/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/pods/line/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/pods/line/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        (V1 | {"sys/fs/cgroup/memory/x/cpu.max": "100000 100000\n"}, 8),
    ],
)
def test_the_quota_is_the_smallest_of_affinity_and_cgroups(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    assert cpu_quota(tree(tmp_path, files)) == expected


def test_the_quota_of_this_machine_is_within_its_affinity() -> None:
    assert 1 <= cpu_quota() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("flags", "exact"),
    [("fpu avx2 fma", False), ("avx2 avx512f avx512bw", False), ("avx2 avx_vnni", True), ("avx512_vnni", True)],
)
def test_x86_sums_int8_exactly_with_vnni_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, exact: bool
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    root = tree(tmp_path, {"proc/cpuinfo": f"processor\t: 0\nflags\t\t: {flags}\nprocessor\t: 1\nflags\t\t: {flags}\n"})
    assert sums_int8_exactly(root=root) is exact
    assert sums_int8_exactly(7, root)


def test_arm_sums_int8_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert sums_int8_exactly(root=tmp_path)


@pytest.mark.parametrize(
    ("flags", "bfloat16"),
    [("avx2 fma", False), ("avx512f avx512_vnni", False), ("avx512_bf16", True), ("amx_tile amx_bf16", True)],
)
def test_a_bfloat16_rest_is_computed_where_the_cpu_multiplies_in_it_and_in_float32_elsewhere(
    tmp_path: Path, flags: str, bfloat16: bool
) -> None:
    root = tree(tmp_path, {"proc/cpuinfo": f"processor\t: 0\nflags\t\t: {flags}\n"})
    assert multiplies_bfloat16(root) is bfloat16
    assert rest_here("bfloat16", root) == ("bfloat16" if bfloat16 else "float32")
    assert rest_here("float32", root) == "float32"
