"""What a frame's reason says where a part of its stream is missing; unusual but legal streams that are whole."""

from __future__ import annotations

import io
import struct
import warnings
from itertools import pairwise
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import generate_frames

from cathrt.runtime.sources.code_stream import CodeStreamError, require_whole_stream
from cathrt.runtime.sources.dicom.decoders import FrameDecodeError
from tests.sources.code_streams import Form, forms, jpeg_borders, picture, tile_parts, with_tile_part_length

FORMS = forms()


def _without_scan(name: str, number: int) -> bytes:
    stream = FORMS[name].stream
    pairs = [(a, b) for a, b in pairwise([*jpeg_borders(stream), len(stream)]) if stream[a + 1] == 0xDA]
    start, end = pairs[number]
    return stream[:start] + stream[end:]


def _without_restart_interval(name: str) -> bytes:
    stream = FORMS[name].stream
    starts = [a for a in jpeg_borders(stream) if stream[a + 1] == 0xD3]
    (end,) = [a for a in jpeg_borders(stream) if stream[a + 1] == 0xD4][:1]
    return stream[: starts[0]] + stream[end:]


def _closed(name: str, share: float) -> bytes:
    stream = FORMS[name].stream
    return stream[: int(len(stream) * share)] + b"\xff\xd9"


def _cut_tile_part(name: str, number: int, missing: int) -> bytes:
    stream = FORMS[name].stream
    part = tile_parts(stream)[number]
    fitting = with_tile_part_length(stream, part, part.end - part.start - missing)
    return fitting[: part.end - missing] + fitting[part.end :]


def _without_tile_part(name: str, number: int) -> bytes:
    stream = FORMS[name].stream
    part = tile_parts(stream)[number]
    return stream[: part.start] + stream[part.end :]


def _with_length(name: str, length: int) -> bytes:
    stream = FORMS[name].stream
    return with_tile_part_length(stream, tile_parts(stream)[0], length)


def _swapped_tile_parts(name: str) -> bytes:
    stream = FORMS[name].stream
    first, second = tile_parts(stream)[:2]
    pieces = stream[: first.start], stream[second.start : second.end], stream[first.start : first.end]
    return b"".join(pieces) + stream[second.end :]


