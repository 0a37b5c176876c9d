"""Which pictures of a live stream are whole.

FFmpeg goes on drawing from pictures it has lost, and what it draws looks like pictures. Live streams are drawn in the
order in which they are shown. Not for: recorded video (sources/video_pictures.py), where they need not be.
"""

from __future__ import annotations

from typing import Any

# No concealment: an invented picture is no X-ray frame. low_delay: a picture comes as soon as it is drawn.
# output_corrupt: pictures that FFmpeg knows to be damaged come too, and are counted.
OPTIONS = {"err_detect": "crccheck+bitstream+buffer+explode", "flags": "low_delay+output_corrupt"}
# What FFmpeg says of lost data in its log and nowhere else: RTP packets, slices. MPEG-TS marks its packets instead.
_SIGNS = ("RTP: missed", "max delay reached", "concealing", "CRC mismatch")

_MARKED_AHEAD = 3  # the marked picture and two more


def said_of_damage(log: list[tuple[int, str, str]]) -> bool:
    """Whether one of the messages tells that data are missing."""
    return any(sign in text for _, _, text in log for sign in _SIGNS)


class Damage:
    """From damage on, and at first, pictures are spoilt until a whole key picture. begun: there was one."""

    def __init__(self) -> None:
        self.begun = False
        self._spoilt = False
        self._marked_ahead = 0  # pictures for which the mark of a lost packet still holds

    def happened(self) -> None:
        """Data are missing before the next picture, or in it."""
        self._spoilt = self.begun

    def is_marked(self) -> None:
        """A packet is marked as corrupt. FFmpeg marks one up to two pictures before the gap in a transport stream."""
        self.happened()
        self._marked_ahead = _MARKED_AHEAD

    def spoils(self, picture: Any) -> bool:
        """Whether this picture, the next one drawn, is damaged or drawn from damage."""
        if picture.is_corrupt or not (self.begun or picture.key_frame):
            self.happened()
            return True
        self.begun = True
        if picture.key_frame and not self._marked_ahead:
            self._spoilt = False
        self._marked_ahead = max(0, self._marked_ahead - 1)
        return self._spoilt
