"""Stills: what a picture file becomes, and what of a sequence is lost when one picture is not like the others."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.discover import Input
from cathrt.runtime.sources.messages import Request
from cathrt.runtime.sources.stills import read_stills
from tests.sources.dicom_bytes import pictures
from tests.sources.reading import LIMITS


def read(*paths: Path | None, limits: LimitsConfig = LIMITS) -> tuple[Run, list[Frame | LostFrame]]:
    input_ = Input("stills", "stills", paths)
    items = read_stills(Request("stills", "stills", tuple(p and str(p) for p in input_.paths), limits))
    run = next(items)
    assert isinstance(run, Run)
    return run, [item for item in items if not isinstance(item, Run)]


def save(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def pixels_of(item: Frame | LostFrame) -> NDArray[np.uint16]:
    assert isinstance(item, Frame), item
    return item.pixels


GREY8 = pictures(1, 20, 30, 8)[0].astype(np.uint8)
GREY16 = pictures(1, 20, 30, 16)[0]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_eight_bit_grey_is_read_exactly(suffix: str, tmp_path: Path) -> None:
    run, (item,) = read(save(tmp_path / f"f.{suffix}", GREY8))
    assert run.grayscale.bits_stored == 8
    assert np.array_equal(pixels_of(item), GREY8)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_read_exactly(suffix: str, tmp_path: Path) -> None:
    run, (item,) = read(save(tmp_path / f"f.{suffix}", GREY16))
    assert run.grayscale.bits_stored == 16
    assert np.array_equal(pixels_of(item), GREY16)


# imagecodecs declares 16 bits for every JPEG-LS stream of uint16; XA1.JLS in the real data declares its 10.
@pytest.mark.parametrize(("name", "bits"), [("f.j2k", 10), ("f.jls", 16)])
def test_a_code_stream_keeps_the_depth_it_declares(name: str, bits: int, tmp_path: Path) -> None:
    ten = pictures(1, 20, 30, 10)[0]
    encode = {
        "f.j2k": lambda: imagecodecs.jpeg2k_encode(ten, codecformat="j2k", reversible=True, level=0, bitspersample=10),
        "f.jls": lambda: imagecodecs.jpegls_encode(ten),
    }[name]
    (tmp_path / name).write_bytes(encode())
    run, (item,) = read(tmp_path / name)
    assert run.grayscale.bits_stored == bits
    assert np.array_equal(pixels_of(item), ten)


def test_a_grey_jpeg_is_read(tmp_path: Path) -> None:
    Image.fromarray(GREY8).save(tmp_path / "f.jpg", quality=98)
    _, (item,) = read(tmp_path / "f.jpg")
    assert np.abs(pixels_of(item).astype(int) - GREY8).max() <= 6


def test_grey_saved_as_rgb_is_taken_back_to_grey(tmp_path: Path) -> None:
    run, (item,) = read(save(tmp_path / "f.bmp", np.dstack([GREY8] * 3)))
    assert "colour_to_luma" not in run.flags
    assert np.array_equal(pixels_of(item), GREY8)


def test_real_colour_becomes_luma_and_is_flagged(tmp_path: Path) -> None:
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[..., 1] = 100
    run, (item,) = read(save(tmp_path / "f.png", colour))
    assert "colour_to_luma" in run.flags
    assert (pixels_of(item) == 59).all()


def test_stills_carry_no_rate_so_the_default_is_flagged(tmp_path: Path) -> None:
    run, _ = read(save(tmp_path / "f.png", GREY8))
    assert (run.timing.frame_rate_hz, run.timing.origin, run.flags) == (15.0, "default", ("frame_rate_default",))


def test_a_missing_a_damaged_and_an_odd_still_are_lost_and_the_rest_is_read(tmp_path: Path) -> None:
    good = save(tmp_path / "f1.png", GREY8)
    damaged = tmp_path / "f3.png"
    damaged.write_bytes(good.read_bytes()[:200])
    odd = save(tmp_path / "f4.png", GREY8[:10])
    deeper = save(tmp_path / "f5.png", GREY16)
    run, items = read(good, None, damaged, odd, deeper, good)
    assert run.frame_count == len(items) == 6
    assert [type(item) for item in items] == [Frame, LostFrame, LostFrame, LostFrame, LostFrame, Frame]
    assert [item.failed for item in items if isinstance(item, LostFrame)] == [False, True, True, True]


def test_a_gap_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    one, two = save(tmp_path / "f1.png", GREY8), save(tmp_path / "f2.png", GREY8 // 2)
    assert read(one, two)[0].run_id != read(one, None, two)[0].run_id
    assert read(one, two)[0].run_id != read(two, one)[0].run_id


def test_nothing_readable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.png").write_bytes(b"not a picture")
    with pytest.raises(SourceError, match="no still of 1 can be read"):
        read(tmp_path / "f.png")


def test_a_picture_beyond_the_limits_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("L", (5000, 3)).save(tmp_path / "f.png")
    with pytest.raises(SourceError, match="5000 columns"):
        read(tmp_path / "f.png")


def test_several_pictures_in_one_tiff_are_refused(tmp_path: Path) -> None:
    first = Image.fromarray(GREY8)
    first.save(tmp_path / "f.tif", save_all=True, append_images=[first])
    with pytest.raises(SourceError, match="several pictures in one file"):
        read(tmp_path / "f.tif")
