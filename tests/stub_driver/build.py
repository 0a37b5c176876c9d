"""Builds the stub of libcuda.so.1 with the C compiler and nothing else, and says how a child process is given it.

A child: a process has loaded its driver, or found none, for good. Not for: what the stub does (the .c files here).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = sorted(Path(__file__).parent.glob("*.c"))
_HEADERS = sorted(Path(__file__).parent.glob("*.h"))
_FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O1", "-g", "-fPIC", "-fvisibility=hidden"]
_WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
_SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# What a process must load first for a sanitized library in it: cuda-core's exceptions need the second.
_RUNTIME = ("libasan.so", "libstdc++.so.6")


def compiler() -> str:
    """$CC, else cc, gcc or clang. Raises RuntimeError without one."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise RuntimeError("no C compiler: install one (Debian: apt-get install gcc) or set CC")


def sanitizer_runtime() -> list[str] | None:
    """Paths of the sanitizer's libraries, or None where the compiler has none that can be preloaded."""
    asked = [subprocess.run([compiler(), f"-print-file-name={name}"], capture_output=True, text=True, check=True)
             for name in _RUNTIME]  # fmt: skip
    paths = [done.stdout.strip() for done in asked]
    return paths if all(Path(path).is_absolute() for path in paths) else None


def build_stub(*, sanitized: bool = False) -> Path:
    """The folder that holds libcuda.so.1, built at most once for these sources."""
    flags = [*_FLAGS, *_WARNINGS, *(_SANITIZE if sanitized else [])]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*SOURCES, *_HEADERS]) + " ".join(flags).encode())
    folder = ROOT / "build" / "stub_driver" / digest.hexdigest()[:16]
    library = folder / "libcuda.so.1"
    if not library.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / library.name
            command = [compiler(), *flags, "-shared", "-Wl,-soname,libcuda.so.1", "-o", str(made)]
            subprocess.run([*command, *map(str, SOURCES), "-lpthread"], check=True)
            made.replace(library)
    return folder


def check_against_cuda_h(include: Path) -> subprocess.CompletedProcess[str]:
    """Compile the stub, without keeping it, against NVIDIA's cuda.h in this folder."""
    command = [compiler(), *_FLAGS, *_WARNINGS, "-fsyntax-only", "-DSTUB_AGAINST_CUDA_H", "-isystem", str(include)]
    return subprocess.run([*command, *map(str, SOURCES)], capture_output=True, text=True, check=False)


def run_under_stub(
    *arguments: str, sanitized: bool = False, timeout_s: float = 250.0, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments where the stub is the driver. settings: CATHRT_STUB_DEVICES, _SM, _REPORT, _HANG
    (a call that never returns).

    sanitized: AddressSanitizer watches what the stub reads and writes, on the host too, and ends the child at a fault.
    """
    if sanitized:
        preloaded = " ".join(sanitizer_runtime() or [])
        settings |= {"LD_PRELOAD": preloaded, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "LD_LIBRARY_PATH": str(build_stub(sanitized=sanitized)), **settings},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
