"""A frame keeps its index: the lost one is lost at its place, whatever its items and the offset table look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cathrt.runtime.frame import LostFrame
from tests.sources.dicom_bytes import JPEG_SV1, RLE
from tests.sources.encapsulated_runs import (
    EMPTY,
    ENCODERS,
    STREAMS,
    TABLES,
    Table,
    Written,
    offsets_of,
    pieces_of,
    reasons,
    seen,
)
from tests.sources.reading import read_bytes_here

SV1 = STREAMS[JPEG_SV1]
SINGLE = [[stream] for stream in SV1]
PIECES = [pieces_of(stream) for stream in SV1]
OFFSETS = offsets_of(SINGLE)
UNUSABLE = "offset_table_unusable"
every_syntax = pytest.mark.parametrize("syntax", ENCODERS)
every_table = pytest.mark.parametrize("table", TABLES)


def frames_of(syntax: str, *, split: bool) -> list[list[bytes]]:
    return [pieces_of(stream) if split else [stream] for stream in STREAMS[syntax]]


@every_table
@every_syntax
@pytest.mark.parametrize("split", [False, True], ids=["single", "split"])
@pytest.mark.parametrize("lost", [(0,), (2,), (4,), (1, 3), (1, 2, 3), (0, 4)], ids=str)
def test_an_empty_item_is_its_frame_lost_and_no_other(
    lost: Sequence[int], split: bool, syntax: str, table: Table, tmp_path: Path
) -> None:
    frames = [EMPTY if i in lost else frame for i, frame in enumerate(frames_of(syntax, split=split))]
    run, items = Written(syntax, frames, table).read(tmp_path)
    assert seen(items) == [None if i in lost else i for i in range(5)]
    assert set(run.flags) == {"frames_missing"}
    assert set(reasons(items)) == {"never arrived: its item in Pixel Data is empty"}
    assert not any(item.failed for item in items if isinstance(item, LostFrame))


@every_table
@every_syntax
def test_frames_of_several_fragments_are_joined(syntax: str, table: Table, tmp_path: Path) -> None:
    for count in (2, 3, 7):
        frames = [pieces_of(stream, count) for stream in STREAMS[syntax]]
        run, items = Written(syntax, frames, table).read(tmp_path)
        assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], ())


@every_syntax
def test_some_frames_of_several_fragments_and_some_of_one_are_told_apart_without_a_table(
    syntax: str, tmp_path: Path
) -> None:
    frames = [pieces_of(s) if i % 2 else [s] for i, s in enumerate(STREAMS[syntax])]
    run, items = Written(syntax, frames).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], ())


@every_table
@every_syntax
@pytest.mark.parametrize("split", [False, True], ids=["single", "split"])
def test_empty_items_at_the_end_are_padding(syntax: str, table: Table, split: bool, tmp_path: Path) -> None:
    frames = frames_of(syntax, split=split)
    frames[-1] = [*frames[-1], b"", b""]
    run, items = Written(syntax, frames, table).read(tmp_path)
    assert seen(items) == [0, 1, 2, 3, 4]
    assert set(run.flags) <= {"empty_fragments"}


@every_table
@every_syntax
def test_an_empty_item_within_a_frame_is_padding(syntax: str, table: Table, tmp_path: Path) -> None:
    frames = frames_of(syntax, split=True)
    frames[1] = [frames[1][0], b"", *frames[1][1:]]
    run, items = Written(syntax, frames, table).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], ())


@every_syntax
def test_an_empty_item_and_padding_at_the_end_are_told_apart(syntax: str, tmp_path: Path) -> None:
    frames = [*frames_of(syntax, split=False), [b""]]
    frames[2] = EMPTY
    run, items = Written(syntax, frames).read(tmp_path)
    assert seen(items) == [0, 1, None, 3, 4]
    assert set(run.flags) == {"frames_missing", "empty_fragments"}


def test_an_empty_item_between_as_many_streams_as_frames_is_padding(tmp_path: Path) -> None:
    run, items = Written(JPEG_SV1, [*SINGLE[:2], EMPTY, *SINGLE[2:]]).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], ("empty_fragments",))


def test_where_some_empty_items_are_frames_and_some_are_not_the_place_of_what_follows_is_not_known(
    tmp_path: Path,
) -> None:
    run, items = Written(JPEG_SV1, [SINGLE[0], EMPTY, SINGLE[2], EMPTY, EMPTY, SINGLE[4]]).read(tmp_path)
    assert seen(items) == [0, None, None, None, None]
    assert set(run.flags) == {"frames_missing", "empty_fragments"}
    assert "its place is not known" in reasons(items)[0]


@every_syntax
def test_a_frame_that_the_table_gives_no_data_is_lost(syntax: str, tmp_path: Path) -> None:
    single = frames_of(syntax, split=False)
    kept = [*single[:2], *single[3:]]
    first, second, fourth, fifth = offsets_of(kept)
    for table in ("basic", "extended"):
        written = Written(syntax, kept, table, offsets=[first, second, fourth, fourth, fifth])
        run, items = written.read(tmp_path)
        assert (seen(items), run.flags) == ([0, 1, None, 3, 4], ("frames_missing",))
        assert reasons(items) == ["never arrived: the offset table names no data for it"]


BEYOND = 1 << 20
WRONG_TABLES: dict[str, list[int]] = {
    "out of order": [OFFSETS[0], OFFSETS[2], OFFSETS[1], OFFSETS[3], OFFSETS[4]],
    "reversed": OFFSETS[::-1],
    "beyond the end": [*OFFSETS[:3], BEYOND, 2 * BEYOND],
    "all beyond the end": [0, BEYOND, BEYOND, BEYOND, BEYOND],
    "of one entry": [0],
    "of too few entries": OFFSETS[:4],
    "of too many entries": [*OFFSETS, BEYOND],
    "with an entry twice": [0, *OFFSETS],
    "not at items": [offset + 2 * (offset > 0) for offset in OFFSETS],
    "of zeros": [0, 0, 0, 0, 0],
    "counted from the file's start": [offset + 1000 for offset in OFFSETS],
}


@pytest.mark.parametrize("table", ["basic", "extended"])
@pytest.mark.parametrize("wrong", WRONG_TABLES)
def test_a_wrong_table_is_flagged_and_the_streams_decide(wrong: str, table: Table, tmp_path: Path) -> None:
    run, items = Written(JPEG_SV1, SINGLE, table, offsets=WRONG_TABLES[wrong]).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], (UNUSABLE,))


@pytest.mark.parametrize("wrong", WRONG_TABLES)
def test_a_wrong_table_of_frames_of_several_fragments_is_flagged_and_the_streams_decide(
    wrong: str, tmp_path: Path
) -> None:
    run, items = Written(JPEG_SV1, PIECES, "basic", offsets=WRONG_TABLES[wrong]).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], (UNUSABLE,))


@pytest.mark.parametrize("wrong", WRONG_TABLES)
def test_a_wrong_table_of_rle_frames_is_flagged_and_their_headers_decide(wrong: str, tmp_path: Path) -> None:
    frames = frames_of(RLE, split=True)
    run, items = Written(RLE, frames, "basic", offsets=WRONG_TABLES[wrong]).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], (UNUSABLE,))


def test_a_table_of_every_fragment_does_not_tear_frames(tmp_path: Path) -> None:
    run, items = Written(JPEG_SV1, PIECES, "basic", offsets=offsets_of([[p] for f in PIECES for p in f])).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], (UNUSABLE,))


def test_where_one_of_two_tables_is_right_it_is_used(tmp_path: Path) -> None:
    frames = [*SINGLE[:2], EMPTY, *SINGLE[3:]]
    right = Written(JPEG_SV1, frames, "basic").octets()
    wrong = Written(JPEG_SV1, frames, "extended", offsets=[0, 1, 2, 3, 4]).octets()
    at_right, at_wrong = right.index(b"\xe0\x7f\x10\0"), wrong.index(b"\xe0\x7f\x10\0")
    _, items = read_bytes_here(tmp_path, wrong[:at_wrong] + right[at_right:])
    assert seen(items) == [0, 1, None, 3, 4]


@pytest.mark.parametrize("table", ["basic", "extended"])
def test_a_file_cut_off_between_frames_keeps_those_before(table: Table, tmp_path: Path) -> None:
    written = Written(JPEG_SV1, SINGLE[:3], table, offsets=OFFSETS, delimiter=False)
    run, items = written.read(tmp_path)
    assert seen(items) == [0, 1, 2, None, None]
    assert set(run.flags) == {"frames_missing", "pixel_data_cut_off"}
    assert set(reasons(items)) == {"never arrived: Pixel Data holds no data for it"}


def test_where_a_stream_is_missing_and_the_table_is_of_another_file_only_agreed_places_are_kept(
    tmp_path: Path,
) -> None:
    kept = [*SINGLE[:2], *SINGLE[3:]]  # and the table of all five
    run, items = Written(JPEG_SV1, kept, "basic", offsets=OFFSETS).read(tmp_path)
    assert seen(items) == [0, 1, None, None, None]
    assert set(run.flags) == {"frames_missing", UNUSABLE}


@every_syntax
def test_as_many_fragments_as_frames_are_no_proof_of_one_each(syntax: str, tmp_path: Path) -> None:
    first, second, *_ = STREAMS[syntax]
    frames = [[first], pieces_of(second, 4)]  # five fragments, two frames of five
    run, items = Written(syntax, frames).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, None, None, None], ("frames_missing",))


@every_syntax
def test_as_many_fragments_as_frames_of_which_some_are_damaged_are_one_each(syntax: str, tmp_path: Path) -> None:
    streams = STREAMS[syntax]
    half = streams[1][: len(streams[1]) // 4 * 2]
    frames = [[streams[0]], [half], [b"\x55" * 300], [streams[3]], [streams[4]]]
    _, items = Written(syntax, frames).read(tmp_path)
    assert seen(items) == [0, None, None, 3, 4]


@every_syntax
def test_padding_in_a_fragment_of_its_own_is_no_frame(syntax: str, tmp_path: Path) -> None:
    frames = [[stream + b"\0" * (len(stream) % 2), b"\0\0"] for stream in STREAMS[syntax]]
    _, items = Written(syntax, frames).read(tmp_path)
    assert seen(items) == [0, 1, 2, 3, 4]


@every_syntax
def test_an_odd_item_that_does_not_count_its_padding_hides_nothing(syntax: str, tmp_path: Path) -> None:
    octets = Written(syntax, [[stream] for stream in STREAMS[syntax]]).octets()
    for stream in STREAMS[syntax]:
        if len(stream) % 2:
            counted, less = ((len(stream) + more).to_bytes(4, "little") + stream for more in (1, 0))
            assert counted in octets
            octets = octets.replace(counted, less)
    run, items = read_bytes_here(tmp_path, octets)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], ())


@every_syntax
def test_a_first_fragment_too_short_to_be_known_by_its_start_still_begins_a_frame(syntax: str, tmp_path: Path) -> None:
    frames = [[stream[:2], stream[2:]] for stream in STREAMS[syntax]]
    run, items = Written(syntax, frames).read(tmp_path)
    assert (seen(items), run.flags) == ([0, 1, 2, 3, 4], ())


@every_syntax
def test_after_fragments_that_may_be_two_frames_the_place_of_a_frame_is_not_known(syntax: str, tmp_path: Path) -> None:
    streams = STREAMS[syntax]
    half = streams[1][: len(streams[1]) // 4 * 2]
    frames = [[streams[0]], [half], [b"\x55" * 300], [streams[3]]]
    for declared in (5, 1):
        run, items = Written(syntax, frames, declared=declared).read(tmp_path)
        assert set(seen(items)) == {0, None}
        assert "frames_missing" in run.flags
        assert "its place is not known" in reasons(items)[-1]
