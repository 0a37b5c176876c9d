"""The C++ sources under AddressSanitizer and UndefinedBehaviorSanitizer, in a program of their own."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


# Each program and how many cases it runs; the decoder's variants depend on the CPU.
DRIVERS = {"sanitize_driver": {240}, "sanitize_decoder": {48, 96, 144}}


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the drivers, in which only what has changed is built.

    Skips aloud where the machine has no CMake or its compiler no sanitizer runtime.
    """
    compiler = shutil.which("c++") or shutil.which("g++")
    cmake = shutil.which("cmake")
    if compiler is None or cmake is None:
        pytest.skip(f"needs cmake and a C++ compiler: found cmake {cmake}, compiler {compiler}")
    probe = tmp_path_factory.mktemp("sanitize") / "probe.cpp"
    probe.write_text("int main() { return 0; }\n")
    built = subprocess.run(
        [compiler, "-fsanitize=address,undefined", str(probe), "-o", str(probe.with_suffix(""))],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        pytest.skip(f"{compiler} has no sanitizer runtime: {built.stderr.strip()[-200:]}")
    # CMake keeps where the sources lie: a copy of the checkout gets a folder of its own.
    folder = ROOT / "build" / "sanitize" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    configure = [cmake, "-S", str(ROOT), "-B", str(folder), "-DCATHRT_SANITIZE_DRIVER=ON"]
    with (folder / "lock").open("w") as lock:  # another worker may want them, too
        flock(lock, LOCK_EX)
        subprocess.run(configure, check=True, capture_output=True)
        subprocess.run([cmake, "--build", str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_kernels_stay_within_their_buffers(driver: str, drivers: Path) -> None:
    result = subprocess.run([drivers / driver], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout) in DRIVERS[driver]


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_sanitizer_would_have_noticed(driver: str, drivers: Path) -> None:
    command = [drivers / driver, "step outside"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode != 0
    assert "heap-buffer-overflow" in result.stderr
