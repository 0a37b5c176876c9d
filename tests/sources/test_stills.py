"""Stills: what a picture file becomes, and what of a sequence is lost when one picture is not like the others."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run, Timing
from cathrt.runtime.ports import SeveralRunsError
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input, UnlikeStillsError
from tests.sources.dicom_bytes import pictures, xa_file
from tests.sources.reading import LIMITS, read_input_here, read_sandboxed


def read(*paths: Path | None, limits: LimitsConfig = LIMITS) -> tuple[Run, list[Frame | LostFrame]]:
    return read_input_here(Input("stills", "stills", paths), limits)


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


def series(folder: Path, pictures_: Sequence[NDArray[np.uint8]]) -> Input:
    """A guessed sequence of these; None is a number that is missing."""
    paths = [None if picture is None else folder / f"f{number}.png" for number, picture in enumerate(pictures_)]
    for path, picture in zip(paths, pictures_, strict=True):
        if path is not None:
            save(path, picture)
    return Input("stills", "series/f[0-9].png", tuple(paths), guessed=True)


def scene(seed: int, rows: int = 64, columns: int = 80) -> NDArray[np.uint8]:
    """A smooth picture unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC))


MOVING = [np.roll(scene(1), shift, axis=1) for shift in range(5)]
FLAT = np.full_like(MOVING[0], 7)


