"""Stills and videos after public reports of other programs, through the real sandbox. Skips aloud where they are not
at hand. Not for: the DICOM files beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.frame import Frame, Run
from tests.sources.reading import only_input, read_sandboxed

STILLS = (
    "r24_rgba.png",
    "r24_la.png",
    "r24_palette.png",
    "r30_jpeg_plain.jpg",
    "r30_jpeg_trailer.jpg",
    "r31_jpeg_exif_rotated.jpg",
)


@pytest.fixture(scope="module")
def cases(data_dir: Path) -> Path:
    folder = data_dir / "reported_cases"
    if not folder.is_dir():
        pytest.skip(f"no reported cases: looked for {folder}")
    return folder


def read(path: Path) -> tuple[Run, list[NDArray[Any]]]:
    run, items = read_sandboxed(only_input(path))
    assert all(isinstance(item, Frame) for item in items), items
    return run, [item.pixels for item in items if isinstance(item, Frame)]


@pytest.mark.parametrize("name", STILLS)
def test_a_reported_still_is_the_picture_its_maker_meant(name: str, cases: Path) -> None:
    expected = json.loads((cases / "expected.json").read_text())[name]
    run, frames = read(cases / name)
    assert [hashlib.sha256(pixels.tobytes()).hexdigest()[:16] for pixels in frames] == expected["sha"]
    assert run.frame_count == expected["frames"]
    assert run.flags == ("frame_rate_default",)


def test_the_reported_rotated_video_is_turned(cases: Path) -> None:
    plain, stored = read(cases / "r21_plain.mp4")
    run, frames = read(cases / "r21_rotated_90.mp4")
    assert (plain.rows, plain.columns) == (96, 128)
    assert (run.rows, run.columns, run.frame_count) == (128, 96, 5)
    assert all(map(np.array_equal, frames, (np.rot90(pixels, -1) for pixels in stored)))
