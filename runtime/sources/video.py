"""The video reader of the decoder process: the luma of MP4, AVI, MKV and MOV files, through PyAV.

PyAV's wheels carry GPL encoders, so it is the extra [video]. Not for: live capture.
Two passes: packets are counted and their times read first, so that the run knows its frames before they are decoded.
The first picture is decoded before the run is described: it says which way up the pictures are.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import DEFAULT_RATE_HZ, Frame, Grayscale, LostFrame, Run, Timing, is_rate
from cathrt.runtime.identity import run_id
from cathrt.runtime.sources.content import Content, content_sha256, reading
from cathrt.runtime.sources.messages import Request
from cathrt.runtime.sources.orientation import OrientationError, is_turned_on_its_side, turned
from cathrt.runtime.sources.picture import PictureError, require_size
from cathrt.runtime.sources.video_grey import Turns, grey_form, grey_of_picture
from cathrt.runtime.sources.video_pictures import pictures_of

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm"
# Playlists and other formats that name further files are not even probed for.
_CONTAINER_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
_EVEN_WITHIN = 0.05  # of the mean step: container clocks round to 1/1000 s or 1/90000 s
# Codecs of which data missing from a packet are always noticed (tests/sources/test_cut_video.py).
_TELL_DAMAGE = frozenset({"h264", "hevc", "mjpeg", "png", "jpeg2000", "ffv1"})
_DAMAGED = "damaged, or drawn from a damaged picture before it"
_UNDECODABLE = "the decoder gave no picture for it: its data is damaged or missing"


_Drawn = tuple[Any, bool]  # a picture of FFmpeg's, and whether it is spoilt


def load_video() -> None:
    """Import what reading needs. Raises SourceError where that is not installed."""
    try:
        import av.subtitles.stream  # noqa: F401 - PyAV itself imports it late, when it opens a container
    except ImportError as exc:
        raise SourceError(
            "video needs PyAV, which is not installed: pip install '.[video]' in a clone of cathrt, or "
            "pip install 'FILE.whl[video]' of its wheel"
        ) from exc


def read_video(request: Request, contents: Sequence[Content]) -> Iterator[Run | Frame | LostFrame]:
    """The Run, then one item per video packet, in the order shown, from request.first_frame on.

    Pictures before that are decoded too, since later ones are drawn from them. Raises SourceError where there is no
    video.
    """
    import av

    with reading(contents[0]) as file:
        digest = content_sha256(file)
        try:
            times, known = _packet_times(av, file, request.limits)
            file.seek(0)
            with av.open(file, mode="r", metadata_errors="ignore", container_options=_CONTAINER_OPTIONS) as container:
                stream = container.streams.video[0]
                flags: set[str] = set()
                bits = _check_stream(stream, request.limits, flags)
                stored = (stream.codec_context.height, stream.codec_context.width)
                pictures = pictures_of(av, container, stream)
                first, turns = next(pictures, None), Turns()
                rows, columns = _size_as_shown(stored, first, turns, request.limits)
                yield Run(
                    run_id=run_id(digest),
                    source=request.name,
                    frame_count=len(times),
                    rows=rows,
                    columns=columns,
                    grayscale=Grayscale(bits),
                    timing=_timing(times if known else [], stream.time_base, stream.average_rate, flags),
                    flags=tuple(sorted(flags)),
                )
                pictures = pictures if first is None else chain([first], pictures)
                items = _frames(pictures, turns, times, _Expected(stored, (rows, columns), bits))
                yield from (item for item in items if item.index >= request.first_frame)
        except av.FFmpegError as exc:
            raise SourceError(f"damaged or unknown video ({type(exc).__name__}: {exc.strerror})") from exc


def _packet_times(av: Any, file: Any, limits: LimitsConfig) -> tuple[list[int], bool]:
    """Presentation times (time base units) of the packets, in the order shown, and whether they are known; where they
    are not, numbers from 0."""
    with av.open(file, mode="r", metadata_errors="ignore", container_options=_CONTAINER_OPTIONS) as container:
        if not container.streams.video:
            raise SourceError("no video stream in the file")
        times: list[int | None] = []
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                times.append(packet.pts if packet.pts is not None else packet.dts)
            if len(times) > limits.max_frames:
                raise SourceError(
                    f"more frames than limits.max_frames = {limits.max_frames}: raise it if this is meant"
                )
    if not times:
        raise SourceError("no frame in the video stream")
    known = [time for time in times if time is not None]
    # Without a time for each, or with two the same (raw AVI), the order of packets is all there is.
    return (sorted(known), True) if len(set(known)) == len(times) else (list(range(len(times))), False)


def _check_stream(stream: Any, limits: LimitsConfig, flags: set[str]) -> int:
    """Size and pixel format before anything is decoded; returns the bits of a stored value."""
    context = stream.codec_context
    if context is None:
        raise SourceError("no decoder for this video stream: convert it to H.264, HEVC, MJPEG or FFV1")
    _require_size(context.height, context.width, limits)
    context.thread_count = 1
    # Version 1 of FFV1 has no slices, whose lengths and checksums tell; it has no extradata either.
    if context.name not in _TELL_DAMAGE or (context.name == "ffv1" and not context.extradata):
        flags.add("damage_not_told")
    pixel_format = context.pix_fmt
    if pixel_format is None:
        raise SourceError(f"the pixel format of this {context.name} stream cannot be found: it is damaged")
    form = grey_form(pixel_format)
    if form is None or form.is_colour:
        flags.add("colour_to_luma")
    elif not pixel_format.startswith(("gray", "ya")):
        flags.add("luma_of_colour_video")
    return 8 if form is None else form.bits


def _require_size(rows: int, columns: int, limits: LimitsConfig) -> None:
    try:
        require_size(rows, columns, limits)
    except PictureError as exc:
        raise SourceError(str(exc)) from exc


def _size_as_shown(
    stored: tuple[int, int], first: _Drawn | None, turns: Turns, limits: LimitsConfig
) -> tuple[int, int]:
    """Rows and columns of the run: as stored, or turned as the first picture is. Raises SourceError."""
    try:
        orientation = 1 if first is None else turns.of(first[0])
    except OrientationError as exc:
        raise SourceError(str(exc)) from exc
    rows, columns = stored[::-1] if is_turned_on_its_side(orientation) else stored
    _require_size(rows, columns, limits)
    return rows, columns


def _timing(times: list[int], time_base: Fraction | None, average_rate: Fraction | None, flags: set[str]) -> Timing:
    """Cadence from the presentation times; the frame time vector only where they are uneven. What the container calls
    its rate counts where it has no times."""
    if time_base is not None and len(times) > 1:
        steps = [float((b - a) * time_base * 1000) for a, b in pairwise(times)]
        mean_ms = sum(steps) / len(steps)
        if mean_ms > 0.0 and is_rate(1000.0 / mean_ms):
            even = max(abs(step - mean_ms) for step in steps) <= max(_EVEN_WITHIN * mean_ms, 1.0)
            nominal = average_rate is not None and abs(float(average_rate) * mean_ms / 1000.0 - 1.0) < _EVEN_WITHIN
            rate_hz = float(average_rate) if even and nominal and average_rate is not None else 1000.0 / mean_ms
            return Timing(rate_hz, "container", None if even else (0.0, *steps))
    elif average_rate is not None and is_rate(float(average_rate)):
        return Timing(float(average_rate), "container")
    flags.add("frame_rate_default")
    return Timing(DEFAULT_RATE_HZ, "default")


@dataclass(frozen=True, slots=True)
class _Expected:
    """What every picture of the run is: rows and columns as stored and as shown, and bits of a value."""

    stored: tuple[int, int]
    shown: tuple[int, int]
    bits: int


def _frames(
    pictures: Iterator[_Drawn], turns: Turns, times: list[int], expected: _Expected
) -> Iterator[Frame | LostFrame]:
    """Decoded pictures laid on the known times; what the decoder skips or spoils is lost."""
    due = 0
    for picture, broken in pictures:
        index = due
        if picture.pts is not None and times[0] <= picture.pts <= times[-1]:
            index = bisect.bisect_left(times, picture.pts)
        if index < due or index >= len(times):
            continue  # shown twice, or beyond what the container announced
        for missing in range(due, index):
            yield LostFrame(missing, 0, _UNDECODABLE, failed=True)
        due = index + 1
        found = _DAMAGED if broken else _pixels(picture, turns, expected)
        yield LostFrame(index, 0, found, failed=True) if isinstance(found, str) else Frame(found, index, 0)
    for missing in range(due, len(times)):
        yield LostFrame(missing, 0, _UNDECODABLE, failed=True)


def _pixels(picture: Any, turns: Turns, expected: _Expected) -> NDArray[Any] | str:
    """Grey values as shown, or why there are none."""
    if (picture.height, picture.width) != expected.stored:
        rows, columns = expected.stored
        return f"the picture is {picture.height}x{picture.width}, expected {rows}x{columns} as announced"
    try:
        orientation = turns.of(picture)
    except OrientationError as exc:
        return str(exc)
    grey = grey_of_picture(picture)
    if grey is None:
        return "the picture is partly transparent, expected an opaque one"
    stored, bits = grey
    pixels = np.ascontiguousarray(turned(stored, orientation))
    if (pixels.shape, bits) != (expected.shown, expected.bits):
        rows, columns = expected.shown
        found = f"{pixels.shape[0]}x{pixels.shape[1]} of {bits} bits"
        return f"the picture is {found} as shown, expected {rows}x{columns} of {expected.bits} as the first"
    return pixels
