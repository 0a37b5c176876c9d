"""Live video through PyAV: RTSP, RTP, MPEG-TS, HTTP, V4L2. Why PyAV: docs/decisions/0045-video-taps.md.

Luma as stored, as for recorded video (sources/video_grey.py). Not for: files (file_tap.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.closing import Closing
from cathrt.runtime.sources.capture.pyav import load_pyav, said
from cathrt.runtime.sources.capture.video_address import VideoAddress
from cathrt.runtime.sources.capture.video_arrival import Arrivals
from cathrt.runtime.sources.capture.video_damage import OPTIONS, Damage, said_of_damage
from cathrt.runtime.sources.capture.video_picture import Shown, require_stream

_SHARE = 0.8  # of the time after which TapThread gives a call up: this one ends it in good order
_POLL_S = 0.001  # of a device that has no picture yet


def open_video(address: VideoAddress, source: SourceConfig, limits: LimitsConfig, clock: Clock) -> VideoTap:
    """Connect, and look at the stream until its size is known. Raises SourceError."""
    av = load_pyav()
    try:
        with av.logging.Capture():
            container = av.open(
                address.url,
                format=address.format,
                container_options=address.options,
                metadata_errors="ignore",
                timeout=(_SHARE * source.first_picture_s, _SHARE * source.no_signal_s),
            )
    except (av.FFmpegError, ValueError) as exc:  # ValueError: FFmpeg was built without that format
        raise SourceError(f"{address.shown}: cannot be opened ({said(exc)})") from exc
    try:
        return VideoTap(av, container, address.shown, source, limits, clock)
    except BaseException:
        container.close()
        raise


class VideoTap:
    """Fits ports.Tap. Pictures begin with the first one that is whole; a damaged one is Missing, and so is what is
    drawn from it."""

    def __init__(
        self, av: Any, container: Any, name: str, source: SourceConfig, limits: LimitsConfig, clock: Clock
    ) -> None:
        """Takes an open container over. Raises SourceError where there is no video in it, or none that may be read."""
        self._av = av
        self._name = name
        self._clock = clock
        self._container = container
        self._stream = require_stream(container, name, limits)
        self._decoder = self._stream.codec_context
        self._decoder.options = {**OPTIONS, "max_pixels": str(limits.max_rows * limits.max_columns)}
        self._packets: Iterator[Any] = container.demux(self._stream)
        self._arrivals = Arrivals(container.format.name, self._stream)
        self._damage = Damage()
        self._shown = Shown(source, limits)
        self._ready: deque[Picture | Missing] = deque()
        self._closing = Closing(container.close)
        self._patience_ns = round(_SHARE * source.no_signal_s * 1e9)

    @property
    def name(self) -> str:
        return self._name

    def next(self) -> Picture | Missing:
        """The next picture. Raises SourceError when the stream ends, stalls, or was closed."""
        with self._closing.reading():
            while not self._ready:
                self._ready.extend(self._drawn_from(self._packet()))
            return self._ready.popleft()

    def close(self) -> None:
        """FFmpeg ends a call that waits after 0.8 of the source's no_signal_s at the latest."""
        self._closing.close()

    def _packet(self) -> Any:
        """The next packet with data. Raises SourceError."""
        patience_ends_ns = self._clock.now_ns() + self._patience_ns
        while not self._closing.asked:
            try:
                with self._av.logging.Capture() as log:
                    packet = next(self._packets, None)
            except self._av.BlockingIOError as exc:  # a device that has no picture yet
                if self._clock.now_ns() >= patience_ends_ns:
                    raise SourceError(f"{self._name}: no picture in time") from exc
                self._closing.wait(_POLL_S)
                self._packets = self._container.demux(self._stream)
                continue
            except self._av.FFmpegError as exc:
                raise SourceError(f"{self._name}: the connection is lost ({said(exc)})") from exc
            if packet is None or not packet.size:
                raise SourceError(f"{self._name}: the stream has ended")
            if packet.is_corrupt:
                self._damage.is_marked()
            if said_of_damage(log):
                self._damage.happened()
            self._arrivals.came(packet.pts, self._clock.now_ns())
            return packet
        raise SourceError(f"{self._name}: closed")

    def _drawn_from(self, packet: Any) -> Iterator[Picture | Missing]:
        """What comes of a packet: mostly one picture."""
        try:
            with self._av.logging.Capture() as log:
                pictures = self._decoder.decode(packet)
        except self._av.FFmpegError as exc:
            self._damage.happened()
            captured_ns = self._arrivals.ended(packet.pts)
            if self._damage.begun:  # else we have joined in the middle, and nothing is owed yet
                yield Missing(captured_ns, f"cannot be decoded ({said(exc)})", failed=True)
            return
        if said_of_damage(log):
            self._damage.happened()
        for drawn in pictures:
            yield from self._drawn(drawn)

    def _drawn(self, drawn: Any) -> Iterator[Picture | Missing]:
        """A picture, after those before it that the decoder has left out."""
        begun, spoilt = self._damage.begun, self._damage.spoils(drawn)
        for captured_ns in self._arrivals.passed_over(drawn.pts):
            if begun:
                yield Missing(captured_ns, "the decoder gave no picture for it: data are missing", failed=True)
        captured_ns = self._arrivals.ended(drawn.pts)
        if not spoilt:
            source_ms = None if drawn.pts is None else float(drawn.pts * drawn.time_base * 1000)
            yield self._shown.of(drawn, captured_ns, source_ms)
        elif begun:
            yield Missing(captured_ns, "damaged, or drawn from a damaged picture before it", failed=True)
