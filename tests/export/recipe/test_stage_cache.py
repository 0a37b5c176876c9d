"""What a kept result rests on."""

from __future__ import annotations

from pathlib import Path

from cathrt.export.recipe.stage_cache import code_files

ROOT = Path(__file__).resolve().parents[3]


def test_other_code_in_any_package_gives_other_results() -> None:
    expected = {path for package in ("export", "runtime", "kernels") for path in (ROOT / package).rglob("*.py")}
    assert set(code_files()) == expected
