"""The C++ sources under AddressSanitizer and UndefinedBehaviorSanitizer, in a program of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


# Each program and how many cases it runs; the decoder's variants depend on the CPU.
DRIVERS = {"sanitize_driver": {240}, "sanitize_decoder": {48, 96, 144}}


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the drivers; skips aloud where the machine has no CMake or its compiler no sanitizer runtime."""
    folder = tmp_path_factory.mktemp("sanitize")
    compiler = shutil.which("c++") or shutil.which("g++")
    cmake = shutil.which("cmake")
    if compiler is None or cmake is None:
        pytest.skip(f"needs cmake and a C++ compiler: found cmake {cmake}, compiler {compiler}")
    probe = folder / "probe.cpp"
    probe.write_text("int main() { return 0; }\n")
    built = subprocess.run(
        [compiler, "-fsanitize=address,undefined", str(probe), "-o", str(folder / "probe")],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        pytest.skip(f"{compiler} has no sanitizer runtime: {built.stderr.strip()[-200:]}")
    configure = [cmake, "-S", str(ROOT), "-B", str(folder), "-DCATHRT_SANITIZE_DRIVER=ON"]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run([cmake, "--build", str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_kernels_stay_within_their_buffers(driver: str, drivers: Path) -> None:
    result = subprocess.run([drivers / driver], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout) in DRIVERS[driver]


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_sanitizer_would_have_noticed(driver: str, drivers: Path) -> None:
    command = [drivers / driver, "step outside"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode != 0
    assert "heap-buffer-overflow" in result.stderr
