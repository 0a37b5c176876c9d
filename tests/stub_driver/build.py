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


def compiler() -> str:
    """$CC, else cc, gcc or clang. Raises RuntimeError without one."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise RuntimeError("no C compiler: install one (Debian: apt-get install gcc) or set CC")


def build_stub() -> Path:
    """The folder that holds libcuda.so.1, built at most once for these sources."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*SOURCES, *_HEADERS]))
    folder = ROOT / "build" / "stub_driver" / digest.hexdigest()[:16]
    library = folder / "libcuda.so.1"
    if not library.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / library.name
            command = [compiler(), *_FLAGS, *_WARNINGS, "-shared", "-Wl,-soname,libcuda.so.1", "-o", str(made)]
            subprocess.run([*command, *map(str, SOURCES), "-lpthread"], check=True)
            made.replace(library)
    return folder


def check_against_cuda_h(include: Path) -> subprocess.CompletedProcess[str]:
    """Compile the stub, without keeping it, against NVIDIA's cuda.h in this folder."""
    command = [compiler(), *_FLAGS, *_WARNINGS, "-fsyntax-only", "-DSTUB_AGAINST_CUDA_H", "-isystem", str(include)]
    return subprocess.run([*command, *map(str, SOURCES)], capture_output=True, text=True, check=False)


def run_under_stub(*arguments: str, timeout_s: float = 120.0, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments where the stub is the driver. settings: CATHRT_STUB_DEVICES, _SM, _REPORT."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "LD_LIBRARY_PATH": str(build_stub()), **settings},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
