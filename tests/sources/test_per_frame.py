"""What each frame of an Enhanced object says for itself: VOI, shutter, collimator, rescale, angles, and what it leaves
to the shared functional groups and to the top of the data set."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.filereader import read_dataset

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LookupTable, Run, VoiWindow
from cathrt.runtime.sources.dicom.functional_groups import fingerprint
from cathrt.runtime.sources.grayscale_message import MAX_GRAYSCALES, MAX_NUMBERS
from tests.sources.dicom_bytes import (
    ENHANCED_XA,
    EXPLICIT_LITTLE,
    Elements,
    Value,
    element,
    native,
    part10,
    pictures,
    sequence,
    text,
    us,
    xa_elements,
)
from tests.sources.reading import only_input, read_bytes_here, read_here, read_sandboxed

ROWS, COLUMNS = 16, 24
OWN, SHARED, TOP = "own", "shared", "top"
Group = Mapping[int, Value]


def window(center: int, function: str | None = None) -> Group:
    """Frame VOI LUT."""
    item: Elements = {0x00281050: text("DS", str(center)), 0x00281051: text("DS", "600")}
    if function is not None:
        item[0x00281056] = text("CS", function)
    return {0x00289132: sequence(item)}


def voi_lut(first: int) -> Group:
    data = np.arange(1024, dtype="<u2") * 64 + 63
    return {
        0x00289132: sequence(
            {0x00283010: sequence({0x00283002: us(1024, first, 16), 0x00283006: ("OW", data.tobytes())})}
        )
    }


def edges(base: int, right: int) -> Elements:
    return {
        base: text("CS", "RECTANGULAR"),
        base + 2: text("IS", "1"),
        base + 4: text("IS", str(right)),
        base + 6: text("IS", "1"),
        base + 8: text("IS", str(ROWS)),
    }


def shutter(right: int) -> Group:
    """Frame Display Shutter."""
    return {0x00189472: sequence(edges(0x00181600, right))}


def collimator(right: int) -> Group:
    """Collimator Shape."""
    return {0x00189407: sequence(edges(0x00181700, right))}


def angle(primary: int) -> Group:
    """Positioner Position."""
    return {0x00189405: sequence({0x00181510: text("DS", str(primary)), 0x00181511: text("DS", "5")})}


def distance(mm: int) -> Group:
    """X-Ray Geometry."""
    return {0x00189476: sequence({0x00181110: text("DS", str(mm))})}


def rescale(slope: int) -> Group:
    """Pixel Value Transformation."""
    return {0x00289145: sequence({0x00281052: text("DS", "0"), 0x00281053: text("DS", str(slope))})}


def relationship(name: str) -> Group:
    """Frame Pixel Data Properties."""
    return {0x00289443: sequence({0x00281040: text("CS", name)})}


def enhanced(own: Sequence[Group], shared: Group | None = None, top: Elements | None = None, frames: int = 3) -> bytes:
    """own: the items of the frames."""
    elements = xa_elements(frames, ROWS, COLUMNS) | {0x00080016: text("UI", ENHANCED_XA)} | (top or {})
    for moved in (0x00181510, 0x00181511, 0x00281040):
        if top is None or moved not in top:
            del elements[moved]
    elements |= {0x52009229: sequence(shared or {}), 0x52009230: sequence(*own)}
    return part10(elements, native(pictures(frames, ROWS, COLUMNS)), meta={0x00020002: text("UI", ENHANCED_XA)})


def read(folder: Path, *how: object, **more: object) -> tuple[Run, list[Frame]]:
    run, items = read_bytes_here(folder, enhanced(*how, **more))  # type: ignore[arg-type]
    assert all(isinstance(item, Frame) for item in items)
    return run, [item for item in items if isinstance(item, Frame)]


def centers(run: Run, frames: Sequence[Frame]) -> list[float | None]:
    """Of each frame's window."""
    found = [run.grayscales[frame.grayscale].voi for frame in frames]
    return [voi.center if isinstance(voi, VoiWindow) else None for voi in found]


def rights(run: Run, frames: Sequence[Frame]) -> list[int]:
    """How many columns of each frame are exposed."""
    found = [run.grayscales[frame.grayscale].exposed for frame in frames]
    return [COLUMNS if exposed is None else int(exposed[0, 1]) for exposed in found]


def test_each_frame_has_its_own_of_every_group(tmp_path: Path) -> None:
    own = [
        window(400 + i) | shutter(20 - i) | angle(i) | rescale(1) | relationship(name)
        for i, name in enumerate(("LIN", "LOG", "DISP"))
    ]
    run, frames = read(tmp_path, own)
    assert centers(run, frames) == [400.0, 401.0, 402.0]
    assert rights(run, frames) == [20, 19, 18]
    assert [frame.positioner_primary_angle_deg for frame in frames] == [0.0, 1.0, 2.0]
    found = [run.grayscales[frame.grayscale].pixel_intensity_relationship for frame in frames]
    assert found == ["LIN", "LOG", "DISP"]
    assert run.flags == ()


