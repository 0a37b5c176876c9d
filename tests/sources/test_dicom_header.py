"""What the attributes of a DICOM file become: Run, flags, or a refusal. In this process: no pixel of it is foreign."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LookupTable, LostFrame, Run, VoiWindow
from cathrt.runtime.sources.dicom.attributes import snake_case
from tests.sources.dicom_bytes import (
    ENHANCED_XA,
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    JPEG_SV1,
    Elements,
    Value,
    encapsulated,
    native,
    part10,
    pictures,
    sequence,
    text,
    us,
    xa_elements,
    xa_file,
)
from tests.sources.reading import read_bytes_here


def run_of(folder: Path, frames: int = 3, **changes: Value | None) -> Run:
    return read_bytes_here(folder, xa_file(frames, **changes))[0]


def test_a_plain_run_is_described_without_a_flag(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert run.flags == ()
    assert (run.frame_count, run.rows, run.columns) == (3, 16, 24)
    assert (run.modality, run.radiation_setting) == ("XA", "GR")
    assert run.grayscale.pixel_intensity_relationship == "LIN"
    assert (run.geometry.positioner_primary_angle_deg, run.geometry.positioner_secondary_angle_deg) == (-30.5, 20.0)
    assert run.dicom is not None
    assert run.dicom.sop_instance_uid == "1.2.3.4.5"


def test_nothing_a_person_typed_reaches_the_run(tmp_path: Path) -> None:
    run = run_of(tmp_path, _00100010=text("PN", "SECRET^NAME"), _00204000=text("LT", "SECRET comment"))
    assert "SECRET" not in repr(run)


def test_the_same_content_has_the_same_run_id_whatever_its_name(tmp_path: Path) -> None:
    data = xa_file()
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append(read_bytes_here(tmp_path / name, data)[0])
    other = read_bytes_here(tmp_path, xa_file(stored=11))[0]
    assert runs[0].run_id == runs[1].run_id != other.run_id


@pytest.mark.parametrize(
    ("changes", "voi", "flags"),
    [
        ({"_00281050": text("DS", "512"), "_00281051": text("DS", "1024")}, VoiWindow(512, 1024, "LINEAR"), set()),
        ({"_00281050": text("DS", "512"), "_00281051": text("DS", "8"), "_00281056": text("CS", "SIGMOID")},
         VoiWindow(512, 8, "SIGMOID"), set()),
        ({"_00281050": text("DS", "512"), "_00281051": text("DS", "0.5"), "_00281056": text("CS", "LINEAR_EXACT")},
         VoiWindow(512, 0.5, "LINEAR_EXACT"), set()),
        ({"_00281050": text("DS", "512\\300"), "_00281051": text("DS", "1024\\100")},
         VoiWindow(512, 1024, "LINEAR"), {"voi_several"}),
        ({"_00281050": text("DS", "512"), "_00281051": text("DS", "0")}, None, {"window_unusable"}),
        ({"_00281050": text("DS", "512")}, None, {"window_unusable"}),
        ({"_00281050": text("DS", "x"), "_00281051": text("DS", "9")}, None,
         {"window_center_unusable", "window_unusable"}),
        ({"_00281050": text("DS", "1"), "_00281051": text("DS", "9"), "_00281056": text("CS", "CUBIC")}, None,
         {"voilut_function_unusable"}),
    ],
)  # fmt: skip
def test_voi_window_is_taken_or_flagged(
    changes: dict[str, Value | None], voi: VoiWindow | None, flags: set[str], tmp_path: Path
) -> None:
    run = run_of(tmp_path, **changes)
    assert run.grayscale.voi == voi
    assert set(run.flags) == flags


def lut(entries: int, first: int, bits: int, data: np.ndarray) -> Value:
    return sequence({0x00283002: us(entries, first, bits), 0x00283006: ("OW", data.astype("<u2").tobytes())})


def test_a_voi_lut_is_carried_with_its_first_input_and_bits(tmp_path: Path) -> None:
    run = run_of(tmp_path, _00283010=lut(1024, 5, 12, np.arange(1024) * 4))
    assert isinstance(run.grayscale.voi, LookupTable)
    assert (run.grayscale.voi.first_input, run.grayscale.voi.bits) == (5, 12)
    assert np.array_equal(run.grayscale.voi.values, np.arange(1024, dtype=np.float32) * 4)


def test_a_voi_lut_of_implicit_and_big_endian_files_reads_the_same(tmp_path: Path) -> None:
    table = np.arange(1024) * 4
    found = []
    for syntax in (IMPLICIT_LITTLE, EXPLICIT_BIG):
        words = table.astype("<u2").tobytes()
        item: Elements = {0x00283002: us(1024, 5, 12), 0x00283006: ("OW", words)}
        vr, octets = sequence(item, syntax=syntax)
        if syntax == EXPLICIT_BIG:
            octets = struct.pack(">HHI", 0xFFFE, 0xE000, len(octets) - 8) + octets[8:]
        data = part10(xa_elements() | {0x00283010: (vr, octets)}, native(pictures(), 16, syntax), syntax)
        found.append(read_bytes_here(tmp_path, data)[0].grayscale.voi)
    assert all(isinstance(voi, LookupTable) and np.array_equal(voi.values, table) for voi in found), found


@pytest.mark.parametrize(
    "table",
    [
        sequence({0x00283002: us(1024, 0), 0x00283006: ("OW", bytes(2048))}),
        sequence({0x00283002: us(1024, 0, 12)}),
        sequence({0x00283002: us(1024, 0, 12), 0x00283006: ("OW", b"")}),
        sequence({0x00283002: us(0, 0, 12), 0x00283006: ("OW", bytes(2 * 65537))}),
        sequence({}),
    ],
)
def test_a_voi_lut_without_a_descriptor_or_without_data_is_flagged_and_left_out(table: Value, tmp_path: Path) -> None:
    run = run_of(tmp_path, _00283010=table)
    assert run.grayscale.voi is None
    assert set(run.flags) == {"voilut_sequence_unusable"}


def test_a_moving_c_arm_gives_each_frame_its_angle(tmp_path: Path) -> None:
    run, items = read_bytes_here(
        tmp_path,
        xa_file(
            _00181500=text("CS", "DYNAMIC"), _00181520=text("DS", "0\\1.5\\1.5"), _00181521=text("DS", "0\\-1\\-1")
        ),
    )
    angles = [
        (item.positioner_primary_angle_deg, item.positioner_secondary_angle_deg)
        for item in items
        if isinstance(item, Frame)
    ]
    assert angles == [(-30.5, 20.0), (-29.0, 19.0), (-27.5, 18.0)]
    assert run.flags == ("positioner_increments_summed",)


def test_angles_that_no_c_arm_has_are_flagged_and_left_out(tmp_path: Path) -> None:
    run = run_of(tmp_path, _00181510=text("DS", "999"), _00181511=text("DS", "-91"))
    assert run.geometry.positioner_primary_angle_deg is None
    assert run.geometry.positioner_secondary_angle_deg is None
    assert run.flags == ("positioner_primary_angle_unusable", "positioner_secondary_angle_unusable")


def test_an_enhanced_object_is_read_through_its_functional_groups(tmp_path: Path) -> None:
    shared = {
        0x00289132: sequence({0x00281050: text("DS", "500"), 0x00281051: text("DS", "900")}),
    }
    per_frame = [
        {0x00189405: sequence({0x00181510: text("DS", str(a)), 0x00181511: text("DS", "5")})} for a in (1, 2, 3)
    ]
    data = part10(
        xa_elements()
        | {
            0x00080016: text("UI", ENHANCED_XA),
            0x00181510: text("DS", ""),
            0x52009229: sequence(shared),
            0x52009230: sequence(*per_frame),
        },
        native(pictures()),
        meta={0x00020002: text("UI", ENHANCED_XA)},
    )
    data = data.replace(b"\x18\x00\x10\x15DS\x00\x00", b"").replace(b"\x18\x00\x11\x15DS\x02\x0020", b"")
    run, items = read_bytes_here(tmp_path, data)
    assert run.flags == ()
    assert run.grayscale.voi == VoiWindow(500.0, 900.0)
    assert run.geometry.positioner_primary_angle_deg == 1.0
    assert [item.positioner_primary_angle_deg for item in items if isinstance(item, Frame)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        (
            {"_00080016": text("UI", "1.2.840.10008.5.1.4.1.1.12.2"), "_00080060": text("CS", "RF")},
            "sop_class_mismatch",
        ),
        ({"_00080016": text("UI", "1.2.840.10008.5.1.4.1.1.7")}, "secondary_capture"),
        ({"_00080060": text("CS", "OT")}, "modality_mismatch"),
        ({"_00080018": text("UI", "../../etc/passwd")}, "uid_unusable"),
        ({"_0020000D": text("UI", "1." * 40)}, "uid_unusable"),
        ({"_00280102": us(3)}, "high_bit_unusable"),
        ({"_00280004": None}, "photometric_interpretation_missing"),
        ({"_00080008": text("CS", "ORIGINAL\\PRIMARY\\BIPLANE B")}, "biplane_b"),
        ({"_00181164": text("DS", "0.2")}, "imager_pixel_spacing_unusable"),
        ({"_00181155": text("CS", "XX")}, "radiation_setting_unusable"),
    ],
)
def test_what_is_odd_but_usable_is_flagged(changes: dict[str, Value | None], flag: str, tmp_path: Path) -> None:
    assert flag in run_of(tmp_path, **changes).flags


def test_a_run_with_an_unusable_uid_has_no_identity_to_refer_to(tmp_path: Path) -> None:
    assert run_of(tmp_path, _00080018=text("UI", "1.2/../3")).dicom is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_00080016": text("UI", "1.2.840.10008.5.1.4.1.1.2")}, "CT Image Storage"),
        ({"_00280002": us(3), "_00280004": text("CS", "RGB")}, "Samples per Pixel 3"),
        ({"_00280103": us(2)}, "Pixel Representation"),
        ({"_00280100": us(32)}, "32 Bits Allocated"),
        ({"_00280101": us(17)}, "17 Bits Stored"),
        ({"_00280101": us(7)}, "7 Bits Stored"),
        ({"_00280010": us(0)}, "0 rows"),
        ({"_00280011": us(65535)}, "65535 columns"),
        ({"_00280008": text("IS", "0")}, "Number of Frames"),
        ({"_00280008": text("IS", "2000000000")}, "Number of Frames"),
        ({"_00280008": text("IS", "abc")}, "Number of Frames"),
        ({"_00280004": text("CS", "PALETTE COLOR")}, "PALETTE COLOR"),
    ],
)
def test_what_is_no_x_ray_run_is_refused_by_name(
    changes: dict[str, Value | None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=message):
        run_of(tmp_path, **changes)


def test_limits_are_those_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"limits\.max_frames = 2"):
        read_bytes_here(tmp_path, xa_file(), LimitsConfig(max_frames=2))
    with pytest.raises(SourceError, match=r"limits.max_rows x max_columns = 8x4096"):
        read_bytes_here(tmp_path, xa_file(), LimitsConfig(max_rows=8))


def test_frames_the_file_does_not_hold_are_lost_and_the_torn_one_failed(tmp_path: Path) -> None:
    data = xa_file(5)
    size = 16 * 24 * 2
    run, items = read_bytes_here(tmp_path, data[: -size - 10])
    assert run.frame_count == len(items) == 5
    assert [type(item) for item in items] == [Frame, Frame, Frame, LostFrame, LostFrame]
    assert [item.failed for item in items if isinstance(item, LostFrame)] == [True, False]


def test_one_damaged_frame_costs_that_frame_only(tmp_path: Path) -> None:
    import imagecodecs

    streams = [bytes(imagecodecs.ljpeg_encode(frame, bitspersample=10)) for frame in pictures(3)]
    streams[1] = streams[1][:40]
    _, items = read_bytes_here(tmp_path, part10(xa_elements(), encapsulated(streams), JPEG_SV1))
    assert [type(item) for item in items] == [Frame, LostFrame, Frame]


def test_a_stream_of_other_dimensions_is_not_decoded(tmp_path: Path) -> None:
    import imagecodecs

    stream = bytes(imagecodecs.ljpeg_encode(pictures(1, 32, 24)[0], bitspersample=10))
    _, (item,) = read_bytes_here(tmp_path, part10(xa_elements(1), encapsulated([stream]), JPEG_SV1))
    assert isinstance(item, LostFrame)
    assert item.failed
    assert "32x24" in item.reason
    assert "16x24" in item.reason


def test_keywords_become_flag_names() -> None:
    assert snake_case("FrameTimeVector") == "frame_time_vector"
    assert snake_case("VOILUTFunction") == "voilut_function"
    assert snake_case("ModalityLUTSequence") == "modality_lut_sequence"


def test_a_sop_class_that_is_no_well_formed_uid_is_refused_by_what_it_says(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"SOP class 1\. with modality XA"):
        read_bytes_here(tmp_path, xa_file(_00080016=text("UI", "1.")))


# An item of undefined length whose element has no VR that is known: text of it cannot be made.
DAMAGED_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x60\x00XX\x02\x00AB"


READ = (xa_elements().keys() | {0x00080018, 0x00181063, 0x00281050}) - {0x00100010, 0x00100020}  # not the patient's


@pytest.mark.parametrize("tag", sorted(READ))
def test_an_attribute_that_is_written_as_a_sequence_is_flagged_or_refused(tag: int, tmp_path: Path) -> None:
    with suppress(SourceError):
        run, _ = read_bytes_here(tmp_path, xa_file(**{f"_{tag:08X}": ("SQ", DAMAGED_ITEM)}))
        assert any(flag.endswith("unusable") for flag in run.flags), run.flags


def test_a_sequence_that_is_written_as_text_is_unusable(tmp_path: Path) -> None:
    run, _ = read_bytes_here(tmp_path, xa_file(_00283010=text("LO", "no items")))
    assert run.flags == ("voilut_sequence_unusable",)
