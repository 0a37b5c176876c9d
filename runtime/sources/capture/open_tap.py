"""The table of live sources: for each kind, how its address is checked and its tap opened.

Not for: keeping a tap open (tap_thread.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cathrt.runtime.clock import Clock, MonotonicClock
from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.ports import Tap
from cathrt.runtime.sources.capture.region import require_region

OpenTap = Callable[[], Tap]
_CLOCK = MonotonicClock()


def tap_opening(source: SourceConfig, limits: LimitsConfig, clock: Clock = _CLOCK) -> OpenTap:
    """What opens this source's tap, as often as it is called; it raises SourceError.

    Raises ConfigError at once where address or region make no sense, and loads no vendor before the tap is opened.
    """
    require_region(source)
    return _OPENINGS[source.kind](source, limits, clock)


def _phantom(source: SourceConfig, limits: LimitsConfig, clock: Clock) -> OpenTap:
    from cathrt.runtime.sources.capture.phantom_address import phantom_stream
    from cathrt.runtime.sources.capture.phantom_tap import PhantomTap

    return partial(PhantomTap, phantom_stream(source), source, limits, clock)


def _video(source: SourceConfig, limits: LimitsConfig, clock: Clock) -> OpenTap:
    from cathrt.runtime.sources.capture.file_tap import open_file
    from cathrt.runtime.sources.capture.video_address import video_address
    from cathrt.runtime.sources.capture.video_tap import open_video

    address = video_address(source.address, f"sources.{source.name}.address")
    return partial(open_file if address.kind == "file" else open_video, address, source, limits, clock)


def _openigtlink(source: SourceConfig, limits: LimitsConfig, clock: Clock) -> OpenTap:
    from cathrt.runtime.sources.capture.openigtlink_tap import open_openigtlink, server_address

    return partial(open_openigtlink, server_address(source), source, limits, clock)


_OPENINGS: dict[str, Callable[[SourceConfig, LimitsConfig, Clock], OpenTap]] = {
    "phantom": _phantom,
    "video": _video,
    "openigtlink": _openigtlink,
}
