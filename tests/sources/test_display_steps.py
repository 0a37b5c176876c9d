"""Which steps of the display an object has: what leads back to X-ray intensity is flagged and not applied.

That the grey of all of them is right: test_display_matrix.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.frame import Frame, LookupTable, Rescale, Run
from cathrt.runtime.preprocess import Preprocessor
from tests.sources.dicom_bytes import (
    Elements,
    Value,
    native,
    part10,
    pictures,
    sequence,
    text,
    us,
    xa_elements,
    xa_file,
)
from tests.sources.display_matrix import CAPTURES, X_RAY
from tests.sources.reading import read_bytes_here, read_here
from tests.test_preprocess import SPEC

TO_LINEAR: NDArray[np.int64] = (np.arange(1024, dtype=np.int64) ** 2) // 1023  # of LOG, to 10 bits
WINDOW: Elements = {0x00281050: text("DS", "512"), 0x00281051: text("DS", "1024")}


def table(data: NDArray[np.int64]) -> Value:
    return sequence({0x00283002: us(len(data), 0, 10), 0x00283006: ("OW", data.astype("<u2").tobytes())})


def read(folder: Path, uid: str, more: Elements) -> tuple[Run, Frame]:
    elements = xa_elements() | {0x00080016: text("UI", uid)} | more
    run, items = read_bytes_here(folder, part10(elements, native(pictures()), meta={0x00020002: text("UI", uid)}))
    assert isinstance(items[0], Frame)
    return run, items[0]


def grey(run: Run, frame: Frame) -> NDArray[np.float32]:
    """In [0, 1], at the frame's own size."""
    rows, columns = frame.pixels.shape
    spec = replace(SPEC, height=rows, width=columns, mean=(0.0,) * 3, std=(1.0,) * 3)
    out = np.empty((1, 3, rows, columns), np.float32)
    assert Preprocessor(run, spec)(frame.pixels, out, frame.grayscale)
    return out[0, 0]


