"""What each CUDA kernel uses of a multiprocessor, on every SM cathrt is built for. Compiled without a GPU.

`python -m benchmarks.kernel_resources [--json] [--write]`. --write keeps the figures in kernels/resources.json, which
tests/kernels/test_resources.py holds later compilations to. Not for: speed, which no compiler tells.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cuda.bindings import nvrtc

from benchmarks import measure

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "kernels" / "src"
TABLE = ROOT / "kernels" / "resources.json"
JOBS = 2


@dataclass(frozen=True, slots=True)
class Multiprocessor:
    """What one holds at a time. reserved_bytes: of shared memory, by the system, for every block."""

    warps: int
    blocks: int
    shared_bytes: int
    reserved_bytes: int = 1024


# CUDA C++ Programming Guide, "Compute Capabilities": technical specifications per compute capability.
MULTIPROCESSORS = {
    75: Multiprocessor(32, 16, 64 << 10, reserved_bytes=0),
    80: Multiprocessor(64, 32, 164 << 10),
    86: Multiprocessor(48, 16, 100 << 10),
    87: Multiprocessor(48, 16, 164 << 10),
    89: Multiprocessor(48, 24, 100 << 10),
    90: Multiprocessor(64, 32, 228 << 10),
    100: Multiprocessor(64, 32, 228 << 10),
    110: Multiprocessor(48, 24, 228 << 10),
    120: Multiprocessor(48, 24, 100 << 10),
}
# The same on all of them.
REGISTERS = 64 << 10  # on a multiprocessor
REGISTER_UNIT = 256  # given to a warp at a time
WARP_UNIT = 4  # a warp's registers lie in one quarter of the multiprocessor
SHARED_UNIT = {75: 256}  # given to a block at a time; 128 from SM 8.0 on


@dataclass(frozen=True, slots=True)
class Resources:
    """Of one kernel on one SM. shared_bytes: static. occupancy: resident warps of those there could be, with blocks as
    large as the launch bounds allow and no dynamic shared memory."""

    registers: int
    shared_bytes: int
    spill_bytes: int
    stack_bytes: int
    occupancy: float


Table = dict[str, dict[int, Resources]]  # by kernel, then by SM


class CompileError(Exception):
    """NVRTC refused a kernel: file, SM and the compiler's log."""


