"""The wheel, built and installed apart from the checkout: everything it needs is in it, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_three_packages_and_no_source_of_the_native_part(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {tuple(name.split("/")[:2]) for name in names if name.startswith("cathrt/")}
    assert tops == {("cathrt", "runtime"), ("cathrt", "export"), ("cathrt", "kernels")}
    assert not [name for name in names if name.endswith((".cpp", ".hpp", ".cu", ".h"))]
    bundle = ("demonstration/model.onnx", "demonstration/manifest.sig", "demonstration.pub")
    bundle += ("demonstration_drafts/decoder.onnx", "demonstration_drafts/manifest.sig", "demonstration_drafts.pub")
    bundle += ("demonstration_studies/encoder.onnx", "demonstration_studies/manifest.sig", "demonstration_studies.pub")
    page = ("page/page.css", "page/page.js", "page/cathrt-japanese.otf", "page/OFL.txt")
    fonts = ("font/cathrt-document.ttf", "font/OFL.txt")
    lab = ("static/index.html", "static/words/ja.json", "static/fonts/cathrt-page.woff2", "vendor/preact.mjs")
    for needed in ("py.typed", *bundle, *page, *fonts, *lab):
        assert any(name.endswith(needed) for name in names), needed


def test_the_wheel_has_the_licence_of_everything_that_is_compiled_or_put_into_it(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    texts = {Path(name).name for name in archive.namelist() if ".dist-info/licenses/" in name}
    assert texts == {
        "LICENSE",
        "OFL.txt",
        "nanobind.txt",
        "robin-map.txt",
        *(f"{name}.LICENSE.txt" for name in ("htm", "preact", "uPlot")),
    }
    (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    assert "License-Expression: Apache-2.0 AND OFL-1.1 AND BSD-3-Clause AND MIT" in metadata


def test_the_installed_wheel_verifies_its_bundle_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel], check=True)
    bundle = site / "cathrt" / "runtime" / "bundle" / "shipped" / "demonstration"
    # -S keeps the editable install of this environment out; its packages come in by path
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    apart = {**os.environ, "PYTHONPATH": f"{site}:{packages}"}
    command = [sys.executable, "-S", "-m", "cathrt.runtime.commands.cli", "verify", str(bundle)]
    done = subprocess.run(command, env=apart, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "keyframe-demonstration" in done.stdout
