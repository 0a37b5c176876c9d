"""kernels.fatbin holds every CUDA kernel for every SM, and the build says what it does where there is no nvcc."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.metadata import files
from importlib.resources import as_file
from importlib.resources import files as resources
from pathlib import Path

import pytest

from benchmarks.kernel_resources import MULTIPROCESSORS, SOURCES
from tests.conftest import ROOT
from tests.emulation.build import kernels_of

pytestmark = pytest.mark.timeout(600)


def configured(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A build of the fatbin alone."""
    if (cmake := shutil.which("cmake")) is None:
        pytest.skip("no cmake")
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\n"
        "project(kernels LANGUAGES NONE)\n"
        f'include("{ROOT}/kernels/fatbin.cmake")\n'
    )
    command = [cmake, "-S", str(folder), "-B", str(folder / "build"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def fatbin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed one where it is no older than its sources, else one built here; skips aloud without nvcc."""
    with as_file(resources("cathrt.kernels") / "kernels.fatbin") as installed:
        newest = max(source.stat().st_mtime for source in SOURCES.glob("*.cu*"))
        if installed.is_file() and installed.stat().st_mtime >= newest:
            return installed
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc: kernels.fatbin cannot be built here; install the CUDA toolkit 13")
    folder = tmp_path_factory.mktemp("fatbin")
    assert configured(folder, "-DCATHRT_CUDA=ON").returncode == 0
    done = subprocess.run(
        ["cmake", "--build", str(folder / "build")], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "kernels.fatbin"


def listed(fatbin: Path, *options: str) -> str:
    (program,) = (path.locate() for path in files("nvidia-cuda-cuobjdump") or () if path.name == "cuobjdump")
    return subprocess.run([str(program), *options, str(fatbin)], capture_output=True, text=True, check=True).stdout


def test_every_sm_has_its_code_and_later_ones_the_ptx_of_the_last(fatbin):
    assert {int(sm) for sm in re.findall(r"\.sm_(\d+)\.cubin", listed(fatbin, "--list-elf"))} == set(MULTIPROCESSORS)
    assert re.findall(r"\.sm_(\d+)\.ptx", listed(fatbin, "--list-ptx")) == ["120"]


def test_every_sm_has_every_kernel(fatbin):
    expected = sorted(kernel for source in SOURCES.glob("*.cu") for kernel in kernels_of(source))
    by_sm = listed(fatbin, "--dump-resource-usage").split("\narch = sm_")[1:]
    found = {int(text.split()[0]): sorted(re.findall(r"Function (\w+):", text)) for text in by_sm}
    assert {sm: kernels for sm, kernels in found.items() if kernels} == dict.fromkeys(MULTIPROCESSORS, expected)


@pytest.mark.parametrize(
    ("option", "code", "said"),
    [
        ("AUTO", 0, "nvcc not found: cathrt is built without its CUDA kernels"),
        ("ON", 1, "CATHRT_CUDA is ON but nvcc was not found: install the CUDA toolkit"),
        ("OFF", 0, ""),
        ("maybe", 1, "CATHRT_CUDA is maybe, expected AUTO, ON or OFF"),
    ],
)
def test_without_nvcc_the_build_goes_on_or_says_what_to_do(tmp_path, option, code, said):
    unseen = [str(Path(nvcc).parent) for nvcc in (shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc") if nvcc]
    make = shutil.which("make")  # which may lie beside nvcc
    done = configured(
        tmp_path, f"-DCATHRT_CUDA={option}", f"-DCMAKE_IGNORE_PATH={';'.join(unseen)}", f"-DCMAKE_MAKE_PROGRAM={make}"
    )
    assert done.returncode == code, done.stderr
    assert said in re.sub(r"\s+", " ", done.stdout + done.stderr)