def occupancy(sm: int, threads: int, registers: int, shared_bytes: int) -> float:
    """Theoretical, by the rule of NVIDIA's occupancy calculator."""
    has = MULTIPROCESSORS[sm]
    warps = -(-threads // 32)
    unit = SHARED_UNIT.get(sm, 128)
    shared = -(-(shared_bytes + has.reserved_bytes) // unit) * unit
    warp_registers = -(-registers * 32 // REGISTER_UNIT) * REGISTER_UNIT
    warps_by_registers = REGISTERS // warp_registers // WARP_UNIT * WARP_UNIT
    blocks = min(has.blocks, has.warps // warps, warps_by_registers // warps)
    if shared:
        blocks = min(blocks, has.shared_bytes // shared)
    return round(blocks * warps / has.warps, 4)


def compile_all(sources: Path = SOURCES) -> Table:
    """Every kernel of the folder for every SM. Raises CompileError."""
    files = sorted(sources.glob("*.cu"))
    tasks = [(file, sm) for file in files for sm in MULTIPROCESSORS]
    table: Table = {}
    with ThreadPoolExecutor(JOBS) as pool:
        threads = dict(zip(files, pool.map(_threads_of, files), strict=True))
        logs = pool.map(lambda task: _compiled(*task)[0], tasks)
        for (file, sm), log in zip(tasks, logs, strict=True):
            for kernel, resources in _resources_in(log, file, sm, threads[file]):
                table.setdefault(kernel, {})[sm] = resources
    return table


_USED = re.compile(
    r"Function properties for (\w+)\s+ptxas\s+\. +(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill"
    r" loads\s+ptxas info *: Used (\d+) registers([^\n]*)"
)


def _resources_in(log: str, file: Path, sm: int, threads: Mapping[str, int]) -> Iterator[tuple[str, Resources]]:
    found = _USED.findall(log)
    if {kernel for kernel, *_ in found} != set(threads) or len(found) != log.count("bytes stack frame"):
        raise CompileError(f"{file.name} for sm_{sm}: every function must be inlined into its kernels; found\n{log}")
    for kernel, stack, stores, loads, registers, more in found:
        shared = re.search(r"(\d+) bytes smem", more)
        shared_bytes = int(shared[1]) if shared else 0
        share = occupancy(sm, threads[kernel], int(registers), shared_bytes)
        yield kernel, Resources(int(registers), shared_bytes, int(stores) + int(loads), int(stack), share)


def _threads_of(file: Path) -> dict[str, int]:
    """The most threads a block of each kernel has: the launch bounds, which every kernel must state."""
    _, ptx = _compiled(file, None)
    entries = re.split(r"\.visible \.entry ", ptx)[1:]
    threads = {}
    for entry in entries:
        kernel = re.split(r"\W", entry)[0]
        bounds = re.search(r"\.maxntid (\d+)(?:, (\d+))?(?:, (\d+))?", entry)
        if bounds is None:
            raise CompileError(f"{file.name}: {kernel} has no __launch_bounds__: state how many threads a block has")
        x, y, z = (int(extent or 1) for extent in bounds.groups())
        threads[kernel] = x * y * z
    return threads


def _compiled(file: Path, sm: int | None) -> tuple[str, str]:
    """(log, PTX) of one source for one SM; of the oldest virtual one, which has PTX, for None."""
    result, program = nvrtc.nvrtcCreateProgram(file.read_bytes(), file.name.encode(), 0, [], [])
    target = "compute_75" if sm is None else f"sm_{sm}"
    options = [f"--gpu-architecture={target}", "--std=c++17", f"-I{file.parent}", "--ptxas-options=-v"]
    result, *_ = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    log = _text(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
    if result != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompileError(f"{file.name} for {target}: {result.name}\n{log}")
    ptx = _text(program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX) if sm is None else ""
    nvrtc.nvrtcDestroyProgram(program)
    return log, ptx


def _text(program: Any, size_of: Any, read: Any) -> str:
    _, size = size_of(program)
    if size <= 1:
        return ""  # a terminator alone; and Python has every bytes object of length 1 only once: never write into it
    text = b" " * size
    read(program, text)
    return text.rstrip(b"\0").decode()


def kept(path: Path = TABLE) -> Table:
    """The table as it was last accepted."""
    loaded = json.loads(path.read_text(encoding="utf-8"))
    return {
        kernel: {int(sm): Resources(**figures) for sm, figures in by_sm.items()} for kernel, by_sm in loaded.items()
    }


def keep(table: Table, path: Path = TABLE) -> None:
    """Accept the table: one line a kernel and SM."""
    kernels = []
    for kernel, by_sm in sorted(table.items()):
        lines = [f'    "{sm}": {json.dumps(asdict(resources))}' for sm, resources in by_sm.items()]
        kernels.append(f'  "{kernel}": {{\n' + ",\n".join(lines) + "\n  }")
    path.write_text("{\n" + ",\n".join(kernels) + "\n}\n", encoding="utf-8")


def complaints(found: Table, allowed: Table) -> list[str]:
    """Every kernel that spills, takes more than the accepted table allows, or stands in only one of the two."""
    told = [f"{kernel}: in no source, but in {TABLE.name}" for kernel in allowed if kernel not in found]
    for kernel, by_sm in found.items():
        for sm, has in by_sm.items():
            may = allowed.get(kernel, {}).get(sm)
            if may is None:
                told.append(f"{kernel} on sm_{sm}: not in {TABLE.name}")
            if has.spill_bytes > 0:
                told.append(f"{kernel} on sm_{sm}: spill_bytes: found {has.spill_bytes}, allowed 0")
            for name in ("registers", "shared_bytes", "stack_bytes", "occupancy") if may is not None else ():
                figure, limit = getattr(has, name), getattr(may, name)
                if figure < limit if name == "occupancy" else figure > limit:
                    told.append(f"{kernel} on sm_{sm}: {name}: found {figure}, allowed {limit}")
    return told


def rows(table: Table) -> Iterator[dict[str, Any]]:
    """One row a kernel and SM, then the headline."""
    with measure.Heartbeat() as heartbeat:
        for kernel, by_sm in table.items():
            for sm, resources in by_sm.items():
                yield {"bench": "kernel_resources", "case": f"{kernel} sm_{sm}", **asdict(resources)}
        every = [resources for by_sm in table.values() for resources in by_sm.values()]
        figures: dict[str, float] = {
            "kernels": len(table),
            "sms_compiled": min((len(by_sm) for by_sm in table.values()), default=0),
            "spills_total": sum(resources.spill_bytes for resources in every),
            "registers_max": max((resources.registers for resources in every), default=0),
            "occupancy_min": min((resources.occupancy for resources in every), default=0.0),
        }
        yield measure.headline("kernel_resources", figures, heartbeat, ("cuda-bindings", "nvidia-cuda-nvrtc"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--write", action="store_true", help=f"accept: write {TABLE.relative_to(ROOT)}")
    options = parser.parse_args()
    started = time.monotonic()
    table = compile_all()
    took = time.monotonic() - started
    if options.write:
        keep(table)
    for row in rows(table):
        if options.json:
            print(json.dumps(row))
        elif "headline" in row:
            print(", ".join(f"{key} {value:g}" for key, value in row["headline"].items()), f"in {took:.1f} s")
        else:
            figures = ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("bench", "case"))
            print(f"{row['case']:<48} {figures}")


if __name__ == "__main__":
    main()
