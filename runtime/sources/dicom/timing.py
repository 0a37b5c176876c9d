"""When the frames of a DICOM run are due: the first usable of five attributes, and a flag when it is none.

Not for: pacing (the line does it).
"""

from __future__ import annotations

from cathrt.runtime.frame import FrameRateOrigin, Timing
from cathrt.runtime.sources.dicom.attributes import Attributes

DEFAULT_RATE_HZ = 15.0  # the usual cine rate; Am J Cardiol 2016;118:195
# What an angiography system can mean. Slower is a still series, faster a unit mistaken (s for ms, say).
_MIN_RATE_HZ, _MAX_RATE_HZ = 0.2, 250.0


def timing_from_attributes(attributes: Attributes, frame_count: int) -> Timing:
    """FrameTimeVector > FrameTime > CineRate > RecommendedDisplayFrameRate > 15 Hz with "frame_rate_default".

    An attribute that cannot be meant (wrong length, zero, negative, beyond 0.2..250 Hz) is flagged and passed over.
    """
    vector = attributes.numbers("FrameTimeVector")
    if vector and frame_count > 1:
        steps = (0.0, *vector[1:])
        mean_ms = sum(steps) / (frame_count - 1)
        if len(vector) == frame_count and min(vector) >= 0.0 and min(steps[1:]) > 0.0 and _is_rate(1000.0 / mean_ms):
            if vector[0] != 0.0:
                attributes.flags.add("frame_time_vector_starts_late")
            return Timing(1000.0 / mean_ms, "FrameTimeVector", steps)
        attributes.flag_unusable("FrameTimeVector")
    origins: tuple[FrameRateOrigin, ...] = ("FrameTime", "CineRate", "RecommendedDisplayFrameRate")
    for origin in origins:
        number = attributes.number(origin)
        if number is None:
            continue
        rate_hz = 0.0 if number == 0.0 else 1000.0 / number if origin == "FrameTime" else number
        if _is_rate(rate_hz):
            return Timing(rate_hz, origin)
        attributes.flag_unusable(origin)
    attributes.flags.add("frame_rate_default")
    return Timing(DEFAULT_RATE_HZ, "default")


def _is_rate(rate_hz: float) -> bool:
    return _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ
