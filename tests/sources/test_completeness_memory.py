"""The completeness checks read hostile bytes in C++: here under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.sources.code_streams import forms

COPIES = 60  # of each form
FLAGS = ["-std=c++20", "-O1", "-g1", "-Wall", "-Wextra", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver, built; skips aloud where the machine's compiler has no sanitizer runtime."""
    folder = tmp_path_factory.mktemp("sanitize")
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("needs a C++ compiler: found none")
    probe = folder / "probe.cpp"
    probe.write_text("int main() { return 0; }\n")
    built = subprocess.run(
        [compiler, *FLAGS, probe, "-o", folder / "probe"], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        pytest.skip(f"{compiler} has no sanitizer runtime: {built.stderr.strip()[-200:]}")
    sources = ROOT / "runtime" / "sources" / "src"
    files = [path for path in sorted(sources.glob("*.cpp")) if path.name != "module.cpp"]
    command = [compiler, *FLAGS, f"-I{sources}", Path(__file__).parent / "completeness_driver.cpp", *files]
    subprocess.run([*command, "-o", folder / "driver"], check=True, capture_output=True)
    return folder / "driver"


@pytest.mark.slow
def test_the_checks_stay_within_damaged_streams(driver: Path, tmp_path: Path) -> None:
    found = {name: form for name, form in forms().items() if form.kind != "jpeg-ls"}
    for name, form in found.items():
        (tmp_path / name).write_bytes(form.stream)
    command = [driver, str(COPIES), *sorted(tmp_path.iterdir())]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert result.returncode == 0, result.stderr[-3000:]
    whole, damaged = map(int, result.stdout.split())
    assert whole + damaged == COPIES * len(found)
    assert min(whole, damaged) > len(found)


@pytest.mark.slow
def test_the_sanitizer_would_have_noticed(driver: Path) -> None:
    result = subprocess.run([driver, "0"], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode != 0
    assert "heap-buffer-overflow" in result.stderr