STEPS: dict[str, tuple[Elements, set[str]]] = {
    "rescale": ({0x00281052: text("DS", "-7"), 0x00281053: text("DS", "2")}, {"rescale_not_applied"}),
    "rescale slope alone": ({0x00281053: text("DS", "2")}, {"rescale_not_applied"}),
    "identity": ({0x00281052: text("DS", "0"), 0x00281053: text("DS", "1")}, set()),
    "table": ({0x00283000: table(TO_LINEAR)}, {"modality_lut_not_applied"}),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("sop_class", X_RAY)
def test_an_x_ray_object_has_no_modality_step(sop_class: str, step: str, tmp_path: Path) -> None:
    elements, flags = STEPS[step]
    run, frame = read(tmp_path, X_RAY[sop_class], WINDOW | elements)
    assert run.grayscale.modality is None
    assert set(run.flags) - {"modality_mismatch"} == flags
    plain = read(tmp_path, X_RAY[sop_class], WINDOW)
    assert np.array_equal(grey(run, frame), grey(*plain))


@pytest.mark.parametrize("sop_class", CAPTURES)
def test_a_secondary_capture_has_one(sop_class: str, tmp_path: Path) -> None:
    uid = CAPTURES[sop_class]
    run, _ = read(tmp_path, uid, STEPS["rescale"][0])
    assert run.grayscale.modality == Rescale(2.0, -7.0)
    assert run.flags == ("secondary_capture",)
    run, _ = read(tmp_path, uid, STEPS["table"][0] | STEPS["rescale"][0])
    assert isinstance(run.grayscale.modality, LookupTable)
    assert np.array_equal(run.grayscale.modality.values, TO_LINEAR)


def test_a_log_object_with_a_table_back_to_linear_keeps_its_brightness(tmp_path: Path) -> None:
    log: Elements = {0x00281040: text("CS", "LOG")}
    run, frame = read(tmp_path, X_RAY["XA"], WINDOW | log | {0x00283000: table(TO_LINEAR)})
    shown = frame.pixels.astype(np.float64) / 1023.0
    np.testing.assert_allclose(grey(run, frame), shown, rtol=0, atol=1e-5)
    assert abs(float(shown.mean()) - float((TO_LINEAR[frame.pixels] / 1023.0).mean())) > 0.1


@pytest.mark.parametrize("level", ["shared", "of each frame"])
def test_a_pixel_intensity_relationship_lut_is_flagged_and_not_applied(level: str, tmp_path: Path) -> None:
    group: Elements = {0x00289422: table(TO_LINEAR), 0x00289132: sequence(WINDOW)}
    groups = {0x52009229: sequence(group)} if level == "shared" else {0x52009230: sequence(group, group, group)}
    run, frame = read(tmp_path, X_RAY["Enhanced XA"], groups)
    assert run.grayscale.modality is None
    assert run.flags == ("pixel_intensity_relationship_lut_not_applied",)
    np.testing.assert_allclose(grey(run, frame), frame.pixels / np.float64(1023.0), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "flags"),
    [
        ("MONOCHROME2", None, False, set()),
        ("MONOCHROME1", None, True, set()),
        ("MONOCHROME2", "IDENTITY", False, set()),
        ("MONOCHROME1", "INVERSE", True, set()),
        ("MONOCHROME2", "INVERSE", True, {"presentation_lut_shape_contradicts"}),
        ("MONOCHROME1", "IDENTITY", False, {"presentation_lut_shape_contradicts"}),
        ("MONOCHROME1", "LIN OD", True, {"presentation_lut_shape_unusable"}),
    ],
)
def test_a_picture_is_inverted_once_or_not_at_all(
    photometric: str, shape: str | None, inverted: bool, flags: set[str], tmp_path: Path
) -> None:
    more: Elements = WINDOW | {0x00280004: text("CS", photometric)}
    if shape is not None:
        more[0x20500020] = text("CS", shape)
    run, frame = read(tmp_path, X_RAY["XA"], more)
    upright = frame.pixels / np.float64(1023.0)
    np.testing.assert_allclose(grey(run, frame), 1.0 - upright if inverted else upright, rtol=0, atol=1e-5)
    assert set(run.flags) == flags


def test_a_padding_value_is_named_and_changes_nothing(tmp_path: Path) -> None:
    run, items = read_bytes_here(tmp_path, xa_file(_00280120=us(0)))
    plain, others = read_bytes_here(tmp_path, xa_file())
    assert run.flags == ("pixel_padding_not_masked",)
    assert isinstance(items[0], Frame)
    assert isinstance(others[0], Frame)
    assert np.array_equal(grey(run, items[0]), grey(plain, others[0]))


def reported(data_dir: Path, name: str) -> tuple[Run, Frame]:
    path = data_dir / "reported_cases" / name
    if not path.is_file():
        pytest.skip(f"no reported case: looked for {path}")
    run, items = read_here(path)
    assert isinstance(items[0], Frame)
    return run, items[0]


def test_the_reported_monochrome1_with_inverse_is_inverted_once(data_dir: Path) -> None:
    run, frame = reported(data_dir, "r23_mono1_inverse.dcm")
    assert run.flags == ()
    np.testing.assert_allclose(grey(run, frame), 1.0 - frame.pixels / np.float64(1023.0), rtol=0, atol=1e-5)


def test_the_reported_table_to_linear_is_not_for_display(data_dir: Path) -> None:
    run, frame = reported(data_dir, "r32_enhanced_to_linear_lut.dcm")
    assert "pixel_intensity_relationship_lut_not_applied" in run.flags
    assert (run.grayscale.modality, run.grayscale.pixel_intensity_relationship) == (None, "LOG")
    np.testing.assert_allclose(grey(run, frame), frame.pixels / np.float64(1023.0), rtol=0, atol=1e-5)
