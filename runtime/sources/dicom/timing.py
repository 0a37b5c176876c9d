"""When the frames of a DICOM run are due, and which attribute says so; and when the run was taken.

Frames are judged as they are stored, each once: Preferred Playback Sequencing, Start and Stop Trim and the ranges of
the Frame Display Sequence are for viewers, and are not read. Actual Frame Duration, Frame Acquisition Duration and
Effective Duration are how long the beam was on, which is no rate.
Source: PS3.3 C.7.6.5, C.7.6.6, C.7.6.16.2.2, C.8.19.3, C.8.19.7; PS3.17 FFF.2.2. Not for: pacing (the line does it).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from cathrt.runtime.frame import DEFAULT_RATE_HZ, MIN_RATE_HZ, FrameRateOrigin, TakenAt, Timing, is_rate
from cathrt.runtime.sources.dicom.attributes import Attributes, snake_case
from cathrt.runtime.sources.dicom.functional_groups import FunctionalGroups

_FRAME_INCREMENT_POINTER: dict[float, FrameRateOrigin] = {0x00181063: "FrameTime", 0x00181065: "FrameTimeVector"}
_LONGEST_STEP_MS = 1000.0 / MIN_RATE_HZ
_SAME_WITHIN = 0.05  # of the faster rate: 33 ms are 30 Hz
_WHOLE_HZ: tuple[FrameRateOrigin, ...] = ("CineRate", "RecommendedDisplayFrameRate")  # 7.5 Hz become 7 or 8
# Acquisition Duration counts frames to within one; the Frame Display Sequence may well differ from how it was acquired.
_NOT_COMPARED: tuple[FrameRateOrigin, ...] = ("AcquisitionDuration", "FrameDisplaySequence")
_DATE_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,6}))?(?:([+-])(\d\d)(\d\d))?")

_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?")


def taken_at(attributes: Attributes) -> TakenAt:
    """Of Series Date and Time, and Acquisition Date and Time. A time that is none is flagged and left out."""
    return TakenAt(
        _moment_s(attributes, "SeriesDate", "SeriesTime"), _moment_s(attributes, "AcquisitionDate", "AcquisitionTime")
    )


def _moment_s(attributes: Attributes, date: str, time: str) -> float | None:
    text = attributes.text(time)
    if text is None:
        return None
    found, day = _TIME.fullmatch(text.strip(" \0")), _DATE.fullmatch((attributes.text(date) or "").strip(" \0"))
    try:
        days = 0 if day is None else datetime.date(*map(int, day.groups())).toordinal()
    except ValueError:  # no such day
        days = 0
    if found is None:
        attributes.flag_unusable(time)
        return None
    hours, minutes, seconds = (int(found[group] or 0) for group in (1, 2, 3))
    if hours > 23 or minutes > 59 or seconds > 60:
        attributes.flag_unusable(time)
        return None
    return 86400.0 * days + 3600 * hours + 60 * minutes + seconds + int((found[4] or "").ljust(6, "0")) / 1e6


def timing_from_attributes(attributes: Attributes, groups: FunctionalGroups, frame_count: int) -> Timing:
    """The attribute that Frame Increment Pointer names, else the first usable one in the order of _stated().

    attributes: of the first frame. groups: for those of each frame. An attribute that cannot be meant is flagged and
    passed over; one that states another rate than the one that is taken is named in a flag beside it. Without any:
    15 Hz and "frame_rate_default".
    """
    stated = list(_stated(attributes, groups, frame_count))
    pointed_at = _pointed_at(attributes)
    taken = next((timing for timing in stated if timing.origin in pointed_at), stated[0] if stated else None)
    if frame_count > 1 and any(_is_absent(attributes, origin) for origin in pointed_at):
        attributes.flag_unusable("FrameIncrementPointer")
    if taken is None:
        attributes.flags.add("frame_rate_default")
        return Timing(DEFAULT_RATE_HZ, "default")
    for other in stated:
        if _differ(taken, other):
            attributes.flags.add(f"{snake_case(taken.origin)}_not_{snake_case(other.origin)}")
    return taken


def _stated(attributes: Attributes, groups: FunctionalGroups, frame_count: int) -> Iterator[Timing]:
    """Every usable statement. First what was measured of each frame, then what holds for all of them, then what is
    counted from the whole run or recommended to viewers: there, one range of frames, since several may differ."""
    vector = attributes.numbers("FrameTimeVector")
    if vector and frame_count > 1:
        starts = vector[0] >= 0.0 and len(vector) == frame_count
        timing = _timing_of_steps("FrameTimeVector", vector[1:]) if starts else None
        if vector[0] > 0.0 and timing is not None:
            attributes.flags.add("frame_time_vector_starts_late")
        yield from _usable(attributes, "FrameTimeVector", timing)
    yield from _of_date_times(attributes, groups, frame_count)
    frame_time_ms = attributes.number("FrameTime")
    if frame_time_ms is not None and (frame_count > 1 or frame_time_ms != 0.0):  # 0 of one frame is as it should be
        rate_hz = 1000.0 / frame_time_ms if frame_time_ms else 0.0
        yield from _usable(attributes, "FrameTime", _timing_of_rate("FrameTime", rate_hz))
    for origin in _WHOLE_HZ:
        if (rate := attributes.number(origin)) is not None:
            yield from _usable(attributes, origin, _timing_of_rate(origin, rate))
    duration_s = attributes.number("AcquisitionDuration")
    if duration_s is not None and frame_count > 1:
        rate_hz = frame_count / duration_s if duration_s else 0.0
        yield from _usable(attributes, "AcquisitionDuration", _timing_of_rate("AcquisitionDuration", rate_hz))
    ranges = attributes.item("FrameDisplaySequence")
    rate = None if ranges is None else ranges.number("RecommendedDisplayFrameRateInFloat")
    if rate is not None and attributes.count("FrameDisplaySequence") == 1:
        yield from _usable(attributes, "FrameDisplaySequence", _timing_of_rate("FrameDisplaySequence", rate))


def _usable(attributes: Attributes, origin: FrameRateOrigin, timing: Timing | None) -> Iterator[Timing]:
    if timing is None:
        attributes.flag_unusable(origin)
    else:
        yield timing


def _timing_of_rate(origin: FrameRateOrigin, rate_hz: float) -> Timing | None:
    return Timing(rate_hz, origin) if is_rate(rate_hz) else None


def _timing_of_steps(origin: FrameRateOrigin, steps_ms: Sequence[float]) -> Timing | None:
    if not all(0.0 < step_ms <= _LONGEST_STEP_MS for step_ms in steps_ms):
        return None
    rate_hz = 1000.0 * len(steps_ms) / sum(steps_ms)
    return Timing(rate_hz, origin, (0.0, *steps_ms)) if is_rate(rate_hz) else None


def _of_date_times(attributes: Attributes, groups: FunctionalGroups, frame_count: int) -> Iterator[Timing]:
    """From the Frame Content of each frame: only how much later each frame is than the one before it is kept."""
    if frame_count < 2 or not groups.items:
        return
    origins: tuple[Literal["FrameAcquisitionDateTime", "FrameReferenceDateTime"], ...] = (
        "FrameAcquisitionDateTime",
        "FrameReferenceDateTime",
    )
    of_frames = [groups.of_frame(index) for index in range(frame_count)]
    for origin in origins:
        texts = [of_frame.text(origin) for of_frame in of_frames]
        if any(texts):
            yield from _usable(attributes, origin, _timing_of_date_times(origin, texts))


def _timing_of_date_times(origin: FrameRateOrigin, texts: Sequence[str | None]) -> Timing | None:
    """None unless each is complete to the second, all or none have an offset from UTC, and each is later than the one
    before: equal ones have too few digits, and what goes back is not the time at which stored frames were taken."""
    found = [_DATE_TIME.fullmatch((text or "").strip(" \0")) for text in texts]
    try:
        times_us = [_microseconds(match) for match in found if match is not None]
    except ValueError:  # no such day
        return None
    if len(times_us) < len(texts) or len({match is not None and match[8] is None for match in found}) > 1:
        return None
    return _timing_of_steps(origin, [(later - earlier) / 1000.0 for earlier, later in pairwise(times_us)])


def _microseconds(match: re.Match[str]) -> int:
    """Since some midnight, UTC where there is an offset. Second 60 is a leap second. Raises ValueError."""
    year, month, day, hours, minutes, seconds = (int(match[group]) for group in range(1, 7))
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError(match[0])
    if match[8] is not None:
        minutes -= int(match[8] + "1") * (60 * int(match[9]) + int(match[10]))
    days = datetime.date(year, month, day).toordinal()
    return (86400 * days + 3600 * hours + 60 * minutes + seconds) * 1_000_000 + int((match[7] or "").ljust(6, "0"))


def _pointed_at(attributes: Attributes) -> list[FrameRateOrigin]:
    """Of what Frame Increment Pointer names, what is a time; in older objects it may also name angles or positions."""
    tags = attributes.numbers("FrameIncrementPointer")
    return [_FRAME_INCREMENT_POINTER[tag] for tag in tags if tag in _FRAME_INCREMENT_POINTER]


def _is_absent(attributes: Attributes, origin: FrameRateOrigin) -> bool:
    """Not there or empty; what cannot be used has been flagged by its own name."""
    return not attributes.numbers(origin) and f"{snake_case(origin)}_unusable" not in attributes.flags


def _differ(one: Timing, other: Timing) -> bool:
    if one.origin in _NOT_COMPARED or other.origin in _NOT_COMPARED:
        return False
    rounded_hz = 0.5 if one.origin in _WHOLE_HZ or other.origin in _WHOLE_HZ else 0.0
    faster_hz = max(one.frame_rate_hz, other.frame_rate_hz)
    return abs(one.frame_rate_hz - other.frame_rate_hz) > _SAME_WITHIN * faster_hz + rounded_hz
