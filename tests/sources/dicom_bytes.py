"""DICOM files built byte by byte, so that a test can get every byte right or wrong on purpose.

Not for: reading (that is what is tested) and for writing real objects (pydicom would refuse what we need here).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

XA, ENHANCED_XA = "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT_LITTLE, IMPLICIT_LITTLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
EXPLICIT_BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
RLE, JPEG_BASELINE, JPEG_SV1 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
J2K_LOSSLESS, HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
JPEG_LS = "1.2.840.10008.1.2.4.80"

Value = tuple[str, bytes]  # VR and value as stored
Elements = dict[int, Value]

_LONG_VRS = {"OB", "OW", "OF", "OD", "OV", "SQ", "UN", "UT"}
UNDEFINED = 0xFFFFFFFF


def us(*numbers: int) -> Value:
    return "US", b"".join(struct.pack("<H", number) for number in numbers)


def text(vr: str, value: str | bytes) -> Value:
    """A string value, padded to even length as its VR asks."""
    octets = value.encode() if isinstance(value, str) else value
    return vr, octets + (b"\0" if vr == "UI" else b" ") * (len(octets) % 2)


def element(tag: int, value: Value, syntax: str = EXPLICIT_LITTLE, *, length: int | None = None) -> bytes:
    """One data element. length: what it claims, where that is to be a lie (or UNDEFINED)."""
    vr, octets = value
    order = ">" if syntax == EXPLICIT_BIG else "<"
    if order == ">" and vr in ("US", "SS", "OW"):
        octets = np.frombuffer(octets, "<u2").astype(">u2").tobytes()
    size = len(octets) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT_LITTLE:
        return head + struct.pack("<I", size) + octets
    if vr in _LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}I", size) + octets
    return head + vr.encode() + struct.pack(f"{order}H", size & 0xFFFF) + octets


def sequence(*items: Mapping[int, Value], syntax: str = EXPLICIT_LITTLE) -> Value:
    """A sequence of defined length. Nested data sets are in the given syntax."""
    encoded = [b"".join(element(tag, value, syntax) for tag, value in sorted(item.items())) for item in items]
    return "SQ", b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item for item in encoded)


def xa_elements(
    frames: int | None = 3, rows: int = 16, columns: int = 24, allocated: int = 16, stored: int = 10
) -> Elements:
    """What a plain XA run carries, 33 ms a frame; frames=None leaves NumberOfFrames out."""
    elements: Elements = {
        0x00080008: text("CS", "ORIGINAL\\PRIMARY\\SINGLE PLANE"),
        0x00080016: text("UI", XA),
        0x00080018: text("UI", "1.2.3.4.5"),
        0x00080060: text("CS", "XA"),
        0x00100010: text("PN", "TEST^PHANTOM"),
        0x00181063: text("DS", "33"),
        0x00181155: text("CS", "GR"),
        0x00181510: text("DS", "-30.5"),
        0x00181511: text("DS", "20"),
        0x0020000D: text("UI", "1.2.3.4"),
        0x0020000E: text("UI", "1.2.3.4.1"),
        0x00280002: us(1),
        0x00280004: text("CS", "MONOCHROME2"),
        0x00280010: us(rows),
        0x00280011: us(columns),
        0x00280100: us(allocated),
        0x00280101: us(stored),
        0x00280102: us(stored - 1),
        0x00280103: us(0),
        0x00281040: text("CS", "LIN"),
    }
    if frames is not None:
        elements[0x00280008] = text("IS", str(frames))
    return elements


def pictures(frames: int = 3, rows: int = 16, columns: int = 24, stored: int = 10, seed: int = 1) -> NDArray[np.uint16]:
    """(frames, rows, columns) moving ramps with noise, using the whole range of `stored` bits."""
    rng = np.random.default_rng(seed)
    top = (1 << stored) - 1
    ramp = np.linspace(0, top, columns)[None, None, :] + 3.0 * np.arange(frames)[:, None, None]
    noisy = np.clip(np.rint(ramp + rng.normal(0, top / 100, (frames, rows, columns))), 0, top)
    noisy[:, 0, 0], noisy[:, -1, -1] = 0, top
    return noisy.astype(np.uint16)


def native(frames: NDArray[np.uint16], allocated: int = 16, syntax: str = EXPLICIT_LITTLE) -> bytes:
    """The Pixel Data element of uncompressed frames."""
    octets = frames.astype(np.uint8 if allocated == 8 else "<u2").tobytes()
    vr = "OB" if allocated == 8 and syntax != IMPLICIT_LITTLE else "OW"
    return element(0x7FE00010, (vr, octets + b"\0" * (len(octets) % 2)), syntax)


def encapsulated(fragments: Sequence[bytes], *, table: Iterable[int] | bytes = (), delimiter: bool = True) -> bytes:
    """The Pixel Data element of compressed fragments, padded to even length. table: Basic Offset Table."""
    octets = table if isinstance(table, bytes) else b"".join(struct.pack("<I", offset) for offset in table)
    items = [octets, *(fragment + b"\0" * (len(fragment) % 2) for fragment in fragments)]
    body = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item for item in items)
    end = b"\xfe\xff\xdd\xe0\0\0\0\0" if delimiter else b""
    return element(0x7FE00010, ("OB", b""), length=UNDEFINED) + body + end


def part10(
    elements: Mapping[int, Value],
    pixel_data: bytes,
    syntax: str = EXPLICIT_LITTLE,
    *,
    meta: Mapping[int, Value] | None = None,
    preamble: bytes = b"\0" * 128 + b"DICM",
) -> bytes:
    """A whole file. meta: further or other file meta elements."""
    group2: Elements = {
        0x00020001: ("OB", b"\0\1"),
        0x00020002: text("UI", XA),
        0x00020003: text("UI", "1.2.3.4.5"),
        0x00020010: text("UI", syntax),
        0x00020012: text("UI", "1.2.3.9"),
        **(meta or {}),
    }
    head = b"".join(element(tag, value) for tag, value in sorted(group2.items()))
    length = element(0x00020000, ("UL", struct.pack("<I", len(head))))
    body = data_set(elements, syntax) + pixel_data
    if syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = deflater.compress(body) + deflater.flush()
    return preamble + length + head + body


def data_set(elements: Mapping[int, Value], syntax: str = EXPLICIT_LITTLE) -> bytes:
    """The elements in the order of their tags."""
    return b"".join(element(tag, value, syntax) for tag, value in sorted(elements.items()))


def xa_file(frames: int = 3, stored: int = 10, **changes: Value | None) -> bytes:
    """A valid uncompressed run with some elements changed: xa_file(_00280010=us(0)); None leaves one out."""
    elements = xa_elements(frames, stored=stored)
    for name, value in changes.items():
        tag = int(name.removeprefix("_"), 16)
        if value is None:
            elements.pop(tag)
        else:
            elements[tag] = value
    return part10(elements, native(pictures(frames, stored=stored)))
