"""What pages and messages say of installing cathrt: it is on no index, and the extras that they name are there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

PLACES = ("README.md", "CONTRIBUTING.md", "docs", "runtime", "export", "kernels", "benchmarks", "release", "tests")
TEXTS = {".md", ".py", ".toml"}


def texts() -> Iterator[tuple[Path, str]]:
    for place in PLACES:
        root = ROOT / place
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.suffix in TEXTS and path != Path(__file__):
                yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def test_nothing_says_that_cathrt_can_be_fetched_from_an_index() -> None:
    wrong = [str(path) for path, text in texts() if re.search(r"pip install ['\"]?cathrt\b(?!-)", text)]
    assert not wrong, "say pip install '.[EXTRA]' in a clone, or 'FILE.whl[EXTRA]' of a built wheel"


def test_every_extra_that_is_named_is_one() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {found for _, text in texts() for found in re.findall(r"(?:'\.|\.whl)\[(\w+)\]", text)}
    assert {"export", "video", "gpu", "bench"} <= named <= extras.keys()
