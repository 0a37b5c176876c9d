"""M1 no DICOM or the wrong kind, M2 broken structure, M3 identifiers.

The table is one part of the malformed corpus; malformed.py puts it together.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from tests.faults.malformed_case import FINE, Case, Read, Refused, flagged, with_bytes, xa
from tests.sources.dicom_bytes import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    JPEG_BASELINE,
    UNDEFINED,
    data_set,
    element,
    native,
    part10,
    pictures,
    sequence,
    text,
    us,
    xa_elements,
    xa_file,
)


def _without_meta_syntax() -> bytes:
    return xa_file().replace(element(0x00020010, text("UI", EXPLICIT_LITTLE)), b"")


def _syntax(uid: str) -> Callable[[], bytes]:
    """A run written as explicit little endian that claims another syntax."""
    return lambda: part10(xa_elements(), native(pictures()), meta={0x00020010: text("UI", uid)})


def _deflated_bomb(*, in_header: bool) -> Callable[[], bytes]:
    def build() -> bytes:
        zeros = bytes(1 << 20)
        deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        head = data_set(xa_elements() if not in_header else {})
        tag, vr = (0x00091001, b"OB") if in_header else (0x7FE00010, b"OW")
        head += struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr + b"\0\0" + struct.pack("<I", 3 << 30)
        body = deflater.compress(head) + b"".join(deflater.compress(zeros) for _ in range(300)) + deflater.flush()
        start = part10({}, b"", meta={0x00020010: text("UI", DEFLATED)})
        return start + body

    return build


M1: list[Case] = [
    Case("M1-empty", lambda: b"", Refused("an empty file")),
    Case("M1-one-byte", lambda: b"D", Refused("not DICOM")),
    Case("M1-text", lambda: b"This is a letter, not a picture.\n" * 20, Refused("not DICOM")),
    Case("M1-preamble-only", lambda: bytes(128) + b"DICM", Refused("")),
    Case("M1-half-preamble", lambda: bytes(100), Refused("not DICOM")),
    Case("M1-no-preamble", lambda: xa_file()[132:], flagged("no_preamble")),
    Case("M1-data-set-only-explicit", lambda: data_set(xa_elements()) + native(pictures()), flagged("no_file_meta")),
    Case(
        "M1-data-set-only-implicit",
        lambda: data_set(xa_elements(), IMPLICIT_LITTLE) + native(pictures(), 16, IMPLICIT_LITTLE),
        flagged("no_file_meta", "no_preamble"),
    ),
    Case("M1-group-length-zero", lambda: xa_file()[:140] + bytes(4) + xa_file()[144:], FINE),
    Case("M1-group-length-huge", lambda: xa_file()[:140] + b"\xff\xff\xff\x7f" + xa_file()[144:], FINE),
    Case("M1-no-transfer-syntax", _without_meta_syntax, Refused("Transfer Syntax UID")),
    Case("M1-transfer-syntax-path", _syntax("../../x"), Refused("Transfer Syntax UID")),
    Case("M1-transfer-syntax-unknown", _syntax("1.2.3.4.5.6"), Refused("1.2.3.4.5.6 is not decoded")),
    Case("M1-transfer-syntax-mpeg2", _syntax("1.2.840.10008.1.2.4.100"), Refused("MPEG2")),
    Case("M1-transfer-syntax-jpip", _syntax("1.2.840.10008.1.2.4.94"), Refused("JPIP")),
    Case("M1-says-implicit", _syntax(IMPLICIT_LITTLE), Refused("with explicit VRs")),
    Case("M1-says-big-endian", _syntax(EXPLICIT_BIG), Refused("")),
    Case("M1-says-deflated", _syntax(DEFLATED), Refused("")),
    Case("M1-says-jpeg", _syntax(JPEG_BASELINE), Refused("does not go with transfer syntax")),
    Case(
        "M1-meta-sop-class-other",
        lambda: part10(xa_elements(), native(pictures()), meta={0x00020002: text("UI", "1.2.840.10008.5.1.4.1.1.2")}),
        flagged("sop_class_mismatch"),
    ),
    Case("M1-big-endian", lambda: part10(xa_elements(), native(pictures(), 16, EXPLICIT_BIG), EXPLICIT_BIG), FINE),
    Case("M1-deflated", lambda: part10(xa_elements(), native(pictures()), DEFLATED), FINE),
    Case("M1-deflated-bomb-in-header", _deflated_bomb(in_header=True), Refused("")),
    Case("M1-deflated-bomb-in-pixels", _deflated_bomb(in_header=False), Refused("limits.max_frames")),
    Case("M1-deflated-cut", lambda: part10(xa_elements(), native(pictures()), DEFLATED)[:-300], Read(lost=1)),
    Case("M1-deflated-garbage", lambda: part10({}, b"", DEFLATED) + bytes(range(256)) * 8, Refused("")),
    Case("M1-zip", lambda: b"PK\3\4" + bytes(2000), Refused("not DICOM")),
    Case("M1-png-called-dcm", lambda: b"\x89PNG\r\n\x1a\n" + bytes(500), Refused("not DICOM")),
    Case("M1-noise", lambda: np.random.default_rng(3).bytes(5000), Refused("not DICOM")),
    Case("M1-noise-after-magic", lambda: bytes(128) + b"DICM" + np.random.default_rng(4).bytes(5000), Refused("")),
    Case("M1-dose-report", xa(_00080016=text("UI", "1.2.840.10008.5.1.4.1.1.88.67")), Refused("Dose SR")),
    Case("M1-ct", xa(_00080016=text("UI", "1.2.840.10008.5.1.4.1.1.2")), Refused("CT Image Storage")),
    Case("M1-no-sop-class", xa(_00080016=None), FINE),
]


def _truncated() -> Iterator[Case]:
    """A file cut before every second element of its header, and within every fourth."""
    whole = xa_file()
    offset = 132
    for number, tag in enumerate(sorted(xa_elements())):
        offset = whole.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF), offset)
        cut = offset
        if number % 2:
            continue
        yield Case(f"M2-cut-before-{tag:08x}", lambda cut=cut: whole[:cut], Refused(""))
        if number % 4 == 0:
            yield Case(f"M2-cut-within-{tag:08x}", lambda cut=cut: whole[: cut + 9], Refused(""))


def _nested(depth: int) -> bytes:
    """Sequences of undefined length within each other."""
    opening = element(0x00081140, ("SQ", b""), length=UNDEFINED) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return opening * depth + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth


def _moved_behind(tag: int) -> bytes:
    elements = xa_elements()
    value = elements.pop(tag)
    return part10(elements, element(tag, value) + native(pictures()))


M2: list[Case] = [
    *_truncated(),
    Case("M2-cut-at-pixel-data", lambda: xa_file()[: -3 * 16 * 24 * 2], Refused("")),
    Case("M2-nested-100", with_bytes(_nested(100)), Read()),
    Case("M2-nested-10000", with_bytes(_nested(10_000)), Refused("nested beyond reason")),
    Case(
        "M2-undefined-private-sequence",
        with_bytes(element(0x00291010, ("SQ", b""), length=UNDEFINED) + b"\xfe\xff\xdd\xe0\0\0\0\0"),
        FINE,
    ),
    Case("M2-undefined-without-end", with_bytes(element(0x00291010, ("UN", b""), length=UNDEFINED)), Refused("")),
    Case(
        "M2-item-longer-than-sequence",
        with_bytes(element(0x00283010, ("SQ", b"\xfe\xff\x00\xe0\xff\xff\xff\x0f" + bytes(20)))),
        flagged("voilut_sequence_unusable"),
    ),
    Case(
        "M2-sequence-ends-within-an-item-tag",
        lambda: part10(
            {tag: value for tag, value in xa_elements().items() if tag < 0x00081140},
            element(0x00081140, ("SQ", b""), length=UNDEFINED) + b"\xfe\xff\x00",
        ),
        Refused("damaged DICOM header (OSError)"),
    ),
    Case(
        "M2-defined-sequence-ends-within-an-item-tag",
        xa(_00283010=("SQ", b"\xfe\xff\x00\xe0\x08\x00")),
        flagged("voilut_sequence_unusable"),
    ),
    Case("M2-element-of-4-gib", with_bytes(element(0x00283010, ("OB", b""), length=0xFFFFFFFE)), Refused("claims")),
    Case("M2-skipped-element-of-4-gib", with_bytes(element(0x00291010, ("OB", b""), length=0xFFFFFFFE)), Refused("")),
    Case("M2-twice-the-same-tag", with_bytes(element(0x00280010, us(16))), FINE),
    Case("M2-rows-behind-its-place", lambda: _moved_behind(0x00280010), FINE),
    Case(
        "M2-descending-order",
        lambda: part10(
            {},
            b"".join(element(tag, value) for tag, value in sorted(xa_elements().items(), reverse=True))
            + native(pictures()),
        ),
        FINE,
    ),
    Case("M2-odd-length", with_bytes(element(0x00081030, ("LO", b"odd"))), FINE),
    Case("M2-unknown-vr", with_bytes(element(0x00291010, ("ZZ", b"abcd"))), FINE),
    Case("M2-lower-case-vr", with_bytes(element(0x00291010, ("zz", b"abcd"))), Refused("")),
    Case("M2-rows-as-ul", xa(_00280010=("UL", struct.pack("<I", 16))), FINE),
    Case("M2-rows-as-ul-huge", xa(_00280010=("UL", struct.pack("<I", 0x7FFFFFFF))), Refused("2147483647 rows")),
    Case("M2-rows-as-signed", xa(_00280010=("SS", struct.pack("<h", -16))), Refused("-16 rows")),
    Case("M2-rows-as-float", xa(_00280010=("FD", struct.pack("<d", 16.5))), Refused("no Rows")),
    Case("M2-rows-as-text", xa(_00280010=text("LO", "sixteen")), Refused("no Rows")),
    Case("M2-rows-of-one-byte", xa(_00280010=("US", b"\x10")), Refused("no Rows")),
    Case("M2-rows-empty", xa(_00280010=("US", b"")), Refused("no Rows")),
    Case("M2-rows-many", xa(_00280010=us(16, 17)), FINE),
    Case("M2-private-without-creator", with_bytes(element(0x00291010, ("UN", bytes(64)))), FINE),
    Case("M2-private-creator-of-1-mib", with_bytes(element(0x00290010, ("UN", b"A" * (1 << 20)))), FINE),
    Case("M2-sequence-where-number-is-due", xa(_00280008=sequence({0x00280010: us(1)})), Refused("Number of Frames")),
    Case("M2-number-where-sequence-is-due", xa(_00283010=us(7)), FINE),
    Case("M2-trailing-padding", lambda: xa_file() + element(0xFFFCFFFC, ("OB", bytes(64))), FINE),
    Case("M2-trailing-filling", lambda: xa_file() + b"\xff" * 1001, FINE),
    Case("M2-trailing-garbage", lambda: xa_file() + b"garbage" * 9, flagged("data_after_pixel_data")),
    Case(
        "M2-trailing-pixels", lambda: xa_file() + b"garbage" * 999, flagged("data_after_pixel_data", frames=4, lost=1)
    ),
]

_UID_TAG = "_00080018"
M3: list[Case] = [
    Case(f"M3-uid-{name}", xa(**{_UID_TAG: text("UI", uid)}), flagged("uid_unusable"))
    for name, uid in {
        "parent": "../../../etc/passwd",
        "absolute": "/etc/passwd",
        "nul": b"1.2\x003.4",
        "65": "1" * 65,
        "1000": "1." * 500,
        "arabic-digits": "1.2.٣".encode(),
        "newline": "1.2.3\n4",
        "shell": "$(reboot)",
    }.items()
] + [
    Case("M3-uid-empty", xa(_00080018=("UI", b"")), flagged("uid_unusable")),
    Case("M3-uid-missing", xa(_00080018=None), flagged("uid_unusable")),
    Case("M3-uid-several", xa(_00080018=text("UI", "1.2\\1.3")), flagged("uid_unusable")),
    Case("M3-uid-leading-zeros", xa(_00080018=text("UI", "1.02.003")), FINE),
    Case("M3-study-uid-parent", xa(_0020000D=text("UI", "..")), FINE),
    Case("M3-sop-class-parent", xa(_00080016=text("UI", "../../x")), Refused("no valid SOP Class UID")),
    Case(
        "M3-sop-class-mismatch",
        xa(_00080016=text("UI", "1.2.840.10008.5.1.4.1.1.12.2")),
        flagged("sop_class_mismatch", "modality_mismatch"),
    ),
    Case("M3-same-uid-other-pixels", lambda: part10(xa_elements(), native(pictures(seed=99))), FINE),
]
