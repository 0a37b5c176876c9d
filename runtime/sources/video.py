"""The video reader of the decoder process: the luma of MP4, AVI, MKV and MOV files, through PyAV.

PyAV's wheels carry GPL encoders, so it is the extra [video]. Not for: live capture.
Two passes: packets are counted and their times read first, so that the run knows its frames before one is decoded.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.identity import run_id
from cathrt.runtime.sources.content import Content, content_sha256, reading
from cathrt.runtime.sources.messages import Request, pixel_dtype
from cathrt.runtime.sources.video_pictures import pictures_of

# Pixel formats whose first plane is the luma, low-aligned: FFmpeg's name -> bits.
_LUMA_BITS = {
    "gray": 8,
    "gray10le": 10,
    "gray12le": 12,
    "gray16le": 16,
    **dict.fromkeys(("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12", "nv21"), 8),
    **dict.fromkeys(("yuv420p10le", "yuv422p10le", "yuv444p10le"), 10),
    **dict.fromkeys(("yuv420p12le", "yuv422p12le", "yuv444p12le"), 12),
}
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm"
# Playlists and other formats that name further files are not even probed for.
_CONTAINER_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
_EVEN_WITHIN = 0.05  # of the mean step: container clocks round to 1/1000 s or 1/90000 s
_DEFAULT_RATE_HZ = 15.0
_MIN_RATE_HZ, _MAX_RATE_HZ = 0.2, 250.0
# Codecs of which data missing from a packet are always noticed (tests/sources/test_cut_video.py).
_TELL_DAMAGE = frozenset({"h264", "hevc", "mjpeg", "png", "jpeg2000", "ffv1"})
_UNDECODABLE = "the decoder gave no picture for it: its data is damaged or missing"


def load_video(contents: Sequence[Content]) -> None:  # noqa: ARG001 - one signature for all
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
            times = _packet_times(av, file, request.limits)
            file.seek(0)
            with av.open(file, mode="r", metadata_errors="ignore", container_options=_CONTAINER_OPTIONS) as container:
                stream = container.streams.video[0]
                flags: set[str] = set()
                bits = _check_stream(stream, request.limits, flags)
                rows, columns = stream.codec_context.height, stream.codec_context.width
                yield Run(
                    run_id=run_id(digest),
                    source=request.name,
                    frame_count=len(times),
                    rows=rows,
                    columns=columns,
                    grayscale=Grayscale(bits),
                    timing=_timing(times, stream.time_base, stream.average_rate, flags),
                    flags=tuple(sorted(flags)),
                )
                items = _frames(av, container, stream, times, (rows, columns, bits))
                yield from (item for item in items if item.index >= request.first_frame)
        except av.FFmpegError as exc:
            raise SourceError(f"damaged or unknown video ({type(exc).__name__}: {exc.strerror})") from exc


def _packet_times(av: Any, file: Any, limits: LimitsConfig) -> list[int]:
    """Presentation times (time base units) of the packets, in the order shown; without times, their count."""
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
    return sorted(known) if len(set(known)) == len(times) else list(range(len(times)))


def _check_stream(stream: Any, limits: LimitsConfig, flags: set[str]) -> int:
    """Size and pixel format before anything is decoded; returns the bits of a stored value."""
    context = stream.codec_context
    if context is None:
        raise SourceError("no decoder for this video stream: convert it to H.264, HEVC, MJPEG or FFV1")
    rows, columns = context.height, context.width
    if not (1 <= rows <= limits.max_rows and 1 <= columns <= limits.max_columns):
        raise SourceError(
            f"{rows} rows x {columns} columns, expected 1x1 to limits.max_rows x max_columns = "
            f"{limits.max_rows}x{limits.max_columns}"
        )
    context.thread_count = 1
    # Version 1 of FFV1 has no slices, whose lengths and checksums tell; it has no extradata either.
    if context.name not in _TELL_DAMAGE or (context.name == "ffv1" and not context.extradata):
        flags.add("damage_not_told")
    pixel_format = context.pix_fmt
    if pixel_format is None:
        raise SourceError(f"the pixel format of this {context.name} stream cannot be found: it is damaged")
    if pixel_format not in _LUMA_BITS:
        flags.add("colour_to_luma")
        return 8
    if not pixel_format.startswith("gray"):
        flags.add("luma_of_colour_video")
    return _LUMA_BITS[pixel_format]


def _timing(times: list[int], time_base: Fraction | None, average_rate: Fraction | None, flags: set[str]) -> Timing:
    """Cadence from the presentation times; the frame time vector only where they are uneven."""
    if time_base is not None and len(times) > 1:
        steps = [float((b - a) * time_base * 1000) for a, b in pairwise(times)]
        mean_ms = sum(steps) / len(steps)
        if mean_ms > 0.0 and _MIN_RATE_HZ <= 1000.0 / mean_ms <= _MAX_RATE_HZ:
            even = max(abs(step - mean_ms) for step in steps) <= max(_EVEN_WITHIN * mean_ms, 1.0)
            nominal = average_rate is not None and abs(float(average_rate) * mean_ms / 1000.0 - 1.0) < _EVEN_WITHIN
            rate_hz = float(average_rate) if even and nominal and average_rate is not None else 1000.0 / mean_ms
            return Timing(rate_hz, "container", None if even else (0.0, *steps))
    if average_rate is not None and _MIN_RATE_HZ <= float(average_rate) <= _MAX_RATE_HZ:
        return Timing(float(average_rate), "container")
    flags.add("frame_rate_default")
    return Timing(_DEFAULT_RATE_HZ, "default")


def _frames(
    av: Any, container: Any, stream: Any, times: list[int], expected: tuple[int, int, int]
) -> Iterator[Frame | LostFrame]:
    """Decoded pictures laid on the known times; what the decoder skips or spoils is lost."""
    due = 0
    for picture, broken in pictures_of(av, container, stream):
        index = due
        if picture.pts is not None and times[0] <= picture.pts <= times[-1]:
            index = bisect.bisect_left(times, picture.pts)
        if index < due or index >= len(times):
            continue  # shown twice, or beyond what the container announced
        for missing in range(due, index):
            yield LostFrame(missing, 0, _UNDECODABLE, failed=True)
        due = index + 1
        if broken:
            yield LostFrame(index, 0, "damaged, or drawn from a damaged picture before it", failed=True)
        elif (picture.height, picture.width) != expected[:2]:
            reason = f"{picture.height}x{picture.width}, expected {expected[0]}x{expected[1]} as announced"
            yield LostFrame(index, 0, f"the picture is {reason}", failed=True)
        else:
            yield Frame(_luma(picture, expected[2]), index, 0)
    for missing in range(due, len(times)):
        yield LostFrame(missing, 0, _UNDECODABLE, failed=True)


def _luma(picture: Any, bits: int) -> NDArray[Any]:
    """(rows, columns) stored luma, without the padding at the end of each line."""
    dtype = pixel_dtype(bits)
    if picture.format.name not in _LUMA_BITS:
        picture = picture.reformat(format="gray")
    plane = picture.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: picture.height]
    cells = np.ascontiguousarray(lines[:, : picture.width * dtype.itemsize]).view(dtype)
    stored: NDArray[Any] = np.minimum(cells, dtype.type((1 << bits) - 1))
    return stored
