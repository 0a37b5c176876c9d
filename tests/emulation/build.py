"""Builds the runner: every kernel of a folder and the emulator, in one of three builds, each object compiled once.

Objects and programs lie under build/emulation and are named by the hash of what they were made from. Not for: talking
to the runner (stream.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent.parent
EMULATOR = Path(__file__).resolve().parent
KERNELS = ROOT / "kernels" / "src"
CACHE = ROOT / "build" / "emulation"
COMPILER = "g++"
JOBS = 2

Build = Literal["plain", "address", "thread"]
BUILDS: tuple[Build, ...] = ("plain", "address", "thread")

CORE = ("runner", "kernel", "block", "warp", "shared_memory", "fibers", "sites")
LANGUAGE = ("-std=c++20", "-g1", "-DCATHRT_EMULATED", "-fno-strict-aliasing", f"-I{EMULATOR}", f"-I{KERNELS}")
# The emulator itself is never instrumented, and its loops over shared memory must not become calls of memset.
CORE_FLAGS = ("-O3", "-fno-tree-loop-distribute-patterns", "-Wall", "-Wextra", "-Wshadow", "-Wno-restrict")
KERNEL_FLAGS = ("-Wall", "-Wextra", "-Wno-unused-function", "-Werror=return-type", "-ffp-contract=off")
SANITIZE: dict[Build, tuple[str, ...]] = {
    "plain": (),
    "address": ("-fsanitize=address,undefined",),
    "thread": ("-fsanitize=thread",),
}
INSTRUMENT: dict[Build, tuple[str, ...]] = {
    "plain": ("-O2",),
    "address": ("-O1", *SANITIZE["address"], "-fno-sanitize-recover=all"),
    "thread": ("-O1", *SANITIZE["thread"]),
}
TOLD: dict[Build, tuple[str, ...]] = {
    "plain": (),
    "address": ("-DCATHRT_ADDRESS_SANITIZER",),
    "thread": ("-DCATHRT_THREAD_SANITIZER",),
}
KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\(([^)]*)\)\s*)?(\w+)\s*\(')


class BuildError(Exception):
    """A kernel or the emulator did not compile; the compiler's text."""


@cache
def missing(build: Build) -> str | None:
    """Why this machine cannot make that build, or None: no compiler, or one without the sanitizer's runtime."""
    if shutil.which(COMPILER) is None:
        return f"no {COMPILER}: on Debian, apt-get install g++"
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.cpp"
        probe.write_text("int main() { return 0; }\n")
        command = [COMPILER, *SANITIZE[build], str(probe), "-o", f"{folder}/probe"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"{COMPILER} cannot link {SANITIZE[build]}: {done.stderr.strip()[-200:]}"


def kernels_of(source: Path) -> dict[str, str]:
    """The kernels a .cu defines and their launch bounds, as they are written; "0" without."""
    return {name: (bounds or "0").split(",")[0] for bounds, name in KERNEL.findall(source.read_text(encoding="utf-8"))}


def program(build: Build, kernels: Path = KERNELS, own: Path | None = None) -> Path:
    """The runner with all kernels of the folder. own: where what is made of them lies; None: in the cache, for good.

    Raises BuildError.
    """
    cache = CACHE / build
    cache.mkdir(parents=True, exist_ok=True)
    own = cache if own is None else own
    emulator = _texts([*EMULATOR.glob("*.*pp")])
    headers = emulator + _texts([*kernels.glob("*.cuh"), *kernels.glob("*.hpp")])
    sources = sorted(kernels.resolve().glob("*.cu"))
    with ThreadPoolExecutor(JOBS) as pool:
        with _locked(cache):
            core = [(name, f'#include "{EMULATOR}/{name}.cpp"\n', "core") for name in CORE]
            objects = list(pool.map(lambda unit: _object(cache, build, emulator, *unit), core))
        with _locked(own):
            units = [(source.stem, _unit_text(source), "kernel") for source in sources]
            objects += pool.map(lambda unit: _object(own, build, headers, *unit), units)
            runner = own / f"runner-{_hash(' '.join(made.name for made in objects))}"
            if not runner.exists():
                half = runner.with_suffix(".half")
                _run([COMPILER, *SANITIZE[build], *map(str, objects), "-o", str(half)])
                half.rename(runner)
    return runner


def _unit_text(source: Path) -> str:
    """A unit of its own for each .cu: nothing in it can clash with another's."""
    lines = ['#include "cuda_emu.hpp"', "namespace {", f'#include "{source}"']
    for name, bounds in kernels_of(source).items():
        lines.append('[[gnu::section("cathrt_registered")]]')  # not .bss: see _object
        lines.append(f'cathrt::emulation::Registered<{name}> registered_{name}("{name}", {bounds});')
    return "\n".join([*lines, "}", ""])


def _object(folder: Path, build: Build, headers: str, name: str, text: str, part: str) -> Path:
    flags = [*LANGUAGE, *TOLD[build], *(CORE_FLAGS if part == "core" else (*KERNEL_FLAGS, *INSTRUMENT[build]))]
    included = "".join(Path(path).read_text(encoding="utf-8") for path in re.findall(r'#include "(/.+)"', text))
    made = folder / f"{name}-{_hash(text, included, headers, *flags)}.o"
    if not made.exists():
        unit = made.with_suffix(".cpp")
        unit.write_text(text)
        half = made.with_suffix(".half")
        _run([COMPILER, *flags, "-c", str(unit), "-o", str(half)])
        if part == "kernel":
            # What a kernel's unit has in .bss are its __shared__ arrays. A section attribute on them would be simpler,
            # but GCC ignores it in templates (its bug 41091).
            _run(["objcopy", "--rename-section", ".bss=cathrt_shared,alloc,load,data,contents", str(half)])
        half.rename(made)
    return made


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}\n{done.stderr}")


def _texts(paths: list[Path]) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted(paths))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One build at a time, whichever process asks."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
