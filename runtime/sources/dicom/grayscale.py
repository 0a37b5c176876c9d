"""How the stored values of a DICOM frame are meant to be looked at: the steps of the display that apply to its object.

| object | modality (rescale, LUT) | VOI | presentation LUT shape |
|---|---|---|---|
| XA, XRF, Enhanced XA, Enhanced XRF | never | yes | yes |
| secondary captures | yes | yes | yes |

In X-ray objects the modality step leads back to X-ray intensity (PS3.4 N.2.5, PS3.17 FFF.2.3.1.3.4).
Not for: applying the steps (preprocessing does) and for the exposed area (exposed.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.frame import (
    Grayscale,
    LookupTable,
    PhotometricInterpretation,
    PresentationLutShape,
    Rescale,
    VoiLutFunction,
    VoiWindow,
)
from cathrt.runtime.sources.dicom.attributes import Attributes
from cathrt.runtime.sources.dicom.decoders import PixelLayout

_FUNCTIONS: dict[str, VoiLutFunction] = {"LINEAR": "LINEAR", "LINEAR_EXACT": "LINEAR_EXACT", "SIGMOID": "SIGMOID"}
_SHAPES: dict[str, PresentationLutShape] = {"IDENTITY": "IDENTITY", "INVERSE": "INVERSE"}
# What may differ from frame to frame.
GRAYSCALE_KEYWORDS = (
    "PixelIntensityRelationship",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "PixelIntensityRelationshipLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "PresentationLUTShape",
)


def grayscale_from_attributes(
    attributes: Attributes,
    layout: PixelLayout,
    photometric_interpretation: PhotometricInterpretation,
    *,
    little_endian: bool,
    has_modality_step: bool,
    exposed: NDArray[np.int32] | None,
) -> Grayscale:
    """The grey scale of a frame. has_modality_step: False for X-ray objects; what they carry of it is flagged then."""
    if has_modality_step:
        modality = _modality(attributes, layout, little_endian=little_endian)
    else:
        _flag_what_is_not_shown(attributes)
        modality = _sign(layout)
    if attributes.has("PixelPaddingValue"):
        attributes.flags.add("pixel_padding_not_masked")
    return Grayscale(
        bits_stored=layout.bits_stored,
        photometric_interpretation=photometric_interpretation,
        modality=modality,
        voi=_voi(attributes, layout, modality, little_endian=little_endian),
        exposed=exposed,
        pixel_intensity_relationship=attributes.code("PixelIntensityRelationship"),
        presentation_lut_shape=_presentation_lut_shape(attributes, photometric_interpretation),
    )


def _modality(attributes: Attributes, layout: PixelLayout, *, little_endian: bool) -> Rescale | LookupTable | None:
    """Modality LUT (0028,3000), else Rescale Slope and Intercept, else None.

    Signed pixels are stored values counted from layout.lowest, and this is where they get their sign back.
    """
    if (item := attributes.item("ModalityLUTSequence")) is not None:
        table = _lookup_table(item, little_endian=little_endian, signed_input=layout.signed)
        if table is not None:
            return replace(table, first_input=table.first_input - layout.lowest)
        attributes.flag_unusable("ModalityLUTSequence")
    rescale = attributes.of_level_with("RescaleSlope", "RescaleIntercept")
    slope, intercept = rescale.number("RescaleSlope"), rescale.number("RescaleIntercept")
    if slope == 0.0:
        attributes.flag_unusable("RescaleSlope")
        slope = intercept = None
    if slope is None and intercept is None:
        return _sign(layout)
    slope = 1.0 if slope is None else slope
    return Rescale(slope, (intercept or 0.0) + slope * layout.lowest)


def _sign(layout: PixelLayout) -> Rescale | None:
    """Pixel values of signed pixels, which are stored values counted from the lowest."""
    return Rescale(1.0, float(layout.lowest)) if layout.signed else None


def _flag_what_is_not_shown(attributes: Attributes) -> None:
    """Note the steps back to X-ray intensity that an X-ray object carries."""
    if attributes.has("ModalityLUTSequence"):
        attributes.flags.add("modality_lut_not_applied")
    if attributes.has("PixelIntensityRelationshipLUTSequence"):
        attributes.flags.add("pixel_intensity_relationship_lut_not_applied")
    if attributes.number("RescaleSlope") not in (None, 1.0) or attributes.number("RescaleIntercept") not in (None, 0.0):
        attributes.flags.add("rescale_not_applied")


def _presentation_lut_shape(
    attributes: Attributes, photometric_interpretation: PhotometricInterpretation
) -> PresentationLutShape | None:
    """(2050,0020). Where it contradicts the photometric interpretation it is flagged, and goes first, as in DCMTK."""
    name = attributes.code("PresentationLUTShape")
    if name is None:
        return None
    shape = _SHAPES.get(name)
    if shape is None:
        attributes.flag_unusable("PresentationLUTShape")
    elif (shape == "INVERSE") != (photometric_interpretation == "MONOCHROME1"):
        attributes.flags.add("presentation_lut_shape_contradicts")
    return shape


def _voi(
    attributes: Attributes, layout: PixelLayout, modality: Rescale | LookupTable | None, *, little_endian: bool
) -> VoiWindow | LookupTable | None:
    """The first VOI window, else the first VOI LUT (0028,3010), else None; of one level of the object only.

    Flags "voi_several" where the object offers a choice. A width a formula cannot take (PS3.3 C.11.2.1.2: below 1 for
    LINEAR, not positive otherwise) is flagged and the window left out.
    """
    attributes = attributes.of_level_with("WindowCenter", "WindowWidth", "VOILUTSequence")
    window = _window(attributes)
    tables = attributes.count("VOILUTSequence")
    if tables + (attributes.count("WindowCenter") if window is not None else 0) > 1:
        attributes.flags.add("voi_several")
    if window is not None or not tables:
        return window
    top = (1 << layout.bits_stored) - 1
    signed = isinstance(modality, Rescale) and min(0.0, modality.slope * top) + modality.intercept < 0.0
    item = attributes.item("VOILUTSequence")
    table = None if item is None else _lookup_table(item, little_endian=little_endian, signed_input=signed)
    if table is None:
        attributes.flag_unusable("VOILUTSequence")
        return None
    return _with_range_of_data(table, attributes)


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
    return VoiWindow(centers[0], widths[0], function)


def _with_range_of_data(table: LookupTable, attributes: Attributes) -> LookupTable:
    """A VOI LUT whose output range, 0 .. 2**bits - 1, is that of its data where the descriptor contradicts them.

    By the letter, a table of 12-bit entries under a descriptor of 16 bits shows a picture sixteen times too dark, which
    nobody who looked at it can have meant. A table that needs as many bits as declared is taken by the letter; one that
    does not reach the white of an 8-bit display is flagged all the same.
    """
    highest = int(table.values.max())
    needed = max(8, highest.bit_length())
    if needed != table.bits:
        attributes.flags.add("voi_lut_range_from_data")
    elif highest >> (needed - 8) < 255:
        attributes.flags.add("voi_lut_below_range")
    return replace(table, bits=needed)


def _lookup_table(item: Attributes, *, little_endian: bool, signed_input: bool) -> LookupTable | None:
    """One LUT item by its descriptor (PS3.3 C.11.1.1.1): entries (0 means 65,536), first input, bits.

    Where LUT Data have another number of entries, those are the table, as in DCMTK ("lut_entries_not_as_declared").
    """
    descriptor = item.words("LUTDescriptor", little_endian=little_endian)
    data = item.words("LUTData", little_endian=little_endian)
    if descriptor is None or data is None or descriptor.size != 3 or not 0 < data.size <= 65536:
        return None
    entries, first_input, bits = (int(word) for word in descriptor)
    entries = entries or 65536
    if signed_input and first_input > 32767:
        first_input -= 65536
    if data.size == (entries + 1) // 2 and entries > 2:
        # 8-bit entries two to a word, low byte first, as older systems write them.
        data = data.astype("<u2").view(np.uint8)[:entries].astype(np.uint16)
    if data.size != entries:
        item.flags.add("lut_entries_not_as_declared")
    return LookupTable(first_input, data.astype(np.float32), bits)
