"""When the frames of a DICOM run are due: which attribute counts, what is flagged, and what does not matter."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cathrt.runtime.frame import Run
from tests.sources.dicom_bytes import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Value,
    native,
    part10,
    pictures,
    sequence,
    text,
    us,
    xa_elements,
)
from tests.sources.reading import read_bytes_here, read_here

FRAME_TIME, VECTOR = 0x00181063, 0x00181065


def pointer(*tags: int, syntax: str = EXPLICIT_LITTLE) -> Value:
    order = ">" if syntax == EXPLICIT_BIG else "<"
    return "AT", b"".join(struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) for tag in tags)


def fd(number: float) -> Value:
    return "FD", struct.pack("<d", number)


def run_of(folder: Path, frames: int = 3, syntax: str = EXPLICIT_LITTLE, **changes: Value | None) -> Run:
    """Of a run whose Frame Time is 33 ms where no change says otherwise; None leaves an element out."""
    elements = xa_elements(frames, stored=10)
    for name, value in changes.items():
        tag = int(name.removeprefix("_"), 16)
        if value is None:
            elements.pop(tag)
        else:
            elements[tag] = value
    pixels = native(pictures(frames, stored=10), syntax=syntax)
    return read_bytes_here(folder, part10(elements, pixels, syntax))[0]


def enhanced(
    folder: Path,
    of_frames: Sequence[Mapping[str, str | None]],
    **changes: Value | None,
) -> Run:
    """A run without Frame Time whose frames have this Frame Content: keyword to text."""
    tags = {"acquired": 0x00189074, "reference": 0x00189151}
    groups = []
    for of_frame in of_frames:
        content = {tags[name]: text("DT", value) for name, value in of_frame.items() if value is not None}
        groups.append({0x00209111: sequence({0x00189220: fd(7.5), **content})})
    return run_of(folder, len(of_frames), _52009230=sequence(*groups), **{"_00181063": None, **changes})


def acquired(folder: Path, *values: str | None, **changes: Value | None) -> Run:
    return enhanced(folder, [{"acquired": value} for value in values], **changes)


def due_ms(run: Run) -> list[float]:
    assert run.frame_count is not None
    return [run.timing.due_ms(index) for index in range(run.frame_count)]


@pytest.mark.parametrize(
    ("changes", "origin", "rate_hz", "flags"),
    [
        ({"_00181063": None, "_00181065": text("DS", "0\\40\\60")}, "FrameTimeVector", 20.0, set()),
        ({"_00181063": None, "_00181065": text("DS", "5\\40\\60")}, "FrameTimeVector", 20.0,
         {"frame_time_vector_starts_late"}),
        ({"_00181065": text("DS", "0\\40\\60")}, "FrameTimeVector", 20.0, {"frame_time_vector_not_frame_time"}),
        *(
            ({"_00181065": text("DS", vector)}, "FrameTime", 1000 / 33, {"frame_time_vector_unusable"})
            for vector in ("0\\40", "0\\40\\40\\40", "40\\40", "0\\40\\-1", "-1\\40\\40", "0\\40\\0", "0\\0\\0",
                           "0\\nan\\40", "0\\inf\\40", "0\\40,5\\40", "0\\5001\\40", "0\\0.001\\0.001", "0\\x\\40")
        ),
        ({"_00181063": text("DS", "0"), "_00180040": text("IS", "15")}, "CineRate", 15.0, {"frame_time_unusable"}),
        ({"_00181063": text("DS", "66,67"), "_00180040": text("IS", "15")}, "CineRate", 15.0, {"frame_time_unusable"}),
        ({"_00181063": None, "_00180040": text("IS", "0"), "_00082144": text("IS", "10")},
         "RecommendedDisplayFrameRate", 10.0, {"cine_rate_unusable"}),
        ({"_00181063": None, "_00180040": text("IS", "1000")}, "default", 15.0,
         {"cine_rate_unusable", "frame_rate_default"}),
        ({"_00181063": None, "_00082144": text("IS", "-15")}, "default", 15.0,
         {"recommended_display_frame_rate_unusable", "frame_rate_default"}),
        ({"_00181063": text("DS", "")}, "default", 15.0, {"frame_rate_default"}),
    ],
)  # fmt: skip
def test_frame_rate_comes_from_the_first_usable_attribute(
    changes: dict[str, Value | None], origin: str, rate_hz: float, flags: set[str], tmp_path: Path
) -> None:
    run = run_of(tmp_path, **changes)
    assert run.timing.origin == origin
    assert run.timing.frame_rate_hz == pytest.approx(rate_hz)
    assert set(run.flags) == flags


def test_an_uneven_frame_time_vector_says_when_each_frame_is_due(tmp_path: Path) -> None:
    assert due_ms(run_of(tmp_path, _00181065=text("DS", "0\\40\\60"))) == [0.0, 40.0, 100.0]


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
@pytest.mark.parametrize(
    ("tags", "origin", "flag"),
    [
        ((FRAME_TIME,), "FrameTime", "frame_time_not_frame_time_vector"),
        ((VECTOR,), "FrameTimeVector", "frame_time_vector_not_frame_time"),
        ((VECTOR, FRAME_TIME), "FrameTimeVector", "frame_time_vector_not_frame_time"),
        ((FRAME_TIME, VECTOR), "FrameTimeVector", "frame_time_vector_not_frame_time"),
        ((0x00181520, FRAME_TIME), "FrameTime", "frame_time_not_frame_time_vector"),
        ((0x00181520,), "FrameTimeVector", "frame_time_vector_not_frame_time"),
    ],
)
def test_frame_increment_pointer_decides_and_the_attribute_that_disagrees_is_named(
    tags: tuple[int, ...], origin: str, flag: str, syntax: str, tmp_path: Path
) -> None:
    vector = text("DS", "0\\125\\124")
    run = run_of(tmp_path, syntax=syntax, _00280009=pointer(*tags, syntax=syntax), _00181065=vector)
    assert (run.timing.origin, run.flags) == (origin, (flag,))


def test_a_pointed_at_frame_time_makes_an_even_cadence_beside_a_stale_vector(tmp_path: Path) -> None:
    changes = {"_00181063": text("DS", "40"), "_00181065": text("DS", "0\\125\\124")}
    run = run_of(tmp_path, _00280009=pointer(FRAME_TIME), **changes)
    assert due_ms(run) == [0.0, 40.0, 80.0]


def test_statements_that_agree_carry_no_flag(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        _00280009=pointer(VECTOR),
        _00181063=text("DS", "133.33"),
        _00181065=text("DS", "0\\133\\134"),
        _00180040=text("IS", "8"),
        _00082144=text("IS", "7"),
    )
    assert (run.timing.origin, run.flags) == ("FrameTimeVector", ())


@pytest.mark.parametrize(
    ("tag", "changes", "origin", "flags"),
    [
        (VECTOR, {}, "FrameTime", {"frame_increment_pointer_unusable"}),
        (VECTOR, {"_00181065": text("DS", "")}, "FrameTime", {"frame_increment_pointer_unusable"}),
        (VECTOR, {"_00181065": text("DS", "0\\40")}, "FrameTime", {"frame_time_vector_unusable"}),
        (FRAME_TIME, {"_00181063": None, "_00180040": text("IS", "15")}, "CineRate",
         {"frame_increment_pointer_unusable"}),
        (FRAME_TIME, {"_00181063": text("DS", "40,0"), "_00180040": text("IS", "15")}, "CineRate",
         {"frame_time_unusable"}),
    ],
)  # fmt: skip
def test_a_pointer_to_what_is_not_there_is_flagged_and_the_next_attribute_is_used(
    tag: int, changes: dict[str, Value | None], origin: str, flags: set[str], tmp_path: Path
) -> None:
    run = run_of(tmp_path, _00280009=pointer(tag), **changes)
    assert (run.timing.origin, set(run.flags)) == (origin, flags)


def test_a_damaged_pointer_is_passed_over(tmp_path: Path) -> None:
    assert run_of(tmp_path, _00280009=("AT", b"\x18\0\x63")).timing.origin == "FrameTime"


@pytest.mark.parametrize("tag", [FRAME_TIME, VECTOR])
def test_one_frame_with_a_frame_time_of_zero_is_as_the_standard_allows(tag: int, tmp_path: Path) -> None:
    zeros = {"_00181063": text("DS", "0"), "_00181065": text("DS", "0")}
    run = run_of(tmp_path, 1, _00280009=pointer(tag), **zeros)
    assert (run.timing.origin, run.flags) == ("default", ("frame_rate_default",))


@pytest.mark.parametrize(
    "values",
    [
        ("20240229120000.000000", "20240229120000.066667", "20240229120000.200000"),
        ("20240229235959.900000", "20240229235959.966667", "20240301000000.100000"),
        ("20231231235959.9", "20231231235959.966667", "20240101000000.100"),
        ("20240229120000.000000+0900", "20240229120000.066667+0900", "20240229120000.200000+0900"),
        ("20240229235959.900000-0230", "20240229235959.966667-0230", "20240301023000.100000+0000"),
        ("20161231235960.000000", "20161231235960.066667", "20161231235960.200000 "),
    ],
    ids=["a day", "midnight", "new year", "an offset", "two offsets", "a leap second"],
)
@pytest.mark.parametrize("name", ["acquired", "reference"])
def test_the_date_times_of_the_frames_say_when_each_is_due(name: str, values: tuple[str, ...], tmp_path: Path) -> None:
    run = enhanced(tmp_path, [{name: value} for value in values])
    assert run.timing.origin == {"acquired": "FrameAcquisitionDateTime", "reference": "FrameReferenceDateTime"}[name]
    assert due_ms(run) == pytest.approx([0.0, 66.667, 200.0])
    assert run.timing.frame_rate_hz == pytest.approx(10.0)
    assert run.flags == ()


@pytest.mark.parametrize(
    "values",
    [
        ("20240101120000.0", "20240101120000.2", "20240101120000.1"),
        ("20240101120000.0", "20240101120000.1", "20240101120000.1"),
        ("20240101120000", "20240101120000", "20240101120001"),
        ("20240101235959.9", "20240101000000.0", "20240101000000.1"),
        ("20240101120000.0", None, "20240101120000.2"),
        ("20240101120000.0", "20240101120000.1", None),
        ("20240101120000.0+0100", "20240101120000.1", "20240101120000.2"),
        ("202401011200", "202401011201", "202401011202"),
        ("20240101120000.0", "20240132120000.1", "20240101120000.2"),
        ("20240101120000.0", "20240101250000.1", "20240101120000.2"),
        ("20240101120000,0", "20240101120000,1", "20240101120000,2"),
        ("20240101120000.0\\20240101120000.0", "20240101120000.1", "20240101120000.2"),
        ("20240101120000.0", "20240101120006.0", "20240101120006.1"),
        ("20240101120000.000000", "20240101120000.000001", "20240101120000.000002"),
    ],
    ids=[
        "backwards", "equal", "no fractions", "midnight without a new date", "one missing", "the last missing",
        "an offset on one", "no seconds", "no such day", "no such hour", "decimal comma", "two values",
        "a step of 6 s", "a million a second",
    ],
)  # fmt: skip
def test_date_times_that_cannot_be_meant_are_flagged_and_the_next_attribute_is_used(
    values: tuple[str | None, ...], tmp_path: Path
) -> None:
    run = acquired(tmp_path, *values, _00180040=text("IS", "15"))
    assert (run.timing.origin, run.flags) == ("CineRate", ("frame_acquisition_date_time_unusable",))


def test_whole_seconds_are_enough_for_one_frame_a_second(tmp_path: Path) -> None:
    run = acquired(tmp_path, "20240101120000", "20240101120001", "20240101120002")
    assert (run.timing.frame_rate_hz, run.flags) == (1.0, ())


def test_when_a_frame_was_taken_comes_before_what_it_stands_for(tmp_path: Path) -> None:
    stamps = [{"acquired": f"20240101120000.{n}", "reference": f"20240101120000.{2 * n}"} for n in range(1, 4)]
    run = enhanced(tmp_path, stamps)
    assert (run.timing.origin, run.timing.frame_rate_hz) == ("FrameAcquisitionDateTime", 10.0)
    assert run.flags == ("frame_acquisition_date_time_not_frame_reference_date_time",)


def test_measured_times_come_before_a_nominal_one_unless_the_pointer_names_that(tmp_path: Path) -> None:
    stamps = [f"20240101120000.{n}" for n in range(1, 4)]
    plain = acquired(tmp_path, *stamps, _00181063=text("DS", "40"))
    pointed = acquired(tmp_path, *stamps, _00181063=text("DS", "40"), _00280009=pointer(FRAME_TIME))
    assert (plain.timing.origin, plain.flags) == (
        "FrameAcquisitionDateTime", ("frame_acquisition_date_time_not_frame_time",)
    )  # fmt: skip
    assert (pointed.timing.origin, pointed.flags) == ("FrameTime", ("frame_time_not_frame_acquisition_date_time",))


@pytest.mark.parametrize(("duration_s", "rate_hz"), [(0.2, 15.0), (0.0, None), (-1.0, None), (1e-6, None)])
def test_the_duration_of_the_acquisition_counts_where_nothing_else_does(
    duration_s: float, rate_hz: float | None, tmp_path: Path
) -> None:
    run = run_of(tmp_path, _00181063=None, _00189073=fd(duration_s))
    if rate_hz is None:
        assert run.flags == ("acquisition_duration_unusable", "frame_rate_default")
    else:
        assert (run.timing.origin, run.timing.frame_rate_hz) == ("AcquisitionDuration", pytest.approx(rate_hz))
        assert run.flags == ()


def display(first: int, last: int, rate_hz: float, flag: str = "DISPLAY") -> dict[int, Value]:
    return {
        0x00082142: text("IS", str(first)),
        0x00082143: text("IS", str(last)),
        0x00089459: ("FL", struct.pack("<f", rate_hz)),
        0x00089460: text("CS", flag),
    }


@pytest.mark.parametrize(
    ("items", "origin", "flags"),
    [
        ([display(1, 3, 7.5)], "FrameDisplaySequence", ()),
        ([display(2, 2, 7.5, "SKIP")], "FrameDisplaySequence", ()),
        ([display(3, 3, 7.5), display(1, 2, 7.5)], "default", ("frame_rate_default",)),
        ([display(1, 2, 7.5), display(3, 3, 15.0)], "default", ("frame_rate_default",)),
        ([display(1, 3, 0.0)], "default", ("frame_display_sequence_unusable", "frame_rate_default")),
        ([{}], "default", ("frame_rate_default",)),
        ([], "default", ("frame_rate_default",)),
    ],
)
def test_the_display_sequence_gives_at_most_a_rate_and_never_an_order(
    items: list[dict[int, Value]], origin: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    run = run_of(tmp_path, _00181063=None, _00089458=sequence(*items))
    assert (run.timing.origin, run.flags, run.frame_count) == (origin, flags, 3)
    assert run.timing.frame_rate_hz == (15.0 if origin == "default" else 7.5)


def test_what_viewers_are_told_changes_neither_times_nor_frames(tmp_path: Path) -> None:
    data = part10(
        xa_elements(3, stored=10)
        | {
            0x00181244: us(1),  # sweeping
            0x00082142: text("IS", "2"),
            0x00082143: text("IS", "2"),
            0x00181242: text("IS", "7"),  # Actual Frame Duration
            0x00180072: text("DS", "0.021"),  # Effective Duration
            0x00181066: text("DS", "500"),  # Frame Delay
        },
        native(pictures(3, stored=10)),
    )
    run, items = read_bytes_here(tmp_path, data)
    assert (run.timing.origin, run.timing.due_ms(0), run.flags) == ("FrameTime", 0.0, ())
    assert [item.index for item in items] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "due", "flags"),
    [
        ("r12_vector_pointed_at.dcm", [0.0, 125.0, 249.0, 373.0, 499.0], {"frame_time_vector_not_frame_time"}),
        ("r12_frame_time_pointed_at.dcm", [0.0, 40.0, 80.0, 120.0, 160.0], {"frame_time_not_frame_time_vector"}),
        ("r35_frame_time_comma.dcm", [0.0, 1000 / 15, 2000 / 15, 3000 / 15, 4000 / 15],
         {"frame_time_unusable", "frame_rate_default"}),
    ],
)  # fmt: skip
def test_a_reported_file_has_the_times_its_maker_meant(
    name: str, due: list[float], flags: set[str], data_dir: Path
) -> None:
    path = data_dir / "reported_cases" / name
    if not path.is_file():
        pytest.skip(f"no reported cases: looked for {path}")
    run, _ = read_here(path)
    assert due_ms(run) == pytest.approx(due)
    assert set(run.flags) == flags