# What is missing -> the form it is missing from, the stream, and what the reason must say of it.
INCOMPLETE: dict[str, tuple[str, bytes, str]] = {
    "half of a scan": ("jpeg-98", _closed("jpeg-98", 0.5), r"coded data end at byte \d+, in MCU row \d+ of 13"),
    "half of a lossless scan": (
        "jpeg-lossless-10",
        _closed("jpeg-lossless-10", 0.5),
        r"coded data end at byte \d+, in MCU row \d+ of 97",
    ),
    "a restart interval": ("jpeg-restart-rows", _without_restart_interval("jpeg-restart-rows"), "RST3 is missing"),
    "the first progressive scan": ("jpeg-progressive", _without_scan("jpeg-progressive", 0), "builds on a missing one"),
    "the last progressive scan": ("jpeg-progressive", _without_scan("jpeg-progressive", -1), "scans are missing"),
    "every scan": ("jpeg-98", _without_scan("jpeg-98", 0), "scans are missing"),
    "the end of a JPEG": ("jpeg-98", FORMS["jpeg-98"].stream[:-9], r"coded data end at byte \d+, in MCU row 13 of 13"),
    "the end of a JPEG 2000": ("jpeg2000-8", FORMS["jpeg2000-8"].stream[:-9], "ends at byte .* beyond the stream"),
    "the end of a JPEG-LS": ("jpeg-ls-16", FORMS["jpeg-ls-16"].stream[:-2], r"no end marker \(EOI\), and coded data"),
    "the scan of a JPEG-LS": ("jpeg-ls-8", FORMS["jpeg-ls-8"].stream.partition(b"\xff\xda")[0], r"no scan \(SOS\)"),
    "half of a tile part": ("jpeg2000-8", _closed("jpeg2000-8", 0.5), "part 0 of tile 0 ends at byte .* beyond the"),
    "half of a tile part, its length true": (
        "jpeg2000-8",
        _cut_tile_part("jpeg2000-8", 0, 3000),
        r"packet 4 of 4: it announces \d+ bytes, \d+ are there",
    ),
    "a packet": ("jpeg2000-LRCP", _cut_tile_part("jpeg2000-LRCP", 0, 5500), r"packet \d+ of 18: it"),
    "nearly all of a tile part": (
        "jpeg2000-8",
        _cut_tile_part("jpeg2000-8", 0, 5900),
        r"packet 1 of 4: it announces 159 bytes, 90 are there",
    ),
    "the first tile part": ("htj2k-parts", _without_tile_part("htj2k-parts", 0), "part 0 of tile 0 is missing"),
    "the last tile part": (
        "htj2k-parts",
        _without_tile_part("htj2k-parts", -1),
        "packet 5 of 5: it is missing, and all after it",
    ),
    "a tile": ("jpeg2000-tiles", _without_tile_part("jpeg2000-tiles", 2), "1 of 9 tiles are missing"),
    "the order of tile parts": ("htj2k-parts", _swapped_tile_parts("htj2k-parts"), "part 0 of tile 0 is missing"),
    "a true Psot": ("jpeg2000-8", _with_length("jpeg2000-8", 300), "no tile part or end marker at byte"),
    "a possible Psot": ("jpeg2000-8", _with_length("jpeg2000-8", 11), "of 11 bytes, expected at least 12"),
    "an HTJ2K tile part's end": ("htj2k-16", _cut_tile_part("htj2k-16", 0, 5), "announces"),
    "the end of an RLE segment": ("rle-8", FORMS["rle-8"].stream[:-50], "RLE segment 1 of 1 ends after .* samples"),
    "an RLE segment": (
        "rle-16",
        struct.pack("<16I", 1, *[64, *[0] * 14]) + FORMS["rle-16"].stream[64:],
        "the RLE header says 1 segments, expected 2",
    ),
    "an RLE header": ("rle-8", FORMS["rle-8"].stream[:60], "no RLE header: 60 bytes, expected at least 64"),
}


@pytest.mark.parametrize("missing", INCOMPLETE)
def test_the_reason_says_what_is_missing_and_where(missing: str) -> None:
    name, stream, why = INCOMPLETE[missing]
    with pytest.raises(FrameDecodeError, match=why):
        FORMS[name].decode(stream)


def _padded(form: Form, padding: bytes) -> bytes:
    """Bytes between the last coded data and the end marker."""
    if form.kind != "jpeg2000":
        return form.stream[:-2] + padding + b"\xff\xd9"
    part = tile_parts(form.stream)[-1]
    longer = with_tile_part_length(form.stream, part, part.end - part.start + len(padding))
    return longer[: part.end] + padding + longer[part.end :]


JPEG_LIKE = ["jpeg-98", "jpeg-progressive", "jpeg-lossless-10", "jpeg2000-10", "jpeg2000-tiles", "htj2k-12"]


@pytest.mark.parametrize("name", JPEG_LIKE)
@pytest.mark.parametrize("trailer", [b"\0", b"\0" * 500], ids=len)
def test_bytes_after_the_end_marker_change_nothing(name: str, trailer: bytes) -> None:
    form = FORMS[name]
    assert np.array_equal(form.decode(form.stream + trailer), form.decode(form.stream))


@pytest.mark.parametrize("name", JPEG_LIKE)
def test_one_zero_byte_that_makes_the_coded_data_even_changes_nothing(name: str) -> None:
    form = FORMS[name]
    assert np.array_equal(form.decode(_padded(form, b"\0")), form.decode(form.stream))


@pytest.mark.parametrize("name", ["jpeg-98", "jpeg-progressive", "jpeg-lossless-10"])
def test_one_byte_of_set_bits_after_the_coded_data_changes_nothing(name: str) -> None:
    form = FORMS[name]
    assert np.array_equal(form.decode(_padded(form, b"\xff\0")), form.decode(form.stream))


