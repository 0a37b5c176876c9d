"""DICOM files after public reports of other programs: counts, places and code streams. Skips aloud without them.

Equivalents that every checkout has: test_frame_counts.py, test_frame_places.py, test_odd_streams.py.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.sources.decoder.sandbox import open_source
from tests.sources.reading import LIMITS, only_input, read_here, read_sandboxed

FIVE = "r06_sv1_frames_one.dcm"  # the five pictures of the files without a row of their own
# File -> flags it must carry, and which frame is lost.
CASES: dict[str, tuple[set[str], int | None]] = {
    "r05_j2k14_stored16.dcm": ({"precision_below_bits_stored"}, None),
    "r06_j2k_frames_one.dcm": ({"more_frames_than_declared"}, None),
    "r06_sv1_frames_one.dcm": ({"more_frames_than_declared"}, None),
    "r06_sv1_frames_three.dcm": ({"more_frames_than_declared"}, None),
    "r07_trailing_empty_fragment.dcm": ({"empty_fragments"}, None),
    "r08_empty_frame_extended.dcm": ({"frames_missing"}, 2),
    "r08_empty_frame_in_table.dcm": ({"frames_missing"}, 2),
    "r08_empty_frame_no_table.dcm": ({"frames_missing"}, 2),
    "r08_j2k_empty_frame.dcm": ({"frames_missing"}, 2),
    "r08_jls_empty_frame.dcm": ({"frames_missing"}, 2),
    "r08b_split_frame_same_count.dcm": (set(), None),
    "r09_baseline_no_end_marker.dcm": ({"end_marker_missing"}, None),
    "r09_j2k_no_end_marker.dcm": ({"end_marker_missing"}, None),
    "r09_sv1_no_end_marker.dcm": ({"end_marker_missing"}, None),
    "r13_overlay_bits_jpeg_lossless.dcm": (set(), None),
    "r14_j2k_8_in_16.dcm": (set(), None),
    "r14_jls_8_in_16.dcm": (set(), None),
    "r14_sv1_8_in_16.dcm": (set(), None),
    "r15_jls_zero_before_eoi.dcm": (set(), None),
    "r17_rle_multi_no_table.dcm": (set(), None),
    "r17_rle_multi_with_table.dcm": (set(), None),
    "r17_rle_one_frame_fragments.dcm": (set(), None),
    "r18_jls_fragments_no_table.dcm": (set(), None),
    "r18_jls_fragments_table.dcm": (set(), None),
    "r19_rle_odd_segments.dcm": (set(), None),
    "r29_odd_native_8bit.dcm": (set(), None),
}


@pytest.fixture(scope="module")
def reported_cases(data_dir: Path) -> Path:
    folder = data_dir / "reported_cases"
    if not (folder / "expected.json").is_file():
        pytest.skip(f"no reported cases: looked in {folder}")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_a_reported_file_is_read_as_its_maker_meant_it(name: str, reported_cases: Path) -> None:
    expected = json.loads((reported_cases / "expected.json").read_text())
    hashes = expected.get(name, expected[FIVE])["sha"]
    flags, lost = CASES[name]
    run, items = read_here(reported_cases / name)
    assert set(run.flags) == flags
    assert len(items) == len(hashes)
    for index, (item, digest) in enumerate(zip(items, hashes, strict=True)):
        assert item.index == index
        assert isinstance(item, LostFrame) == (index == lost)
        if isinstance(item, Frame):
            assert hashlib.sha256(item.pixels.tobytes()).hexdigest()[:16] == digest
        else:
            assert "empty" in item.reason


@pytest.mark.parametrize(
    "name", ["r15_jls_zero_before_eoi.dcm", "r17_rle_multi_no_table.dcm", "r09_j2k_no_end_marker.dcm"]
)
def test_the_sandbox_changes_nothing(name: str, reported_cases: Path) -> None:
    run, items = read_here(reported_cases / name)
    confined, found = read_sandboxed(only_input(reported_cases / name))
    assert confined.flags == run.flags
    for item, here in zip(found, items, strict=True):
        assert isinstance(item, Frame)
        assert isinstance(here, Frame)
        assert np.array_equal(item.pixels, here.pixels)


def test_a_file_with_an_icon_only_is_refused_for_its_missing_pixel_data(reported_cases: Path) -> None:
    with pytest.raises(SourceError, match=r"no Pixel Data \(7FE0,0010\): the data set ends without it"):
        open_source(only_input(reported_cases / "r20_icon_only.dcm"), LIMITS)