def test_a_shutter_that_opens_later_blanks_no_exposed_column(tmp_path: Path) -> None:
    run, frames = read(tmp_path, [shutter(right) for right in (6, 12, COLUMNS)])
    assert rights(run, frames) == [6, 12, COLUMNS]


def test_shutter_and_collimator_of_a_frame_both_count(tmp_path: Path) -> None:
    run, frames = read(tmp_path, [shutter(20) | collimator(right) for right in (22, 18, 9)])
    assert rights(run, frames) == [20, 18, 9]


def test_what_frames_share_is_kept_once(tmp_path: Path) -> None:
    own = [window(400 + i % 2) | shutter(12) for i in range(9)]
    run, frames = read(tmp_path, own, frames=9)
    assert len(run.grayscales) == 2
    assert [frame.grayscale for frame in frames] == [0, 1] * 4 + [0]


@pytest.mark.parametrize("level", [OWN, SHARED, TOP])
def test_a_group_is_found_at_each_level(level: str, tmp_path: Path) -> None:
    groups = window(450) | shutter(13) | angle(7)
    flat = {0x00281050: text("DS", "450"), 0x00281051: text("DS", "600"), **edges(0x00181600, 13)}
    flat |= {0x00181510: text("DS", "7"), 0x00181511: text("DS", "5")}
    run, frames = read(
        tmp_path,
        [groups if level == OWN else {}] * 3,
        groups if level == SHARED else None,
        flat if level == TOP else None,
    )
    assert centers(run, frames) == [450.0] * 3
    assert rights(run, frames) == [13] * 3
    assert [frame.positioner_primary_angle_deg for frame in frames] == [7.0] * 3
    assert run.flags == ()
    assert len(run.grayscales) == 1


def test_a_frames_own_goes_before_the_shared_one_and_that_before_the_top(tmp_path: Path) -> None:
    top = {
        0x00281050: text("DS", "1"),
        0x00281051: text("DS", "2"),
        **edges(0x00181600, 3),
        0x00181510: text("DS", "9"),
    }
    run, frames = read(tmp_path, [window(400 + i) for i in range(3)], shutter(11) | window(99) | angle(8), top)
    assert centers(run, frames) == [400.0, 401.0, 402.0]
    assert rights(run, frames) == [11] * 3
    assert [frame.positioner_primary_angle_deg for frame in frames] == [8.0] * 3


def test_a_window_is_not_completed_from_another_level(tmp_path: Path) -> None:
    run, frames = read(tmp_path, [window(400)] * 3, window(500, "SIGMOID"))
    assert run.grayscale.voi == VoiWindow(400.0, 600.0, "LINEAR")
    assert len(frames) == 3


def test_a_frames_voi_lut_goes_before_a_shared_window(tmp_path: Path) -> None:
    run, frames = read(tmp_path, [voi_lut(i) for i in range(3)], window(500))
    found = [run.grayscales[frame.grayscale].voi for frame in frames]
    assert [voi.first_input for voi in found if isinstance(voi, LookupTable)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("own", "found", "flags"),
    [
        ([window(400), {}, window(402)], [400.0, 500.0, 402.0], {"voi_missing_in_frames"}),
        ([window(400)], [400.0, 500.0, 500.0], {"functional_groups_incomplete", "voi_missing_in_frames"}),
        ([], [500.0] * 3, set()),
        ([window(400 + i) for i in range(5)], [400.0, 401.0, 402.0], {"functional_groups_left_over"}),
        ([{0x00289132: sequence({})}, window(401), window(402)], [500.0, 401.0, 402.0], {"voi_missing_in_frames"}),
        ([{0x00289132: sequence()}, window(401), window(402)], [500.0, 401.0, 402.0], {"voi_missing_in_frames"}),
        (
            [
                {0x00289132: sequence({0x00281050: text("DS", ""), 0x00281051: text("DS", "")})},
                window(401),
                window(402),
            ],
            [500.0, 401.0, 402.0],
            {"voi_missing_in_frames"},
        ),
    ],
    ids=["one lacks it", "fewer items", "no items", "more items", "empty item", "no item", "empty values"],
)
def test_a_frame_that_lacks_a_group_takes_the_shared_one_and_is_flagged(
    own: list[Group], found: list[float], flags: set[str], tmp_path: Path
) -> None:
    run, frames = read(tmp_path, own, window(500))
    assert centers(run, frames) == found
    assert set(run.flags) == flags


@pytest.mark.parametrize(
    ("group", "flag"),
    [
        (shutter(9), "shutter_missing_in_frames"),
        (collimator(9), "collimator_missing_in_frames"),
        (angle(9), "positioner_angle_missing_in_frames"),
    ],
)
def test_a_group_that_only_some_frames_have_is_flagged(group: Group, flag: str, tmp_path: Path) -> None:
    run, frames = read(tmp_path, [group, {}, group])
    assert run.flags == (flag,)
    assert rights(run, frames)[1] == COLUMNS
    assert frames[1].positioner_primary_angle_deg is None


