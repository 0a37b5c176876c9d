"""NumPy truth of the repeat test, and the decision that CPU and GPU share: is a frame a repeat of the one before?

Frame grabbers hold the last image when the pedal is off, convert frame rates, and hand over video that was encoded
again. Not for: what becomes of a repeat (runtime/line/judge.py), and no cryptography: a forger can make hashes collide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.reference.ingest import stored_values

Repeat = Literal["exact", "hold", "new"]

# 64 bits each of the golden ratio and of the fractions of the square roots of 3 and 7; all odd, so that multiplying
# by them loses nothing.
GOLDEN = 0x9E3779B97F4A7C15
ROOT_3 = 0xBB67AE8584CAA73B
ROOT_7 = 0xA54FF53A5F1D36F1

# In stored values. Encoding again at a quality a physician accepts moves a pixel by one or two. Of 2**18 live pixels
# with noise of half a value or more, some move by three.
HOLD_LIMIT = 2
# The mean difference of a hold is at most a 64th of the mean difference between neighbours. Live frames whose noise is
# independent show a quotient of 1; after a recursive filter of weight a it is sqrt(a), so 0.3 at the longest memory in
# use. Anatomy adds to the texture, but no more than HOLD_LIMIT a pixel: a live frame would have to differ from the one
# before by less than 1/32 of a stored value on average, a shutter's flat area counting on neither side.
HOLD_TEXTURE_QUOTIENT = 64


@dataclass(frozen=True, slots=True)
class Comparison:
    """A frame against the one before it, in integers.

    content_hash: of the current frame's stored values and its shape, 64 bits.
    difference_sum, difference_max: of |current - previous|, in stored values.
    above_limit: pixels that differ by more than the limit.
    texture: sum of the differences between neighbours in a row of the current frame, each counted as at most the
        limit: the noise the frame itself shows, with edges and burned-in text held down.
    """

    content_hash: int
    difference_sum: int
    difference_max: int
    above_limit: int
    texture: int


def mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64-bit words in which each bit of the input moves half of the output's."""
    words = (words ^ (words >> np.uint64(32))) * np.uint64(ROOT_3)
    words = (words ^ (words >> np.uint64(29))) * np.uint64(ROOT_7)
    return words ^ (words >> np.uint64(32))


def content_hash(pixels: NDArray[Any], bits_stored: int) -> int:
    """64-bit hash of stored values (H, W) and shape: equal for uint8 and uint16 that hold the same values.

    Four pixels of a row make a word, the first in the low bits, zeros beyond the row's end. The hash is the sum modulo
    2**64 of mix(word + (position + 1) * GOLDEN) over all words, plus mix(H << 32 | W): the order of summing is free.
    A change within one word always changes it; two pictures not made for the purpose collide with odds of 2**-64.
    """
    rows, columns = pixels.shape
    padded = np.zeros((rows, -(-columns // 4) * 4), dtype=np.uint64)
    padded[:, :columns] = stored_values(pixels, bits_stored)
    p0, p1, p2, p3 = (padded[:, i::4].ravel() for i in range(4))
    words = p0 | p1 << np.uint64(16) | p2 << np.uint64(32) | p3 << np.uint64(48)
    positions = np.arange(1, len(words) + 1, dtype=np.uint64)
    shape = np.array([rows << 32 | columns], dtype=np.uint64)
    mixed = np.concatenate([mix(words + positions * np.uint64(GOLDEN)), mix(shape)])
    return int(mixed.sum(dtype=np.uint64))


def compare_frames(previous: NDArray[Any], current: NDArray[Any], bits_stored: int, limit: int) -> Comparison:
    """Compare two frames (H, W), uint8 or uint16, of one shape. limit: in stored values, 0 to 65535."""
    before, now = stored_values(previous, bits_stored), stored_values(current, bits_stored)
    apart = np.abs(now - before)
    return Comparison(
        content_hash=content_hash(current, bits_stored),
        difference_sum=int(apart.sum()),
        difference_max=int(apart.max()),
        above_limit=int((apart > limit).sum()),
        texture=int(np.minimum(np.abs(np.diff(now, axis=1)), limit).sum()),
    )


def repeat_of(previous_hash: int, comparison: Comparison) -> Repeat:
    """Decide. previous_hash: the previous frame's content_hash, taken when that frame was new.

    exact: no pixel differs, and the hashes agree. Where they do not, the previous frame's memory has been written to
    since it was hashed (a grabber's ring that came round): the frame was compared with itself and counts as new.
    hold: no pixel differs by more than the limit, and the differences are at most a 64th of the texture.
    new: all else. In doubt a frame is new: a repeat judged twice costs time, a live frame passed over costs findings.
    """
    if comparison.difference_max == 0:
        return "exact" if comparison.content_hash == previous_hash else "new"
    if comparison.above_limit == 0 and comparison.difference_sum * HOLD_TEXTURE_QUOTIENT <= comparison.texture:
        return "hold"
    return "new"
