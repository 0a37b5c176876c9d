"""What every test may ask for: where the real angiograms are, and a clear word where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real angiograms: $CATHRT_DATA, else ../shared/data beside the checkout. Skips aloud without it."""
    candidates = [Path(os.environ["CATHRT_DATA"])] if "CATHRT_DATA" in os.environ else [ROOT.parent / "shared" / "data"]
    for folder in candidates:
        if (folder / "manifest.csv").is_file():
            return folder
    pytest.skip(f"no real angiograms: looked in {', '.join(map(str, candidates))}; set CATHRT_DATA to their folder")
