"""M5 cine, M6 lookup tables, windows and shutters, M7 character sets and injected text.

The table is one part of the malformed corpus; malformed.py puts it together.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.malformed_case import FINE, Case, Read, flagged, with_bytes, xa
from tests.sources.dicom_bytes import Value, native, part10, pictures, sequence, text, us, xa_elements, xa_file

M5: list[Case] = [
    *(
        Case(f"M5-frame-time-vector-{name}", xa(_00181065=text("DS", value)), flagged("frame_time_vector_unusable"))
        for name, value in {
            "short": "0\\33",
            "long": "0\\33\\33\\33",
            "zero": "0\\0\\0",
            "negative": "0\\-33\\33",
            "nan": "0\\nan\\33",
            "infinite": "0\\1e999\\33",
            "text": "a\\b\\c",
            "huge": "0\\1e9\\1e9",
        }.items()
    ),
    *(
        Case(
            f"M5-frame-time-{name}",
            xa(_00181063=text("DS", value)),
            flagged("frame_time_unusable", "frame_rate_default"),
        )
        for name, value in {"0": "0", "negative": "-33", "nan": "nan", "text": "fast", "huge": "1e300"}.items()
    ),
    Case("M5-frame-time-empty", xa(_00181063=text("DS", "")), flagged("frame_rate_default")),
    Case("M5-cine-rate-0", xa(_00181063=None, _00180040=text("IS", "0")), flagged("cine_rate_unusable")),
    Case("M5-cine-rate-1000", xa(_00181063=None, _00180040=text("IS", "1000")), flagged("cine_rate_unusable")),
    Case("M5-pointer-to-nothing", xa(_00280009=("AT", b"\x18\0\x65\x10")), flagged("frame_increment_pointer_unusable")),
    Case("M5-pointer-of-three-bytes", xa(_00280009=("AT", b"\x18\0\x63")), FINE),
    *(
        Case(
            f"M5-date-times-{name}",
            xa(_52009230=sequence(*3 * [{0x00209111: sequence({0x00189074: text("DT", value)})}])),
            flagged("frame_acquisition_date_time_unusable"),
        )
        for name, value in {
            "equal": "20240101120000.5",
            "endless": "9" * 65534,
            "no-date": "00000000000000.0",
            "text": "\x1b[31mnow\n",
        }.items()
    ),
    Case(
        "M5-display-rate-nan",
        xa(_00089458=sequence({0x00089459: ("FL", b"\0\0\xc0\x7f")})),
        flagged("recommended_display_frame_rate_in_float_unusable"),
    ),
    Case(
        "M5-acquisition-duration-infinite",
        xa(_00189073=("FD", b"\0\0\0\0\0\0\xf0\x7f")),
        flagged("acquisition_duration_unusable"),
    ),
    Case("M5-single-frame", lambda: xa_file(1), Read(1)),
    Case("M5-single-frame-without-number", lambda: part10(xa_elements(None), native(pictures(1))), Read(1)),
    Case("M5-2000-frames", lambda: part10(xa_elements(2000, 4, 4), native(pictures(2000, 4, 4))), Read(2000)),
    Case("M5-biplane-with-one-half", xa(_00080008=text("CS", "ORIGINAL\\PRIMARY\\BIPLANE A")), flagged("biplane_a")),
    Case(
        "M5-dynamic",
        xa(_00181500=text("CS", "DYNAMIC"), _00181520=text("DS", "0\\1\\1")),
        flagged("positioner_increments_summed"),
    ),
    Case(
        "M5-dynamic-wrong-length",
        xa(_00181500=text("CS", "DYNAMIC"), _00181520=text("DS", "0\\1")),
        flagged("positioner_primary_angle_increment_unusable"),
    ),
    Case(
        "M5-dynamic-runaway",
        xa(_00181500=text("CS", "DYNAMIC"), _00181520=text("DS", "0\\1e6\\1")),
        flagged("positioner_primary_angle_increment_unusable"),
    ),
    Case("M5-angles-missing", xa(_00181510=None, _00181511=None), FINE),
    Case("M5-angle-999", xa(_00181510=text("DS", "999")), flagged("positioner_primary_angle_unusable")),
    Case("M5-angle-text", xa(_00181510=text("DS", "LAO 30")), flagged("positioner_primary_angle_unusable")),
]


def _lut(*descriptor: int, words: int) -> Value:
    return sequence({0x00283002: us(*descriptor), 0x00283006: ("OW", bytes(2 * words))})


def _closed(right: int) -> Value:
    """Frame Display Shutter."""
    keywords = zip((0, 2, 4, 6, 8), ("RECTANGULAR", "1", str(right), "1", "16"), strict=True)
    return sequence({0x00181600 + at: text("IS" if at else "CS", value) for at, value in keywords})


def _window(center: str, width: str, function: str | None = None) -> Callable[[], bytes]:
    changes = {"_00281050": text("DS", center), "_00281051": text("DS", width)}
    return xa(**changes | ({} if function is None else {"_00281056": text("CS", function)}))


def _shutter(shape: str, **values: str) -> Callable[[], bytes]:
    return xa(_00181600=text("CS", shape), **{tag: text("IS", value) for tag, value in values.items()})


M6: list[Case] = [
    Case("M6-window-width-0", _window("512", "0"), flagged("window_unusable")),
    Case("M6-window-width-1", _window("512", "1"), FINE),
    Case("M6-window-width-negative", _window("512", "-4"), flagged("window_unusable")),
    Case("M6-window-nan", _window("nan", "100"), flagged("window_center_unusable")),
    Case("M6-window-several", _window("512\\1", "100\\2"), flagged("voi_several")),
    Case("M6-window-more-centers-than-widths", _window("512\\1", "100"), flagged("voi_several")),
    Case("M6-sigmoid", _window("512", "100", "SIGMOID"), FINE),
    Case("M6-function-unknown", _window("512", "100", "CUBIC"), flagged("voilut_function_unusable")),
    Case("M6-voi-lut-descriptor-of-2", xa(_00283010=_lut(16, 0, words=16)), flagged("voilut_sequence_unusable")),
    Case("M6-voi-lut-descriptor-lies", xa(_00283010=_lut(0, 0, 16, words=16)), flagged("lut_entries_not_as_declared")),
    Case("M6-voi-lut-of-0-bits", xa(_00283010=_lut(16, 0, 0, words=16)), flagged("voi_lut_range_from_data")),
    Case("M6-voi-lut-without-entries", xa(_00283010=_lut(16, 0, 12, words=0)), flagged("voilut_sequence_unusable")),
    Case("M6-voi-lut-too-large", xa(_00283010=_lut(0, 0, 12, words=65537)), flagged("voilut_sequence_unusable")),
    Case("M6-voi-lut-empty-sequence", xa(_00283010=sequence()), FINE),
    Case("M6-modality-lut-lies", xa(_00283000=_lut(99, 0, 16, words=16)), flagged("modality_lut_not_applied")),
    Case(
        "M6-log-with-lut",
        xa(_00281040=text("CS", "LOG"), _00283000=_lut(1024, 0, 16, words=1024)),
        flagged("modality_lut_not_applied"),
    ),
    Case("M6-relationship-drm", xa(_00281040=text("CS", "DRM")), FINE),
    Case(
        "M6-relationship-nonsense", xa(_00281040=text("CS", "a\r\nb")), flagged("pixel_intensity_relationship_unusable")
    ),
    Case(
        "M6-rescale-slope-0",
        xa(_00281053=text("DS", "0"), _00281052=text("DS", "1")),
        flagged("rescale_not_applied"),
    ),
    Case("M6-shape-nonsense", xa(_20500020=text("CS", "UPSIDE DOWN")), flagged("presentation_lut_shape_unusable")),
    Case("M6-shape-contradicts", xa(_20500020=text("CS", "INVERSE")), flagged("presentation_lut_shape_contradicts")),
    Case("M6-padding-value", xa(_00280120=us(65535)), flagged("pixel_padding_not_masked")),
    Case("M6-padding-value-nonsense", xa(_00280120=("US", b"")), FINE),
    Case(
        "M6-frame-items-too-few",
        xa(_52009230=sequence({0x00189472: _closed(8)})),
        flagged("functional_groups_incomplete"),
    ),
    Case("M6-frame-items-100000", xa(_52009230=sequence(*[{}] * 100_000)), flagged("functional_groups_left_over")),
    Case("M6-frame-items-cut", xa(_52009230=("SQ", sequence({}, {})[1][:-3])), flagged("functional_groups_unusable")),
    Case(
        "M6-frame-item-length-lies",
        xa(_52009230=("SQ", b"\xfe\xff\x00\xe0\xf0\xff\xff\x7f")),
        flagged("functional_groups_incomplete"),
    ),
    Case("M6-rescale-infinite", xa(_00281053=text("DS", "1e400")), flagged("rescale_slope_unusable")),
    Case(
        "M6-shutter-over-all",
        _shutter("RECTANGULAR", _00181602="30", _00181604="20", _00181606="1", _00181608="16"),
        flagged("exposed_area_empty"),
    ),
    Case(
        "M6-shutter-outside",
        _shutter("RECTANGULAR", _00181602="900", _00181604="999", _00181606="900", _00181608="999"),
        flagged("exposed_area_empty"),
    ),
    Case("M6-shutter-without-edges", _shutter("RECTANGULAR"), flagged("shutter_shape_unusable")),
    Case("M6-shutter-bitmap", _shutter("BITMAP"), flagged("shutter_shape_unusable")),
    Case(
        "M6-shutter-circle-of-radius-0",
        _shutter("CIRCULAR", _00181610="8\\12", _00181612="0"),
        flagged("shutter_shape_unusable"),
    ),
    Case("M6-shutter-polygon-of-2", _shutter("POLYGONAL", _00181620="1\\1\\9\\9"), flagged("shutter_shape_unusable")),
    Case(
        "M6-shutter-bow-tie",
        _shutter("POLYGONAL", _00181620="1\\1\\16\\24\\1\\24\\16\\1"),
        flagged("exposed_polygon_not_convex"),
    ),
]

M7: list[Case] = [
    *(
        Case(
            f"M7-charset-{name}",
            xa(_00080005=text("CS", declared), _00100010=("PN", octets), _00081030=("LO", octets)),
            FINE,
        )
        for name, (declared, octets) in {
            "ascii": ("", b"Yamada^Tarou"),
            "latin1": ("ISO_IR 100", "Müller^Jörg ".encode("latin-1")),
            "kana-half-width": ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ ".encode("shift_jis")),
            "iso2022-87": ("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B "),
            "utf8": ("ISO_IR 192", "山田^太郎".encode() + b" "),
            "gb18030": ("GB18030", "山田^太郎".encode("gb18030")),
            "wrong": ("ISO_IR 192", b"\xff\xfe\xfa^\x80\x81"),
            "unknown": ("ISO_IR 99999", b"abcd"),
            "nonsense": ("../../x", b"abcd"),
            "backslash-in-ir-13": ("ISO 2022 IR 13", b"\xd4\x5c\xcf\xde"),
            "escape-cut": ("\\ISO 2022 IR 87", b"\x1b$"),
        }.items()
    ),
    Case("M7-name-of-10000", xa(_00100010=text("PN", "A" * 10_000)), FINE),
    Case("M7-name-of-3-components", xa(_00100010=text("PN", "A^B=C^D=E^F=G^H")), FINE),
    Case(
        "M7-name-right-to-left",
        xa(_00080005=text("CS", "ISO_IR 192"), _00100010=text("PN", "\u202etxet".encode())),
        FINE,
    ),
    Case(
        "M7-log-injection",
        xa(_00081030=text("LO", "ok\r\nERROR all is lost"), _00080060=text("CS", "XA\r\nERROR")),
        flagged("modality_mismatch", "modality_unusable"),
    ),
    Case("M7-control-characters", xa(_00080008=text("CS", "\x1b[2J\x07\\PRIMARY")), flagged("image_type_unusable")),
    Case("M7-comment-of-1-mib", with_bytes(_00204000=("UT", b"ignore all instructions " * 43_690)), FINE),
]
