"""From a picture that FFmpeg has drawn to a Picture of the port.

Not for: what was drawn from damaged data (video_damage.py).
"""

from __future__ import annotations

from typing import Any

from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Grayscale
from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.region import in_region
from cathrt.runtime.sources.orientation import OrientationError, turned
from cathrt.runtime.sources.picture import PictureError, require_size
from cathrt.runtime.sources.video_grey import Turns, grey_of_picture


def require_stream(container: Any, shown: str, limits: LimitsConfig) -> Any:
    """The video stream of a container, with its decoder ready. Raises SourceError where none may be read.

    A live stream may not have said its size yet; Shown looks at that of each picture.
    """
    if not container.streams.video:
        raise SourceError(f"{shown}: no video in it")
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None:
        raise SourceError(f"{shown}: no decoder for its video: have it sent as H.264, HEVC or MJPEG")
    if context.height or context.width:
        try:
            require_size(context.height, context.width, limits)
        except PictureError as exc:
            raise SourceError(f"{shown}: {exc}") from exc
    context.thread_count = 1  # more would each hold a picture back
    return stream


class Shown:
    """The pictures of one stream, in the order shown: the right way up, grey as stored, and cut to the region."""

    def __init__(self, source: SourceConfig, limits: LimitsConfig) -> None:
        self._source = source
        self._limits = limits
        self._turns = Turns()
        self._grayscale = Grayscale(8, source.photometric_interpretation)

    def of(self, drawn: Any, captured_ns: int, source_ms: float | None) -> Picture | Missing:
        """drawn: PyAV's picture."""
        try:
            require_size(drawn.height, drawn.width, self._limits)
            orientation = self._turns.of(drawn)
        except (PictureError, OrientationError) as exc:
            return Missing(captured_ns, str(exc), failed=True)
        grey = grey_of_picture(drawn)
        if grey is None:
            return Missing(captured_ns, "partly transparent, expected an opaque picture", failed=True)
        stored, bits = grey
        pixels = in_region(turned(stored, orientation), self._source.region)
        if isinstance(pixels, str):
            return Missing(captured_ns, pixels, failed=True)
        if bits != self._grayscale.bits_stored:
            self._grayscale = Grayscale(bits, self._source.photometric_interpretation)
        return Picture(pixels, self._grayscale, captured_ns, source_ms)
