"""VOI LUTs and Modality LUTs whose descriptor and data do not agree: the table that was meant, and a flag."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.frame import Frame, LookupTable, Run
from cathrt.runtime.preprocess import Preprocessor
from tests.sources.dicom_bytes import SECONDARY_CAPTURE, Value, sequence, text, us, xa_file
from tests.sources.reading import read_bytes_here, read_here
from tests.test_preprocess import SPEC

FULL: NDArray[np.int64] = np.arange(1024) * 65535 // 1023  # of 10 bits stored to 16


def lut(descriptor: tuple[int, int, int], data: NDArray[np.int64] | bytes) -> Value:
    octets = data if isinstance(data, bytes) else data.astype("<u2").tobytes()
    return sequence({0x00283002: us(*descriptor), 0x00283006: ("OW", octets)})


def read(folder: Path, table: Value) -> tuple[Run, Frame]:
    run, items = read_bytes_here(folder, xa_file(_00283010=table))
    assert isinstance(items[0], Frame)
    return run, items[0]


def grey(run: Run, frame: Frame) -> NDArray[np.float64]:
    """In [0, 1], at the frame's own size."""
    rows, columns = frame.pixels.shape
    spec = replace(SPEC, height=rows, width=columns, mean=(0.0,) * 3, std=(1.0,) * 3, layout="NCHW")
    out = np.empty((1, 3, rows, columns), np.float32)
    assert Preprocessor(run, spec)(frame.pixels, out)
    return out[0, 0].astype(np.float64)


@pytest.mark.parametrize(
    ("descriptor", "data", "bits", "flags"),
    [
        ((1024, 0, 16), FULL, 16, set()),
        ((1024, 0, 16), FULL >> 4 << 4, 16, set()),  # 12 bits shifted up end at 65,520
        ((1024, 0, 12), FULL >> 4, 12, set()),
        ((1024, 0, 10), FULL >> 6, 10, set()),
        ((1024, 0, 16), FULL >> 4, 12, {"voi_lut_range_from_data"}),
        ((1024, 0, 16), FULL >> 8, 8, {"voi_lut_range_from_data"}),
        ((1024, 0, 12), FULL >> 6, 10, {"voi_lut_range_from_data"}),
        ((1024, 0, 12), FULL, 16, {"voi_lut_range_from_data"}),
        ((1024, 0, 20), FULL, 16, {"voi_lut_range_from_data"}),
        ((1024, 0, 0), FULL, 16, {"voi_lut_range_from_data"}),
        ((1024, 0, 16), FULL * 9 // 10, 16, {"voi_lut_below_range"}),
        ((1024, 0, 12), FULL * 6 // 160, 12, {"voi_lut_below_range"}),
    ],
)
def test_the_range_of_a_voi_lut_is_declared_unless_its_data_contradict_it(
    descriptor: tuple[int, int, int], data: NDArray[np.int64], bits: int, flags: set[str], tmp_path: Path
) -> None:
    run, frame = read(tmp_path, lut(descriptor, data))
    assert isinstance(run.grayscale.voi, LookupTable)
    assert run.grayscale.voi.bits == bits
    assert set(run.flags) == flags
    np.testing.assert_allclose(grey(run, frame), data[frame.pixels] / ((1 << bits) - 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("descriptor", "data", "flags"),
    [
        ((1024, 0, 8), FULL >> 8, set()),  # one entry a word
        ((1024, 0, 8), (FULL >> 8).astype(np.uint8).tobytes(), set()),  # two entries a word
        ((1024, 0, 16), (FULL >> 8).astype(np.uint8).tobytes(), {"voi_lut_range_from_data"}),
        ((1023, 0, 8), (FULL >> 8).astype(np.uint8)[:1023].tobytes() + b"\0", set()),  # padded
        ((1024, 0, 16), FULL[:700], {"lut_entries_not_as_declared"}),
        ((700, 0, 16), FULL, {"lut_entries_not_as_declared"}),
        ((1024, 0, 16), FULL[:1], {"lut_entries_not_as_declared", "voi_lut_range_from_data"}),
        ((2, 1, 16), FULL[[0, -1]], set()),
    ],
)
def test_the_entries_of_a_voi_lut_are_those_that_are_there(
    descriptor: tuple[int, int, int], data: NDArray[np.int64] | bytes, flags: set[str], tmp_path: Path
) -> None:
    run, frame = read(tmp_path, lut(descriptor, data))
    entries = np.frombuffer(data, np.uint8)[: descriptor[0]] if isinstance(data, bytes) else data
    voi = run.grayscale.voi
    assert isinstance(voi, LookupTable)
    assert np.array_equal(voi.values, entries)
    assert set(run.flags) - {"voi_lut_below_range"} == flags
    index = np.clip(frame.pixels.astype(int) - descriptor[1], 0, len(entries) - 1)
    np.testing.assert_allclose(grey(run, frame), entries[index] / ((1 << voi.bits) - 1), rtol=0, atol=1e-6)


def test_a_count_of_zero_means_65536_entries(tmp_path: Path) -> None:
    run, _ = read(tmp_path, lut((0, 0, 16), np.arange(65536)))
    assert isinstance(run.grayscale.voi, LookupTable)
    assert run.grayscale.voi.values.size == 65536
    assert run.flags == ()


def test_a_further_voi_lut_is_a_choice_not_taken(tmp_path: Path) -> None:
    item = {0x00283002: us(1024, 0, 16), 0x00283006: ("OW", FULL.astype("<u2").tobytes())}
    run, _ = read(tmp_path, sequence(item, item))
    assert run.flags == ("voi_several",)


@pytest.mark.parametrize("bits", [8, 12, 16, 20])
def test_a_modality_lut_gives_its_entries_whatever_bits_it_declares(bits: int, tmp_path: Path) -> None:
    table = lut((1024, 0, bits), FULL >> 6)
    data = xa_file(_00080016=text("UI", SECONDARY_CAPTURE), _00283000=table)
    run, _ = read_bytes_here(tmp_path, data)
    assert isinstance(run.grayscale.modality, LookupTable)
    assert np.array_equal(run.grayscale.modality.values, FULL >> 6)
    assert set(run.flags) == {"secondary_capture", "sop_class_mismatch"}


@pytest.mark.parametrize(
    ("name", "flags"),
    [("r02_voi_lut_only.dcm", ()), ("r03_voi_lut_narrower.dcm", ("voi_lut_range_from_data",))],
)
def test_a_reported_voi_lut_shows_the_picture_that_its_maker_saw(
    name: str, flags: tuple[str, ...], data_dir: Path
) -> None:
    path = data_dir / "reported_cases" / name
    if not path.is_file():
        pytest.skip(f"no reported case: looked for {path}")
    run, items = read_here(path)
    assert run.flags == flags
    means = [grey(run, item).mean() for item in items if isinstance(item, Frame)]
    assert sum(means) / 3 == pytest.approx(0.736, abs=5e-4)
