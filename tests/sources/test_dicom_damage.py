"""Any damage to a file ends as a run that adds up or as a SourceError, never as another exception of the reader."""

from __future__ import annotations

import tempfile
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame
from tests.sources.dicom_bytes import (
    DEFLATED,
    EXPLICIT_LITTLE,
    JPEG_SV1,
    encapsulated,
    native,
    part10,
    pictures,
    sequence,
    text,
    us,
    xa_elements,
    xa_file,
)
from tests.sources.reading import read_bytes_here

RICH = {
    "_00181065": text("DS", "0\\33\\34"),
    "_00281050": text("DS", "500\\300"),
    "_00281051": text("DS", "800\\200"),
    "_00283010": sequence({0x00283002: us(4, 0, 12), 0x00283006: ("OW", bytes(8))}),
    "_00181600": text("CS", "CIRCULAR"),
    "_00181610": text("IS", "8\\12"),
    "_00181612": text("IS", "9"),
}
NATIVE = xa_file(**RICH)
JPEG = part10(
    xa_elements(), encapsulated([bytes(imagecodecs.ljpeg_encode(f, bitspersample=10)) for f in pictures()]), JPEG_SV1
)


def assert_ends_well(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            run, items = read_bytes_here(Path(folder), data)
        except SourceError:
            return
    assert [item.index for item in items] == list(range(run.frame_count or 0))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([NATIVE, JPEG]), st.data())
def test_bytes_overwritten_anywhere_in_the_header(whole: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(132, min(len(whole), 900)))
    patch = data.draw(st.binary(min_size=1, max_size=6))
    assert_ends_well(whole[:start] + patch + whole[start + len(patch) :])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([NATIVE, JPEG]), st.data())
def test_a_file_cut_anywhere(whole: bytes, data: st.DataObject) -> None:
    assert_ends_well(whole[: data.draw(st.integers(1, len(whole)))])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_bytes_put_in_or_taken_out_anywhere(data: st.DataObject) -> None:
    at = data.draw(st.integers(132, 900))
    gone = data.draw(st.integers(0, 9))
    assert_ends_well(NATIVE[:at] + data.draw(st.binary(max_size=9)) + NATIVE[at + gone :])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=40))
def test_bytes_overwritten_within_compressed_frames(offset: int, patch: bytes) -> None:
    start = len(JPEG) - 1 - offset % (len(JPEG) - 900)
    assert_ends_well(JPEG[:start] + patch + JPEG[start + len(patch) :])


@pytest.mark.parametrize("closing", [b"", b"\x03\0", b"\1\0\0\xff\xff"], ids=["open", "empty block", "stored block"])
@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, DEFLATED])
def test_an_uncompressed_or_deflated_run_cut_anywhere_gives_true_frames_and_lost_ones(
    syntax: str, closing: bytes, tmp_path: Path
) -> None:
    frames = pictures(3, 37, 53, 10)
    whole = part10(xa_elements(3, 37, 53), native(frames, 16, syntax), syntax)
    read = 0
    for at in (len(whole) * i // 64 for i in range(1, 64)):
        cut = whole[:at] + (closing if syntax == DEFLATED else b"")
        try:
            _, items = read_bytes_here(tmp_path, cut)
        except SourceError:
            continue
        for item, picture in zip(items, frames, strict=True):
            if isinstance(item, Frame):
                read += 1
                assert np.array_equal(item.pixels, picture), (at, item.index)
    assert read > 20
