"""DICOM runs with a made-up patient in every text element, and a search for that patient in whatever a box puts out.

Not for: running the box (test_no_patient_data.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydicom.datadict import DicomDictionary, tag_for_keyword

from tests.sources.dicom_bytes import Elements, Value, native, part10, pictures, sequence, text, xa_elements

NAME, JAPANESE = "Zaunkoenig^Leberecht", "金糸雀太郎"
ID, BIRTH, FREE = "ZK-8842917", "19310417", "lives above the Zaunkoenig bakery"
WORDS = (
    "zaunkoenig",
    "zaunk",
    "leberecht",
    "8842917",
    "19310417",
    JAPANESE,
    JAPANESE.encode("unicode_escape").decode(),
)
CHARACTER_SETS = {
    "ISO_IR 100": "latin-1",
    "ISO_IR 192": "utf-8",
    "\\ISO 2022 IR 87": "iso2022_jp",
    "NO SUCH SET": "utf-8",
}
_TEXT = {"PN": NAME, "LO": ID, "SH": ID, "ST": FREE, "LT": FREE, "UT": FREE, "DA": BIRTH, "AE": "ZAUNKOENIG"}
# Code strings, and texts that say how the picture is to be read: only in runs that need not be readable.
_TECHNICAL = {"CS": "ZAUNKOENIG", "IS": "3", "DS": "33.5", "AS": "094Y", "TM": "084417", "DT": f"{BIRTH}0844"}
_SKIPPED = {tag_for_keyword(keyword) for keyword in ("SpecificCharacterSet", "TimezoneOffsetFromUTC")}


def burned(character_set: str, uid: str, *, technical: bool) -> bytes:
    """A run in which every text element of the standard's main groups says the patient, private ones and items too."""
    codec = CHARACTER_SETS[character_set]
    texts = _TEXT | (_TECHNICAL if technical else {})
    elements: Elements = {} if technical else dict(_texts(texts, codec))
    elements |= xa_elements() | (dict(_texts(texts, codec)) if technical else {})
    elements |= {
        0x00080005: text("CS", character_set),
        0x00080018: text("UI", uid),
        0x00080020: text("DA", BIRTH),
        0x00080060: text("CS", "XA"),
        0x00100010: ("PN", _encoded("PN", codec)),
        0x00090010: text("LO", f"ZAUNKOENIG {ID}"),
        0x00091001: ("LO", _encoded("LO", codec)),
        0x00091002: ("UN", _encoded("UT", codec)),
        0x00091003: sequence({0x00100010: ("PN", _encoded("PN", codec)), 0x00102000: ("LO", _encoded("LO", codec))}),
        0x00101002: sequence({0x00100020: ("LO", _encoded("LO", codec)), 0x00100022: text("CS", "TEXT")}),
        0x00400275: sequence({0x00400007: ("LO", _encoded("LT", codec)), 0x00321060: ("LO", _encoded("LO", codec))}),
    }
    return part10(elements, native(pictures()), meta={0x00020003: text("UI", uid)})


def _texts(texts: Mapping[str, str], codec: str) -> Iterator[tuple[int, Value]]:
    for tag, (vr, *_rest) in DicomDictionary.items():
        if vr in texts and 0x0008 <= tag >> 16 <= 0x0040 and tag not in _SKIPPED:
            yield tag, (vr, _encoded(vr, codec, texts[vr]))


def _encoded(vr: str, codec: str, told: str | None = None) -> bytes:
    value = told or _TEXT[vr]
    if vr in ("PN", "LO", "SH", "LT", "ST", "UT", "UC") and codec != "latin-1":
        value = f"{value}={JAPANESE}" if vr == "PN" else f"{value} {JAPANESE}"
    octets = value.encode(codec)
    return octets + b" " * (len(octets) % 2)


def sightings(what: str, content: bytes) -> list[str]:
    """Where the patient is seen, with what is around: nowhere, or a leak."""
    decoded = content.decode("utf-8", "replace")
    lower, found = decoded.lower(), []
    for word in (
        *WORDS,
        *(JAPANESE.encode(codec).decode("latin-1").lower() for codec in ("iso2022_jp", "shift_jis", "euc_jp")),
    ):
        for text_ in (lower, content.decode("latin-1").lower()):
            if (at := text_.find(word)) >= 0:
                found.append(f"{what}: {word!r} in {text_[max(at - 60, 0) : at + 60]!r}")
    return found


def names_below(folder: Path) -> bytes:
    """The names of all files and folders below one."""
    return "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*")).encode("utf-8", "surrogateescape")
