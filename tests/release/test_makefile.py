"""The Makefile's lists: a change of any native source builds anew, and all of them are formatted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT


def listed(variable: str) -> set[Path]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (value,) = re.findall(rf"^{variable} := (.*)$", text, re.MULTILINE)
    (patterns,) = re.findall(r"\$\(wildcard (.*)\)", value)
    return {path for pattern in patterns.split() for path in ROOT.glob(pattern)}


@pytest.mark.parametrize("variable", ["NATIVE", "CPP"])
def test_every_native_source_of_the_wheel_is_listed(variable: str) -> None:
    folders = ("kernels/src", "kernels/decoder", "runtime/phantom/src", "runtime/sources/src")
    sources = {
        path
        for folder in folders
        for path in (ROOT / folder).iterdir()
        if path.suffix in {".cpp", ".hpp", ".cu", ".cuh"}
    }
    assert len(sources) > 40
    assert sources - listed(variable) == set()