@pytest.mark.parametrize("name", ["jpeg-98", "jpeg-restart-rows", "jpeg-lossless-10"])
def test_fill_bytes_before_the_end_marker_change_nothing(name: str) -> None:
    form = FORMS[name]
    assert np.array_equal(form.decode(_padded(form, b"\xff" * 3)), form.decode(form.stream))


@pytest.mark.parametrize("name", ["jpeg2000-10", "jpeg2000-lossy-layers", "jpeg2000-off_origin", "htj2k-12"])
def test_a_last_tile_part_of_unknown_length_lasts_until_the_end_marker(name: str) -> None:
    form = FORMS[name]
    stream = with_tile_part_length(form.stream, tile_parts(form.stream)[-1], 0)
    assert np.array_equal(form.decode(stream), form.decode(form.stream))


def test_fewer_layers_than_were_encoded_are_whole_where_the_stream_declares_so() -> None:
    # What a transcoder does: in the order LRCP the first layers are the first packets, and COD says how many there are.
    form = FORMS["jpeg2000-packets_marked"]
    (part,) = tile_parts(form.stream)
    style = form.stream.index(b"\xff\x52")
    (layers,) = struct.unpack_from(">H", form.stream, style + 6)
    starts = [i for i in range(part.body, part.end) if form.stream[i : i + 4] == b"\xff\x91\x00\x04"]
    end = starts[len(starts) * (layers - 1) // layers]
    cut = with_tile_part_length(form.stream, part, end - part.start)[:end] + b"\xff\xd9"
    with pytest.raises(FrameDecodeError, match="it is missing, and all after it"):
        form.decode(cut)
    fewer = cut[: style + 6] + struct.pack(">H", layers - 1) + cut[style + 8 :]
    assert np.array_equal(form.decode(fewer), imagecodecs.jpeg2k_decode(fewer))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_colour_jpeg_is_whole_only_with_all_its_components(subsampling: int, progressive: bool) -> None:
    out = io.BytesIO()
    colour = np.dstack([picture(8), picture(8)[::-1], picture(8)[:, ::-1]])
    Image.fromarray(colour).save(out, "JPEG", subsampling=subsampling, progressive=progressive, restart_marker_rows=2)
    stream = out.getvalue()
    require_whole_stream(stream, "JPEG")
    for at in range(len(stream) // 32, len(stream) - 2, len(stream) // 32):
        with pytest.raises(CodeStreamError):
            require_whole_stream(stream[:at] + b"\xff\xd9", "JPEG")


def _streams_of_others() -> dict[str, tuple[str, bytes]]:
    """Frames of the files that pydicom brings along, written by many programs: name to family and stream."""
    found = {}
    families = {b"\xff\xd8": "JPEG", b"\xff\x4f": "JPEG 2000"}
    for path in sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of the files are odd on purpose
            dataset = pydicom.dcmread(path, force=True)
        syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
        if syntax is None or not syntax.is_compressed or "PixelData" not in dataset:
            continue
        frames = generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
        for number, frame in enumerate(frames):
            family = families.get(frame[:2])
            # JPEG-LS has no walk, colour in JPEG 2000 is refused, and one of the streams is a made-up fragment.
            grey = dataset.SamplesPerPixel == 1 or family == "JPEG"
            if family and grey and "JPEG-LS" not in syntax.name and "embedded-sequence-delimiter" not in path.name:
                found[f"{path.stem}-{number}"] = (family, frame)
    return found


OTHERS = _streams_of_others()


def test_there_are_streams_of_other_programs() -> None:
    assert len(OTHERS) >= 40


@pytest.mark.parametrize("name", OTHERS)
def test_streams_that_other_programs_wrote_are_whole(name: str) -> None:
    family, stream = OTHERS[name]
    require_whole_stream(stream, family)  # type: ignore[arg-type]
    with pytest.raises(CodeStreamError):
        require_whole_stream(stream[: len(stream) * 3 // 4] + b"\xff\xd9", family)  # type: ignore[arg-type]
