"""The pictures that FFmpeg draws from a video's packets, and which of them are spoilt.

FFmpeg goes on drawing pictures from references it has lost, and they look like pictures. Not for: the run and its
times (video.py).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Any

from cathrt.runtime.sources.code_stream import CodeStreamError, require_whole_motion_jpeg

# No concealment, and checksums are read: an invented picture is no X-ray frame.
_OPTIONS = {"err_detect": "crccheck+bitstream+buffer+explode"}
# What decoders say of damage in their log and nowhere else: FFV1 of a slice, H.264 of slices that are missing.
_SAID_OF_DAMAGE = ("CRC mismatch", "concealing")


def pictures_of(av: Any, container: Any, stream: Any) -> Iterator[tuple[Any, bool]]:
    """Every picture the decoder gives, in the order shown, and whether it is spoilt."""
    level, folds = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)  # the second picture that is damaged in the same way is damaged too
    stream.codec_context.options = _OPTIONS
    damage = _Damage()
    packets = container.demux(stream)
    try:
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet = None  # the container is damaged from here on
            if packet is not None and packet.size:
                damage.sent(packet.pts if packet.pts is not None else packet.dts)
            try:
                with av.logging.Capture() as said:
                    pictures = stream.codec_context.decode(packet)
            except av.FFmpegError:
                pictures = []
                damage.at_this_packet(lost=True)
            if _is_damaged(packet, stream.codec_context.name, said):
                damage.at_this_packet()
            for picture in pictures:
                yield picture, damage.spoils(picture)
            if packet is None:
                return
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(folds)


def _is_damaged(packet: Any, codec: str, said: list[tuple[int, str, str]]) -> bool:
    """Whether the container, the decoder's log or our own check tell that data are missing from a packet."""
    if any(sign in text for _, _, text in said for sign in _SAID_OF_DAMAGE):
        return True
    if packet is None or not packet.size:
        return False
    if codec == "mjpeg":
        try:
            require_whole_motion_jpeg(bytes(packet))
        except CodeStreamError:
            return True
    return bool(packet.is_corrupt)


class _Damage:
    """Damage is met in the order of decoding; pictures come later, and in the order in which they are shown.

    A picture is spoilt by damage to its own packet, and by damage to an earlier one unless a key picture that is shown
    no later was decoded in between: those shown before that key picture may be drawn from what came before it.
    """

    def __init__(self) -> None:
        self._number_of: dict[int, int] = {}  # presentation time -> number of the packet
        self._waiting: list[int] = []  # packets whose picture has not come yet
        self._last = -1
        self._damaged: list[int] = []  # packets, rising
        self._keys: list[tuple[int, int | None]] = []  # key pictures after damage: packet and presentation time

    def sent(self, time: int | None) -> None:
        """A packet goes to the decoder."""
        self._last += 1
        self._waiting.append(self._last)
        if time is not None:
            self._number_of[time] = self._last

    def at_this_packet(self, *, lost: bool = False) -> None:
        """The packet that was sent last is damaged. lost: no picture will come of it."""
        self._damaged.append(self._last)
        if lost and self._waiting and self._waiting[-1] == self._last:
            self._waiting.pop()

    def spoils(self, picture: Any) -> bool:
        """Whether this picture, the next to be shown, was drawn from damage."""
        number = self._number_of.get(picture.pts, -1)
        if number < 0:  # without times, pictures come in the order of their packets
            number = self._waiting[0] if self._waiting else self._last
        if number in self._waiting:
            self._waiting.remove(number)
        if picture.is_corrupt:
            bisect.insort(self._damaged, number)
        before = bisect.bisect_right(self._damaged, number)
        if not before:
            return False
        last = self._damaged[before - 1]
        if picture.key_frame and last < number:
            self._keys.append((number, picture.pts))
        return not any(
            last < key <= number and (time is None or picture.pts is None or time <= picture.pts)
            for key, time in reversed(self._keys)
        )
