"""M9: videos that are damaged, disguised or show nothing.

The table is one part of the malformed corpus; malformed.py puts it together.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import numpy as np

from tests.faults.malformed_case import Case, Read, Refused
from tests.sources.dicom_bytes import pictures


def video(
    frames: int = 6,
    *,
    codec: str = "ffv1",
    pixel_format: str = "gray",
    container: str = "matroska",
    size: tuple[int, int] = (48, 64),
    picture: Callable[[int, tuple[int, int]], np.ndarray] | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """A small video. picture: frame number and (rows, columns) to uint8."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=15)
        stream.height, stream.width, stream.pix_fmt = *size, pixel_format
        stream.options = options or {}
        for index in range(frames):
            pixels = pictures(1, *size, 8, seed=index)[0].astype(np.uint8) if picture is None else picture(index, size)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray" if pixels.ndim == 2 else "rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()


def _h264(**kwargs: object) -> bytes:
    return video(codec="libx264", pixel_format="yuv420p", container="mp4", **kwargs)  # type: ignore[arg-type]


def _h264_with_a_bad_slice() -> bytes:
    """Thirty frames of which the twenty-first is overwritten; all after it are drawn from it."""
    data = bytearray(_h264(frames=30, options={"bf": "0"}))
    with av.open(io.BytesIO(bytes(data))) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
        position, size = packet.pos, packet.size
    data[position + 4 : position + size] = b"\xff" * (size - 4)
    return bytes(data)


def _flat(value: int) -> Callable[[int, tuple[int, int]], np.ndarray]:
    return lambda _, size: np.full(size, value, np.uint8)


def _noise(index: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, size).astype(np.uint8)


def _blue(_: int, size: tuple[int, int]) -> np.ndarray:
    return np.broadcast_to(np.array([0, 0, 255], np.uint8), (*size, 3)).copy()


M9: list[Case] = [
    Case("M9-empty", lambda: b"", Refused("an empty file"), "run.mp4"),
    Case("M9-noise", lambda: np.random.default_rng(7).bytes(5000), Refused("damaged or unknown video"), "run.mp4"),
    Case("M9-mkv-cut-in-header", lambda: video()[:100], Refused(""), "run.mkv"),
    Case("M9-mkv-cut-in-frames", lambda: video(30)[: len(video(30)) // 2], Read(14), "run.mkv"),
    Case("M9-mp4-without-index", lambda: _h264()[:600], Refused("damaged or unknown video"), "run.mp4"),
    Case("M9-mp4-called-avi", _h264, Read(6, 0, frozenset({"luma_of_colour_video"})), "run.avi"),
    Case(
        "M9-wav-called-avi",
        lambda: b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x44\xac\0\0\x88\x58\1\0\2\0\x10\0data\0\0\0\0",
        Refused("damaged or unknown video"),
        "run.avi",
    ),
    Case(
        "M9-playlist-called-mp4",
        lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        Refused("damaged or unknown video"),
        "run.mp4",
    ),
    Case(
        "M9-concat-called-mp4",
        lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        Refused("damaged or unknown video"),
        "run.mp4",
    ),
    Case("M9-odd-width", lambda: video(size=(47, 63)), Read(6), "run.mkv"),
    Case("M9-one-pixel", lambda: video(size=(1, 1)), Read(6), "run.mkv"),
    Case("M9-too-wide", lambda: video(1, size=(16, 5000)), Refused("5000 columns"), "run.mkv"),
    Case("M9-width-0", lambda: video().replace(b"\xb0\x81\x40", b"\xb0\x81\x00"), Refused(""), "run.mkv"),
    Case("M9-10-bit", lambda: video(pixel_format="gray10le"), Read(6), "run.mkv"),
    Case(
        "M9-wrong-fourcc",
        lambda: video(codec="mjpeg", pixel_format="yuvj420p", container="avi").replace(b"MJPG", b"H264"),
        Refused("pixel format"),
        "run.avi",
    ),
    Case(
        "M9-unknown-fourcc",
        lambda: video(codec="mjpeg", pixel_format="yuvj420p", container="avi").replace(b"MJPG", b"ZZZZ"),
        Refused(""),
        "run.avi",
    ),
    Case("M9-h264-bad-slice", _h264_with_a_bad_slice, Read(30, 10), "run.mp4"),
    Case("M9-black", lambda: video(picture=_flat(0)), Read(6), "run.mkv"),
    Case("M9-white", lambda: video(picture=_flat(255)), Read(6), "run.mkv"),
    Case("M9-pure-noise", lambda: video(picture=_noise), Read(6), "run.mkv"),
    Case("M9-frozen", lambda: video(picture=_flat(100)), Read(6), "run.mkv"),
    Case(
        "M9-no-signal-blue",
        lambda: video(codec="png", pixel_format="rgb24", container="mov", picture=_blue),
        Read(6, 0, frozenset({"colour_to_luma"})),
        "run.mov",
    ),
    Case("M9-too-many-frames", lambda: video(4001, size=(16, 16)), Refused("limits.max_frames"), "run.mkv"),
]
