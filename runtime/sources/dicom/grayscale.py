"""How the stored values of a DICOM run are meant: Modality LUT or rescale, VOI window or VOI LUT.

Not for: applying them (preprocessing does) and for the exposed area (exposed.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cathrt.runtime.frame import LookupTable, Rescale, VoiLutFunction, VoiWindow
from cathrt.runtime.sources.dicom.attributes import Attributes
from cathrt.runtime.sources.dicom.decoders import PixelLayout

_FUNCTIONS: dict[str, VoiLutFunction] = {"LINEAR": "LINEAR", "LINEAR_EXACT": "LINEAR_EXACT", "SIGMOID": "SIGMOID"}


def modality_from_attributes(
    attributes: Attributes, layout: PixelLayout, *, little_endian: bool
) -> Rescale | LookupTable | None:
    """Modality LUT (0028,3000), else Rescale Slope and Intercept, else None.

    Signed pixels are stored values counted from layout.lowest, and this is where they get their sign back.
    """
    if (item := attributes.item("ModalityLUTSequence")) is not None:
        table = _lookup_table(item, little_endian=little_endian, signed_input=layout.signed)
        if table is not None:
            return replace(table, first_input=table.first_input - layout.lowest)
        attributes.flag_unusable("ModalityLUTSequence")
    slope, intercept = attributes.number("RescaleSlope"), attributes.number("RescaleIntercept")
    if slope == 0.0:
        attributes.flag_unusable("RescaleSlope")
        slope = intercept = None
    if slope is None and intercept is None and not layout.signed:
        return None
    slope = 1.0 if slope is None else slope
    return Rescale(slope, (intercept or 0.0) + slope * layout.lowest)


def voi_from_attributes(
    attributes: Attributes, layout: PixelLayout, modality: Rescale | LookupTable | None, *, little_endian: bool
) -> VoiWindow | LookupTable | None:
    """The first VOI window, else the VOI LUT (0028,3010), else None.

    Flags "voi_several" where the object offers a choice. A width a formula cannot take (PS3.3 C.11.2.1.2: below 1 for
    LINEAR, not positive otherwise) is flagged and the window left out.
    """
    window = _window(attributes)
    if window is not None:
        return window
    if (item := attributes.item("VOILUTSequence")) is not None:
        top = (1 << layout.bits_stored) - 1
        signed = isinstance(modality, Rescale) and min(0.0, modality.slope * top) + modality.intercept < 0.0
        table = _lookup_table(item, little_endian=little_endian, signed_input=signed)
        if table is None:
            attributes.flag_unusable("VOILUTSequence")
        return table
    return None


def _window(attributes: Attributes) -> VoiWindow | None:
    centers, widths = attributes.numbers("WindowCenter"), attributes.numbers("WindowWidth")
    if not centers and not widths:
        return None
    name = attributes.code("VOILUTFunction") or "LINEAR"
    function = _FUNCTIONS.get(name)
    if function is None:
        attributes.flag_unusable("VOILUTFunction")
        return None
    if not centers or not widths or not (widths[0] >= 1.0 if function == "LINEAR" else widths[0] > 0.0):
        attributes.flags.add("window_unusable")
        return None
    if len(centers) > 1 or attributes.item("VOILUTSequence") is not None:
        attributes.flags.add("voi_several")
    return VoiWindow(centers[0], widths[0], function)


def _lookup_table(item: Attributes, *, little_endian: bool, signed_input: bool) -> LookupTable | None:
    """One LUT item by its descriptor (PS3.3 C.11.1.1.1): entries (0 means 65,536), first input, bits."""
    descriptor = item.words("LUTDescriptor", little_endian=little_endian)
    data = item.words("LUTData", little_endian=little_endian)
    if descriptor is None or data is None or descriptor.size != 3:
        return None
    entries, first_input, bits = (int(word) for word in descriptor)
    entries = entries or 65536
    if signed_input and first_input > 32767:
        first_input -= 65536
    if not 8 <= bits <= 16:
        return None
    if bits == 8 and data.size == (entries + 1) // 2 and entries > 2:
        # 8-bit entries two to a word, low byte first, as older systems write them.
        data = data.astype("<u2").view(np.uint8)[:entries].astype(np.uint16)
    if data.size != entries or int(data.max()) >> bits:
        return None
    return LookupTable(first_input, data.astype(np.float32), bits)
