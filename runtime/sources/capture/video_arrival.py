"""When each picture of a stream was there to be taken.

Not for: pictures of a file, which come when they are due (file_tap.py).
"""

from __future__ import annotations

from typing import Any

# FFmpeg's parser gives a picture out when the next one begins: in these containers, for these codecs.
_PARSED_FORMATS = {"rtsp", "sdp", "rtp", "mpegts", "h264", "hevc"}
_PARSED_CODECS = {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "h263"}
_MOST_AWAITED = 64  # a decoder holds fewer back
_OLDEST_NS = 10_000_000_000  # beyond that, a device's time stamp is of another clock


class Arrivals:
    """Packets whose pictures are awaited, by presentation time, each with the time at which it arrived."""

    def __init__(self, container_format: str, stream: Any) -> None:
        formats = set(container_format.split(","))
        self._parsed = bool(formats & _PARSED_FORMATS) and stream.codec_context.name in _PARSED_CODECS
        self._device = "v4l2" in formats
        self._time_base = stream.time_base
        self._awaited: dict[int, int] = {}
        self._before_ns: int | None = None
        self._newest_ns = 0

    def came(self, pts: int | None, now_ns: int) -> None:
        """A packet was given out just now."""
        self._newest_ns = now_ns
        if self._parsed and self._before_ns is not None:
            self._newest_ns = self._before_ns  # it began to arrive when the packet before it was given out
        elif self._device and pts is not None:
            # Drivers stamp with the monotonic clock when the picture is complete.
            stamp_ns = int(pts * self._time_base * 1_000_000_000)
            self._newest_ns = stamp_ns if 0 <= now_ns - stamp_ns < _OLDEST_NS else now_ns
        self._before_ns = now_ns
        if pts is not None:
            self._awaited[pts] = self._newest_ns
        if len(self._awaited) > _MOST_AWAITED:
            del self._awaited[next(iter(self._awaited))]

    def ended(self, pts: int | None) -> int:
        """When the packet arrived whose picture was drawn, or never will be."""
        return self._newest_ns if pts is None else self._awaited.pop(pts, self._newest_ns)

    def passed_over(self, pts: int | None) -> list[int]:
        """When the packets arrived of which no picture comes any more, since a later one was drawn."""
        if pts is None:
            return []
        return [self._awaited.pop(earlier) for earlier in sorted(self._awaited) if earlier < pts]
