"""The real angiograms through the real sandbox. Skips aloud where they are not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import discover
from tests.sources.reading import LIMITS, only_input, read_sandboxed


def test_the_real_cine_gives_its_96_frames(data_dir: Path) -> None:
    (input_,) = discover([data_dir / "xa_cine"]).inputs
    run, items = read_sandboxed(input_)
    assert (run.frame_count, run.rows, run.columns, run.grayscale.bits_stored) == (96, 512, 512, 8)
    assert run.timing.origin == "FrameTime"
    assert run.timing.frame_rate_hz == pytest.approx(1000 / 33)
    assert (run.radiation_setting, run.geometry.positioner_primary_angle_deg) == ("GR", -32.0)
    assert run.flags == ()
    frames = [item for item in items if isinstance(item, Frame)]
    assert len(frames) == 96
    assert len({frame.pixels.tobytes() for frame in frames}) > 90  # a moving heart, not one picture repeated


def test_the_real_ten_bit_frame_is_the_same_in_all_its_three_forms(data_dir: Path) -> None:
    pixels = {}
    for input_ in discover([data_dir / "xa_10bit"]).inputs:
        run, (item,) = read_sandboxed(input_)
        assert run.grayscale.bits_stored == 10
        assert isinstance(item, Frame)
        pixels[input_.name] = item.pixels
    assert len(pixels) == 3
    first, *others = pixels.values()
    assert all(np.array_equal(first, other) for other in others)
    dicom = pydicom.dcmread(data_dir / "xa_10bit" / "XA1_rewrapped_xa_10bit_explicitLE.dcm")
    assert np.array_equal(first, np.frombuffer(dicom.PixelData, "<u2").reshape(1024, 1024))


def test_three_consecutive_real_stills_are_one_run(data_dir: Path) -> None:
    (input_,) = discover([data_dir / "danilov_lca_sequence"]).inputs
    run, items = read_sandboxed(input_)
    assert (run.frame_count, run.rows, run.columns) == (3, 512, 512)
    assert all(isinstance(item, Frame) for item in items)
    assert "colour_to_luma" not in run.flags


def test_a_real_dose_report_is_refused_by_its_name(data_dir: Path) -> None:
    path = data_dir / "rdsr" / "siemens_axiom_example_procedure.dcm"
    with pytest.raises(SourceError, match="X-Ray Radiation Dose SR Storage"):
        open_source(only_input(path), LIMITS)
