"""A video file played as if it were live: each picture when it is due.

At its end it starts over, or holds its last picture as a monitor does. Not for: judging a file (sources/video.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import DEFAULT_RATE_HZ, is_rate
from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.closing import Closing
from cathrt.runtime.sources.capture.pyav import load_pyav, said
from cathrt.runtime.sources.capture.video_address import VideoAddress
from cathrt.runtime.sources.capture.video_picture import Shown, require_stream
from cathrt.runtime.sources.video_pictures import pictures_of


def open_file(address: VideoAddress, source: SourceConfig, limits: LimitsConfig, clock: Clock) -> FileTap:
    """Raises SourceError where it is no video."""
    return FileTap(load_pyav(), address, source, limits, clock)


class FileTap:
    """Fits ports.Tap. captured_ns is when a picture was due, whether or not it was asked for then."""

    def __init__(
        self, av: Any, address: VideoAddress, source: SourceConfig, limits: LimitsConfig, clock: Clock
    ) -> None:
        self._av = av
        self._address = address
        self._limits = limits
        self._clock = clock
        self._shown = Shown(source, limits)
        self._held: Any = None  # the last picture that was whole
        self._container, self._pictures, self._period_ns = self._opened()
        self._closing = Closing(lambda: self._container.close())
        self._start_ns: int | None = None
        self._due_ns = 0
        self._last_pts: int | None = None

    @property
    def name(self) -> str:
        return self._address.shown

    def next(self) -> Picture | Missing:
        """The next picture, when it is due. Raises SourceError once it was closed."""
        with self._closing.reading():
            if self._closing.asked:
                raise SourceError(f"{self.name}: closed")
            drawn, spoilt = self._drawn()
            due_ns = self._due(drawn)
            if self._closing.wait(max(0, due_ns - self._clock.now_ns()) / 1e9):
                raise SourceError(f"{self.name}: closed")
            if spoilt:
                return Missing(due_ns, "damaged, or drawn from a damaged picture before it", failed=True)
            self._held = drawn
            assert self._start_ns is not None
            return self._shown.of(drawn, due_ns, (due_ns - self._start_ns) / 1e6)

    def close(self) -> None:
        self._closing.close()

    def _opened(self) -> tuple[Any, Iterator[tuple[Any, bool]], int]:
        """Container, pictures, and nanoseconds from one picture to the next where the file does not say."""
        try:
            container = self._av.open(
                self._address.url, container_options=self._address.options, metadata_errors="ignore"
            )
        except self._av.FFmpegError as exc:
            raise SourceError(f"{self.name}: cannot be opened ({said(exc)})") from exc
        try:
            stream = require_stream(container, self.name, self._limits)
        except BaseException:
            container.close()
            raise
        rate_hz = float(stream.average_rate or 0.0)
        return (
            container,
            pictures_of(self._av, container, stream),
            round(1e9 / (rate_hz if is_rate(rate_hz) else DEFAULT_RATE_HZ)),
        )

    def _drawn(self) -> tuple[Any, bool]:
        """The next picture, and whether it is spoilt; past the end the first one again, or the last one still."""
        found = next(self._pictures, None)
        if found is None and self._address.loop:
            self._container.close()
            self._container, self._pictures, self._period_ns = self._opened()
            self._last_pts = None
            found = next(self._pictures, None)
        if found is None:
            if self._held is None:
                raise SourceError(f"{self.name}: no picture in it can be decoded")
            self._last_pts = None
            return self._held, False
        return found

    def _due(self, drawn: Any) -> int:
        """When it is to be shown: as the file says, one period after the one before where that makes no sense."""
        if self._start_ns is None:
            self._start_ns = self._due_ns = self._clock.now_ns()
        else:
            step_ns = self._period_ns
            if drawn.pts is not None and self._last_pts is not None and drawn.pts > self._last_pts:
                step_ns = round((drawn.pts - self._last_pts) * drawn.time_base * 1_000_000_000)
            self._due_ns += step_ns
        self._last_pts = drawn.pts
        return self._due_ns
