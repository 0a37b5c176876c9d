"""Bits of stored pixels that belong to no picture: old systems keep overlays there, with names in them.

No viewer shows them once the overlay's elements are gone, but anybody can read them. Not for: text in pictures
(pictures.py).
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from cathrt.runtime.sources.dicom.part10 import EXPLICIT_BIG, NATIVE

_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
_OVERLAY_DATA, _OVERLAY_BIT_POSITION = 0x3000, 0x0102


def has_overlay_in_pixels(data_set: Dataset) -> bool:
    """Whether an overlay says that its bits are among those of the pixels (PS3.3 C.9.2, retired)."""
    return any(
        (group, _OVERLAY_BIT_POSITION) in data_set and (group, _OVERLAY_DATA) not in data_set
        for group in _OVERLAY_GROUPS
    )


def clear_unused_bits(made: Dataset) -> bool:
    """Set the bits around those of the picture to zero, or to the sign. Returns whether any were something else.

    Only of what is not compressed: a compressed picture has its own bits alone, but for an overlay that says so.
    made: as it is in memory, with its file meta information.
    """
    syntax = str(made.file_meta.TransferSyntaxUID)
    bits = {8: "u1", 16: "u2", 32: "u4"}.get(int(made.get("BitsAllocated") or 0))
    stored, high = int(made.get("BitsStored") or 0), int(made.get("HighBit") or 0)
    if bits is None or "PixelData" not in made or syntax not in NATIVE:
        return False
    lowest, allocated = high - stored + 1, int(made.BitsAllocated)
    if stored in (0, allocated) or lowest < 0 or high >= allocated:
        return False
    octets = made.PixelData
    whole = len(octets) - len(octets) % (allocated // 8)
    values = np.frombuffer(octets[:whole], (">" if syntax == EXPLICIT_BIG else "<") + bits)
    kept = values & np.array(((1 << stored) - 1) << lowest, values.dtype)
    if int(made.get("PixelRepresentation") or 0):
        above = np.array(((1 << allocated) - 1) & ~((1 << (high + 1)) - 1), values.dtype)
        kept = np.where(kept & np.array(1 << high, values.dtype), kept | above, kept)
    if (kept == values).all():
        return False
    made.PixelData = kept.astype(values.dtype).tobytes() + octets[whole:]
    return True