@pytest.mark.parametrize(
    "run_of",
    [
        MOVING,
        [picture // 2 + 20 * number for number, picture in enumerate(MOVING)],
        [FLAT, FLAT, *MOVING],
        [FLAT] * 3,
        [*MOVING[:2], None, scene(2), np.roll(scene(2), 1)],
        [MOVING[0], None, MOVING[1], None, MOVING[2]],
    ],
    ids=["moving", "brighter and brighter", "dark at first", "all the same", "a gap", "gaps only"],
)
def test_a_guessed_sequence_of_like_stills_is_a_run(run_of: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    run, items = read_input_here(series(tmp_path, run_of))
    assert run.frame_count == len(items) == len(run_of)
    assert [isinstance(item, Frame) for item in items] == [picture is not None for picture in run_of]


@pytest.mark.parametrize(
    ("stills", "reason"),
    [
        ([scene(1), scene(2)], r"f0\.png and f1\.png are unlike \(correlation -?0\.\d\d, of neighbours in a run 0\.9"),
        ([*MOVING, scene(2)], r"f4\.png and f5\.png are unlike"),
        ([*MOVING, 255 - MOVING[-1]], r"f4\.png and f5\.png are unlike \(correlation -1\.00"),
        ([scene(1), None, scene(2), None, scene(3)], r"f0\.png and f2\.png are unlike"),
        ([*MOVING, MOVING[0][:50]], r"f4\.png and f5\.png are 64x80, 8 bits and 50x80, 8 bits"),
        ([MOVING[0], MOVING[0].astype(np.uint16) * 257], r"are 64x80, 8 bits and 64x80, 16 bits"),
    ],
    ids=["two scenes", "one of another scene", "inverted", "gaps only", "another size", "another depth"],
)
def test_a_guessed_sequence_of_unlike_stills_is_none_and_the_reason_names_two(
    stills: list[NDArray[np.uint8]], reason: str, tmp_path: Path
) -> None:
    input_ = series(tmp_path, stills)
    with pytest.raises(UnlikeStillsError, match=reason):
        read_input_here(input_)
    run, items = read_input_here(replace(input_, guessed=False))  # for who says that it is a run
    assert run.frame_count == len(items) == len(stills)


def test_stills_that_cannot_be_read_do_not_break_up_a_run(tmp_path: Path) -> None:
    input_ = series(tmp_path, MOVING)
    (tmp_path / "f2.png").write_bytes(b"damaged")
    _, items = read_input_here(input_)
    assert [isinstance(item, Frame) for item in items] == [True, True, False, True, True]


@pytest.mark.parametrize(("most_compared", "is_run"), [(12, False), (11, True)])
def test_of_very_many_pixels_pairs_all_over_the_sequence_are_compared(
    most_compared: int, is_run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pairs of twelve stills: all eleven, or the five that 11 pictures hold: 0, 2, 4, 6 and 8, which lack the odd one.
    still_by_still = [np.roll(scene(1), number // 2, axis=1) for number in range(12)]
    still_by_still[11] = scene(2)
    monkeypatch.setattr("cathrt.runtime.sources.stills._MOST_COMPARED", most_compared * scene(1).size)
    input_ = series(tmp_path, still_by_still)
    if is_run:
        assert read_input_here(input_)[0].frame_count == 12
    else:
        with pytest.raises(UnlikeStillsError):
            read_input_here(input_)


def test_opening_unlike_stills_gives_an_opening_for_each(tmp_path: Path) -> None:
    input_ = replace(series(tmp_path, [scene(1), scene(2), scene(3)]), rate_hz=10.0)
    with pytest.raises(SeveralRunsError, match=r"series/f\[0-9\]\.png: f0\.png and f1.*: read as 3 stills") as found:
        open_source(input_, LIMITS)
    runs = []
    for opening in found.value.openings:
        source = opening.open()
        runs.append((opening.name, source.run.source, source.run.frame_count, source.run.timing))
        source.close()
    given = Timing(10.0, "given")
    assert runs == [(f"series/f{number}.png", f"series/f{number}.png", 1, given) for number in range(3)]


def test_like_stills_are_opened_as_one_run(tmp_path: Path) -> None:
    run, items = read_sandboxed(series(tmp_path, MOVING))
    assert (run.frame_count, len(items), run.source) == (5, 5, "series/f[0-9].png")


def test_a_given_rate_takes_the_place_of_the_default_one_and_of_no_other(tmp_path: Path) -> None:
    still = Input("stills", "f", (save(tmp_path / "f.png", GREY8),), rate_hz=7.5)
    run, _ = read_sandboxed(still)
    assert (run.timing, run.flags) == (Timing(7.5, "given"), ())
    (tmp_path / "run.dcm").write_bytes(xa_file())
    run, _ = read_sandboxed(Input("dicom", "run", (tmp_path / "run.dcm",), rate_hz=7.5))
    assert (run.timing.origin, run.flags) == ("FrameTime", ("given_rate_not_used",))
    (tmp_path / "run.dcm").write_bytes(xa_file(_00181063=None))
    run, _ = read_sandboxed(Input("dicom", "run", (tmp_path / "run.dcm",), rate_hz=7.5))
    assert (run.timing, run.flags) == (Timing(7.5, "given"), ())


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


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _saved(pixels: NDArray[np.generic], fmt: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, fmt, **options)
    return out.getvalue()


def _zeroed(data: bytes, at: int, count: int) -> bytes:
    return data[:at] + bytes(count) + data[at + count :]


LARGE8 = pictures(1, 97, 131, 8)[0].astype(np.uint8)
COLOUR = np.clip(LARGE8[..., None] + np.array([0, 5, -5]), 0, 255).astype(np.uint8)  # as much as a still may have


def _png_damage() -> Iterator[tuple[str, bytes]]:
    """Image data cut and closed, a chunk of it missing, and bytes of it zero."""
    whole = _saved(pictures(1, 97, 131, 16)[0], "PNG")
    data = b"".join(data for kind, data in _chunks(whole) if kind == b"IDAT")
    head = [chunk for chunk in _chunks(whole) if chunk[0] not in (b"IDAT", b"IEND")]
    step = len(data) // 32
    pieces = [(b"IDAT", data[at : at + step]) for at in range(0, len(data), step)]
    end = [(b"IEND", b"")]
    yield "f.png", _png([*head, *pieces, *end])
    for i in range(32):
        yield f"cut at {i}/32", _png([*head, *pieces[:i], *end])
        yield f"without piece {i}", _png([*head, *pieces[:i], *pieces[i + 1 :], *end])
        yield f"zeros at {i}/32", _zeroed(whole, len(whole) * i // 32 + 60, 200)


def _jpeg_damage(colour: bool, **options: object) -> Iterator[tuple[str, bytes]]:
    whole = _saved(COLOUR if colour else LARGE8, "JPEG", quality=90, **options)
    yield "f.jpg", whole
    for i in range(1, 32):
        yield f"cut at {i}/32", whole[: len(whole) * i // 32] + b"\xff\xd9"


def _tiff_damage(compression: str, colour: bool) -> Iterator[tuple[str, bytes]]:
    """Strips cut, the number of their bytes true again."""
    whole = _saved(COLOUR if colour else LARGE8, "TIFF", compression=compression)
    yield "f.tif", whole
    with Image.open(io.BytesIO(whole)) as picture:
        (start,), (count,) = picture.tag_v2[273], picture.tag_v2[279]
    at = whole.index(struct.pack("<HHII", 279, 4, 1, count)) + 8
    for i in range(1, 32):
        length = count * i // 32
        fitting = whole[:at] + struct.pack("<I", length) + whole[at + 4 :]
        yield f"cut at {i}/32", fitting
        if compression == "jpeg":
            yield f"cut at {i}/32 and closed", fitting[: start + length - 2] + b"\xff\xd9" + fitting[start + length :]
        if compression == "tiff_adobe_deflate":
            yield f"zeros at {i}/32", _zeroed(whole, start + length, 60)


DAMAGE = {
    "png": _png_damage,
    "jpeg": partial(_jpeg_damage, False),
    "jpeg-colour": partial(_jpeg_damage, True),
    "jpeg-colour-progressive": partial(_jpeg_damage, True, progressive=True),
    **{
        f"tiff-{compression}-{'colour' if colour else 'grey'}": partial(_tiff_damage, compression, colour)
        for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
        for colour in (False, True)
    },
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_still_with_a_part_missing_is_refused_or_is_the_whole_picture(name: str, tmp_path: Path) -> None:
    (file_name, whole), *damaged = DAMAGE[name]()
    path = tmp_path / file_name
    path.write_bytes(whole)
    _, (item,) = read(path)
    expected = pixels_of(item)
    wrong = []
    for done, data in damaged:
        path.write_bytes(data)
        with contextlib.suppress(SourceError):
            _, (item,) = read(path)
            if not np.array_equal(pixels_of(item), expected):
                wrong.append(done)
    assert wrong == []


def test_a_tiff_of_the_old_jpeg_compression_is_refused_by_name(tmp_path: Path) -> None:
    whole = _saved(LARGE8, "TIFF", compression="jpeg")
    old = whole.replace(struct.pack("<HHIHH", 259, 3, 1, 7, 0), struct.pack("<HHIHH", 259, 3, 1, 6, 0))
    (tmp_path / "f.tif").write_bytes(old)
    with pytest.raises(SourceError, match=r"old JPEG compression \(6\)"):
        read(tmp_path / "f.tif")
