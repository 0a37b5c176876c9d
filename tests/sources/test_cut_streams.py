"""No stream with a part missing becomes a frame with other pixels: it is FAILED, or it is the whole picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cathrt.runtime.sources.dicom.decoders import DECODERS, FrameDecodeError
from tests.sources.code_streams import (
    Cut,
    Form,
    cuts,
    forms,
    jpeg_borders,
    packets,
    picture,
    positions,
    tile_parts,
    with_tile_part_length,
)

FORMS = forms()
CUTS = 9500  # in the table, at least


def other_pictures(form: Form, damaged: Iterable[Cut]) -> list[str]:
    """What was done to those streams that decode to another picture than the whole."""
    whole = form.decode(form.stream)
    wrong = []
    for done, stream in damaged:
        try:
            pixels = form.decode(stream)
        except FrameDecodeError:
            continue
        # CharLS takes missing bits of the last code for zeros: docs/sources.md.
        compared = slice(0, -1) if form.kind == "jpeg-ls" else slice(None)
        if not np.array_equal(pixels.ravel()[compared], whole.ravel()[compared]):
            wrong.append(done)
    return wrong


def reason(form: Form, stream: bytes) -> str:
    with pytest.raises(FrameDecodeError) as caught:
        form.decode(stream)
    return str(caught.value)


def test_every_syntax_has_a_form_and_there_are_as_many_cuts_as_promised() -> None:
    assert {form.syntax for form in FORMS.values()} == set(DECODERS)
    assert sum(1 for form in FORMS.values() for _ in cuts(form)) >= CUTS


@pytest.mark.parametrize("name", FORMS)
def test_a_whole_stream_of_any_legal_form_is_decoded(name: str) -> None:
    form = FORMS[name]
    pixels = form.decode(form.stream)
    if form.lossless:
        assert np.array_equal(pixels, picture(form.bits, form.rows, form.columns))


@pytest.mark.parametrize("name", FORMS)
def test_a_stream_cut_and_closed_with_an_end_marker_is_never_another_picture(name: str) -> None:
    assert other_pictures(FORMS[name], cuts(FORMS[name])) == []


@pytest.mark.parametrize("name", [name for name in FORMS if FORMS[name].kind != "rle"])
def test_a_stream_cut_and_left_open_is_never_another_picture(name: str) -> None:
    form = FORMS[name]
    whole = form.decode(form.stream)
    for at in (at for at in positions(form) if at < len(form.stream) - 2):
        for padding in (b"", b"\0", b"\xff"):
            try:
                pixels = form.decode(form.stream[:at] + padding)
            except FrameDecodeError:
                continue
            assert np.array_equal(pixels, whole), (at, padding)


def _without(stream: bytes, start: int, end: int) -> bytes:
    return stream[:start] + stream[end:]


def _zeroed(stream: bytes, start: int, end: int) -> bytes:
    return stream[:start] + bytes(end - start) + stream[end:]


def _pieces(form: Form, count: int) -> Iterator[tuple[int, int]]:
    """Pieces of the coded data, without the first and the last of them."""
    whole = form.stream
    begins = {"jpeg": lambda: whole.index(b"\xff\xda") + 10, "jpeg-ls": lambda: whole.index(b"\xff\xda") + 10,
              "jpeg2000": lambda: tile_parts(whole)[0].body, "rle": lambda: 64}  # fmt: skip
    begin = begins[form.kind]()
    step = (len(whole) - begin) // count
    return ((begin + i * step, begin + (i + 1) * step) for i in range(1, count - 1))


# A scan that refines a progressive picture gets into step again after a gap: where it does nobody can tell that there
# was one. DICOM has no such scans; stills may.
REFINED = {"jpeg-progressive"}


@pytest.mark.parametrize("name", sorted(set(FORMS) - REFINED))
def test_a_stream_that_lacks_a_piece_of_its_middle_is_never_another_picture(name: str) -> None:
    form = FORMS[name]
    damaged = ((f"without {piece}", _without(form.stream, *piece)) for piece in _pieces(form, 32))
    assert other_pictures(form, damaged) == []


# The raw bits of these may be zero for a while; their pieces are shorter than what is told from that.
SHORT_RAW_BITS = {name for name in FORMS if "bypass" in name or "all_modes" in name}


@pytest.mark.parametrize("name", sorted(set(FORMS) - REFINED - SHORT_RAW_BITS))
def test_a_stream_with_a_piece_of_zeros_in_its_middle_is_never_another_picture(name: str) -> None:
    form = FORMS[name]
    damaged = ((f"zeros at {piece}", _zeroed(form.stream, *piece)) for piece in _pieces(form, 12))
    assert other_pictures(form, damaged) == []


def test_an_error_that_imagecodecs_swallows_in_mid_picture_fails_the_frame() -> None:
    form = FORMS["htj2k-8"]
    start = tile_parts(form.stream)[0].body + 920
    assert "ojph error" in reason(form, _zeroed(form.stream, start, start + 20))


JPEG_NAMES = [name for name, form in FORMS.items() if form.kind == "jpeg"]
J2K_NAMES = [name for name, form in FORMS.items() if form.kind == "jpeg2000"]


@pytest.mark.parametrize("name", JPEG_NAMES)
def test_a_jpeg_without_one_of_its_segments_scans_or_restart_intervals_is_never_another_picture(name: str) -> None:
    form = FORMS[name]
    borders = [*jpeg_borders(form.stream), len(form.stream)]
    damaged = ((f"without {piece}", _without(form.stream, *piece)) for piece in pairwise(borders[1:-1]))
    assert other_pictures(form, damaged) == []


@pytest.mark.parametrize("name", J2K_NAMES)
def test_a_jpeg2000_stream_without_a_tile_part_is_never_another_picture(name: str) -> None:
    form = FORMS[name]
    damaged = [(f"without {part}", _without(form.stream, part.start, part.end)) for part in tile_parts(form.stream)]
    assert other_pictures(form, damaged) == []


@pytest.mark.parametrize("name", J2K_NAMES)
def test_a_jpeg2000_tile_part_that_lacks_its_last_bytes_is_never_another_picture(name: str) -> None:
    form = FORMS[name]
    damaged = []
    for part in tile_parts(form.stream):
        size = part.end - part.body
        for missing in (1, 2, 3, 7, 20, size // 2, size - 1, size):
            if missing <= size:
                fitting = with_tile_part_length(form.stream, part, part.end - part.start - missing)
                damaged.append((f"{part} without {missing} bytes", _without(fitting, part.end - missing, part.end)))
    assert other_pictures(form, damaged) == []


def _with_packets(form: Form, kept: list[bytes]) -> bytes:
    """The one tile part of a stream with these packets, its length true."""
    (part,) = tile_parts(form.stream)
    body = b"".join(kept)
    stream = form.stream[: part.body] + body + form.stream[part.end :]
    return with_tile_part_length(stream, part, part.body - part.start + len(body))


@pytest.mark.parametrize("name", ["jpeg2000-packets_marked", "jpeg2000-precincts"])
def test_a_jpeg2000_stream_without_one_of_its_packets_is_never_another_picture(name: str) -> None:
    form = FORMS[name]
    (part,) = tile_parts(form.stream)
    all_packets = packets(form.stream[part.body : part.end])
    assert len(all_packets) > 10
    lists = {f"without packet {i}": [*all_packets[:i], *all_packets[i + 1 :]] for i in range(len(all_packets))}
    lists |= {
        f"packets {i} and {i + 1} swapped": [
            *all_packets[:i],
            all_packets[i + 1],
            all_packets[i],
            *all_packets[i + 2 :],
        ]
        for i in range(len(all_packets) - 1)
    }
    marked = {done: _with_packets(form, kept) for done, kept in lists.items()}
    assert other_pictures(form, marked.items()) == []
    assert "packets are missing" in reason(form, marked["without packet 3"])


@pytest.mark.parametrize("name", ["jpeg2000-packets_marked", "jpeg2000-precincts"])
def test_packets_without_their_marks_are_missed_too(name: str) -> None:
    form = FORMS[name]
    flags = form.stream.index(b"\xff\x52") + 4  # of COD: packets are marked no more
    form = replace(form, stream=form.stream[:flags] + bytes([form.stream[flags] & 1]) + form.stream[flags + 1 :])
    (part,) = tile_parts(form.stream)
    bare = [packet[6:].replace(b"\xff\x92", b"") for packet in packets(form.stream[part.body : part.end])]
    form = replace(form, stream=_with_packets(form, bare))
    assert np.array_equal(form.decode(form.stream), picture(8, form.rows, form.columns))
    damaged = ((f"without packet {i}", _with_packets(form, [*bare[:i], *bare[i + 1 :]])) for i in range(len(bare)))
    assert other_pictures(form, damaged) == []