def test_an_unusable_window_of_one_frame_leaves_the_others_theirs(tmp_path: Path) -> None:
    wrong = {0x00289132: sequence({0x00281050: text("DS", "x"), 0x00281051: text("DS", "600")})}
    run, frames = read(tmp_path, [window(400), wrong, window(402)])
    assert centers(run, frames) == [400.0, None, 402.0]
    assert set(run.flags) == {"window_center_unusable", "window_unusable"}


def test_the_layout_of_the_pixels_is_never_a_frames_own(tmp_path: Path) -> None:
    lie = {0x00289132: sequence({0x00280010: us(1), 0x00280101: us(8), 0x00280004: text("CS", "MONOCHROME1")})}
    run, _ = read(tmp_path, [lie] * 3)
    assert (run.rows, run.grayscale.bits_stored, run.grayscale.inverted) == (ROWS, 10, False)


def test_a_detector_that_moves_is_flagged_and_the_run_has_its_first_place(tmp_path: Path) -> None:
    run, _ = read(tmp_path, [distance(1000 + i) for i in range(3)])
    assert run.geometry.distance_source_to_detector_mm == 1000.0
    assert run.flags == ("distances_change",)
    run, _ = read(tmp_path, [distance(1000)] * 3)
    assert run.flags == ()


def test_rescale_of_a_frame_is_flagged_and_not_applied(tmp_path: Path) -> None:
    run, _ = read(tmp_path, [rescale(2)] * 3)
    assert run.grayscale.modality is None
    assert run.flags == ("rescale_not_applied",)


def test_the_sandbox_says_the_same_of_each_frame(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(enhanced([window(400 + i % 2) | shutter(20 - i) for i in range(3)]))
    run, items = read_here(path)
    confined, found = read_sandboxed(only_input(path))
    assert [one.window_key for one in confined.grayscales] == [one.window_key for one in run.grayscales]
    assert [one.exposed_key for one in confined.grayscales] == [one.exposed_key for one in run.grayscales]
    assert [item.grayscale for item in found if isinstance(item, Frame)] == [0, 1, 2]
    assert [item.grayscale for item in items if isinstance(item, Frame)] == [0, 1, 2]


def test_as_many_grey_scales_as_a_line_prepares_for_pass_the_sandbox(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(enhanced([window(400 + i) for i in range(MAX_GRAYSCALES)], frames=MAX_GRAYSCALES))
    run, items = read_sandboxed(only_input(path))
    assert [item.grayscale for item in items if isinstance(item, Frame)] == list(range(MAX_GRAYSCALES))
    assert len(run.grayscales) == MAX_GRAYSCALES


def test_more_grey_scales_than_a_line_can_prepare_for_are_refused(tmp_path: Path) -> None:
    many = MAX_GRAYSCALES + 1
    with pytest.raises(SourceError, match=f"more than {MAX_GRAYSCALES} different grey scales"):
        read(tmp_path, [window(400 + i) for i in range(many)], frames=many)


def test_larger_tables_than_a_reply_holds_are_refused(tmp_path: Path) -> None:
    many = MAX_NUMBERS // 1024 + 1
    assert many > MAX_GRAYSCALES  # of tables this small; larger ones:
    data = np.arange(65536, dtype="<u2")
    own: list[Group] = [
        {0x00289132: sequence({0x00283010: sequence({0x00283002: us(0, i, 16), 0x00283006: ("OW", data.tobytes())})})}
        for i in range(9)
    ]
    with pytest.raises(SourceError, match=f"more than {MAX_NUMBERS} numbers"):
        read(tmp_path, own, frames=9)


def test_a_hundred_thousand_items_are_neither_slow_nor_large(tmp_path: Path) -> None:
    item = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
    data = enhanced([])
    empty = element(0x52009230, ("SQ", b""), EXPLICIT_LITTLE)
    assert empty in data
    path = tmp_path / "run.dcm"
    path.write_bytes(data.replace(empty, element(0x52009230, ("SQ", item * 100_000))))
    started = time.process_time()
    run, items = read_here(path)
    assert time.process_time() - started < 1.5  # of the processor; parsing all of them takes 3 s
    assert len(items) == 3
    assert run.flags == ("functional_groups_left_over",)


def test_a_reported_shutter_that_closes_has_its_edges(data_dir: Path) -> None:
    path = data_dir / "reported_cases" / "r10b_enhanced_shutter_per_frame.dcm"
    if not path.is_file():
        pytest.skip(f"no reported case: looked for {path}")
    run, items = read_here(path)
    frames = [item for item in items if isinstance(item, Frame)]
    exposed = [run.grayscales[frame.grayscale].exposed for frame in frames]
    assert [128 if spans is None else int(spans[0, 1]) for spans in exposed] == [128, 108, 88, 68, 48]


def test_an_empty_value_of_an_unknown_vr_is_as_good_as_absent() -> None:
    octets = element(0x00181600, text("CS", "RECTANGULAR")) + b"\x18\x00\x04\x16I\x01\x00\x00"
    damaged = read_dataset(io.BytesIO(octets), is_implicit_VR=False, is_little_endian=True)
    assert fingerprint([damaged], {0x00181600, 0x00181604}) == ((0x00181600, b"RECTANGULAR "), (0x00181604, None))
