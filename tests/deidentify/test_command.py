"""`cathrt deidentify` on a folder as a hospital has it: runs with burned-in text, overlays, curves, private and nested
elements in several character sets, and our own objects of their studies. What it writes is read by other programs, and
none of what was planted is in it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.dataset import Dataset

from cathrt.runtime.commands.options import UNJUDGED
from cathrt.runtime.objects.dicom.document_font import FONT
from cathrt.runtime.objects.dicom.study_objects import bytes_of, objects_of
from tests.objects.dicom.generated_studies import CHARACTER_SETS, PlainFrames, generated_study

CANARY = "CANARY"
JAPANESE = [one for one in CHARACTER_SETS if "山" in one.name or "髙" in one.name]
BASIC = "113100"


@dataclass(frozen=True)
class Folder:
    """given: files by what they are. out: where the results are. lines: of the command. status: its exit status."""

    given: dict[str, Path]
    out: Path
    lines: list[dict[str, object]]
    status: int
    secrets: tuple[str, ...]

    def written(self, what: str) -> Dataset:
        """The result of one file."""
        return dcmread(self.path(what))

    def path(self, what: str) -> Path:
        (line,) = (one for one in self.lines if one["source"] == str(self.given[what]))
        assert line["written"] is not None, line
        return Path(str(line["written"]))

    def error(self, what: str) -> str:
        (line,) = (one for one in self.lines if one["source"] == str(self.given[what]))
        return str(line["error"])


def planted(path: Path) -> Dataset:
    """The run of a file, with canaries in places of each sort."""
    run = dcmread(path)
    item = Dataset()
    item.PatientName, item.StudyComments = f"{CANARY}^1", f"{CANARY} 2"
    item.RequestedProcedureCodeSequence = [Dataset()]
    item.RequestedProcedureCodeSequence[0].CodeMeaning = f"{CANARY} 3"
    run.RequestAttributesSequence = [item]
    run.add_new(0x00321032, "PN", f"{CANARY}^4")
    run.ImageComments, run.InstitutionName, run.ProtocolName = f"{CANARY} 5", f"{CANARY} 6", f"{CANARY} 7"
    block = run.private_block(0x0019, f"{CANARY} 8", create=True)
    block.add_new(1, "LO", f"{CANARY} 9")
    nested = Dataset()
    nested.PatientID = f"{CANARY} 10"
    block.add_new(2, "SQ", [nested])
    run.add_new(0x60000010, "US", 8)
    run.add_new(0x60000011, "US", 8)
    run.add_new(0x60000022, "LO", f"{CANARY} 11")
    run.add_new(0x60003000, "OW", f"{CANARY}12".encode())
    run.add_new(0x60004000, "LT", f"{CANARY} 13")
    run.add_new(0x50000022, "LO", f"{CANARY} 14")
    run.add_new(0x50003000, "OW", f"{CANARY}15".encode())
    run.add_new(0x00180FFE, "UN", f"{CANARY}16".encode())  # no dictionary has it
    return run


def burned_in(run: Dataset, text: str) -> None:
    """Write it along the upper edge of every frame."""
    sheet = Image.new("L", (run.Columns, run.Rows))
    ImageDraw.Draw(sheet).text((2, 1), text, fill=255, font=ImageFont.truetype(str(FONT), 10))
    ink = np.asarray(sheet)
    frames = np.full((run.NumberOfFrames, run.Rows, run.Columns), 90, np.uint8)
    run.PixelData = np.maximum(frames, ink[None]).tobytes()


def with_overlay_in_pixels(run: Dataset) -> None:
    """12 bits of picture, and an overlay in the highest bit of each pixel."""
    shape = (run.NumberOfFrames, run.Rows, run.Columns)
    run.BitsAllocated, run.BitsStored, run.HighBit = 16, 12, 11
    run["PixelData"].VR = "OW"
    run.PixelData = (np.full(shape, 1000, "<u2") | (np.indices(shape).sum(0) % 2 << 15).astype("<u2")).tobytes()
    del run[0x60003000]
    run.add_new(0x60000100, "US", 16)
    run.add_new(0x60000102, "US", 15)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    base = tmp_path_factory.mktemp("deidentify")
    source, out, given = base / "山田 太郎", base / "out", dict[str, Path]()
    source.mkdir()
    secrets = []
    for seed, character_set in enumerate(JAPANESE, 20):
        study = generated_study(base / str(seed), seed, "decided", character_set)
        secrets += [f"P{seed:05}", *re.split("[=^]", character_set.name), f"A{seed}", "Dr. 山田", "造影不良"]
        objects = {f"{one.Modality}{one.SOPClassUID[-3:]}": one for one in objects_of(study.results, PlainFrames())}
        made = {**objects, **{f"run {number}": planted(path) for number, path in enumerate(study.store.paths.values())}}
        for what, one in made.items():
            path = source / f"{seed} {what}.dcm"
            path.write_bytes(bytes_of(one))
            given[f"{seed} {what}"] = path
    text = dcmread(given["20 run 0"])
    burned_in(text, "YAMADA TAROU")
    text.save_as(given["20 run 0"])
    overlay = dcmread(given["21 run 0"])
    with_overlay_in_pixels(overlay)
    overlay.save_as(given["21 run 0"])
    key = base / "study.key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    key.chmod(0o600)
    words = ["deidentify", str(source), str(out), "--key-file", str(key), "--clean-pixels", "--shift-dates", "--json"]
    command = [sys.executable, "-m", "cathrt.runtime.commands.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(given), done.stderr
    return Folder(given, out, lines, done.returncode, tuple({one for one in secrets if len(one) > 1}))


def octets_of(path: Path) -> Iterator[bytes]:
    """Its bytes, and those of streams within it that are compressed."""
    octets = path.read_bytes()
    yield octets
    for body in re.findall(rb"stream\r?\n(.*?)endstream", octets, re.DOTALL):
        try:
            yield zlib.decompress(body)
        except zlib.error:
            continue


def test_nothing_planted_is_in_any_byte_of_what_is_written(folder: Folder) -> None:
    encodings = ("utf-8", "shift_jis", "iso2022_jp", "euc_jp", "utf-16-le")
    wanted = {CANARY.encode()}
    for secret in folder.secrets:
        for encoding in encodings:
            try:
                octets = secret.encode(encoding).removesuffix(b"\x1b(B")
            except UnicodeEncodeError:
                continue
            if len(octets) > 3:
                wanted.add(octets)
    assert len(wanted) > 20
    refused = {what: folder.error(what) for what in folder.given if folder_refused(folder, what)}
    assert refused.keys() == {what for what in folder.given if " OT" in what}
    assert all("expected an XA or XRF image" in error for error in refused.values())
    written = sorted(folder.out.iterdir())
    assert len(written) == len(folder.given) - len(refused)
    for path in written:
        for octets in octets_of(path):
            assert not [one for one in wanted if one in octets], path
        assert re.fullmatch(r"2\.25\.\d+\.dcm", path.name)


def test_no_element_that_pydicom_or_dcmtk_reads_has_a_canary(folder: Folder) -> None:
    for path in folder.out.iterdir():
        for element in dcmread(path).iterall():
            assert CANARY not in str(element.value)
            assert not element.tag.is_private
            assert element.tag.group >> 8 not in (0x50, 0x60)
    if shutil.which("dcmdump") is None:
        pytest.skip("dcmdump not installed: apt-get install dcmtk")
    done = subprocess.run(["dcmdump", "+L", "+U8", *map(str, folder.out.iterdir())], capture_output=True, check=True)
    said = done.stdout.decode("utf-8", "replace")
    assert said.count("(0012,0062) CS [YES]") == len(list(folder.out.iterdir()))
    assert CANARY not in said
    assert not [secret for secret in folder.secrets if not secret.isascii() and secret in said]


def test_dciodvfy_finds_no_fault_in_runs_that_it_had_none_in_before(folder: Folder) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy not installed: apt-get install dicom3tools")
    for what in ("20 run 1", "21 run 1", "22 run 1"):
        done = subprocess.run(["dciodvfy", str(folder.path(what))], capture_output=True, text=True, check=False)
        assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []


def test_objects_of_one_study_still_belong_together(folder: Folder) -> None:
    for seed in range(20, 20 + len(JAPANESE)):
        written = {
            what: folder.written(what)
            for what in folder.given
            if what.startswith(f"{seed} ") and not folder_refused(folder, what)
        }
        assert len({one.StudyInstanceUID for one in written.values()}) == 1
        assert len({one.PatientID for one in written.values()}) == 1
        assert all(one.PatientID.startswith("ANON-") for one in written.values())
        codes = {item.CodeValue for one in written.values() for item in one.DeidentificationMethodCodeSequence}
        assert codes >= {BASIC, "113107"}
        runs = {one.SOPInstanceUID for what, one in written.items() if " run " in what}
        named = {
            reference.ReferencedSOPInstanceUID
            for one in written.values()
            if one.Modality == "PR"
            for series in one.ReferencedSeriesSequence
            for reference in series.ReferencedImageSequence
        }
        assert named <= runs | {one.SOPInstanceUID for one in written.values()}


def folder_refused(folder: Folder, what: str) -> bool:
    return folder.error(what) != "None"


def test_text_at_the_edge_is_painted_over_or_the_file_is_refused(folder: Folder) -> None:
    (line,) = (one for one in folder.lines if one["source"] == str(folder.given["20 run 0"]))
    if line["written"] is None:
        assert "text" in str(line["error"])
        return
    assert line["painted"]
    pixels = folder.written("20 run 0").pixel_array
    assert (pixels[:, :8] < 200).all()
    assert folder.written("20 run 0").BurnedInAnnotation == "NO"


def test_an_overlay_among_the_bits_of_the_pixels_is_gone_and_the_picture_is_not(folder: Folder) -> None:
    before, after = dcmread(folder.given["21 run 0"]), folder.written("21 run 0")
    assert (np.frombuffer(before.PixelData, "<u2") >> 12).any()
    values = np.frombuffer(after.PixelData, "<u2")
    assert (values == 1000).all()
    assert not [element for element in after if element.tag.group == 0x6000]


def test_a_draft_as_a_document_has_nothing_left_of_it(folder: Folder) -> None:
    for what in folder.given:
        if " DOC" in what and not folder_refused(folder, what):
            made = folder.written(what)
            assert made.EncapsulatedDocumentLength == len(made.EncapsulatedDocument) == 2
            assert made.PatientName != dcmread(folder.given[what]).PatientName


def test_a_folder_of_which_a_part_is_refused_says_so_in_its_exit_status(folder: Folder) -> None:
    refused = [one for one in folder.lines if one["written"] is None]
    assert folder.status == (UNJUDGED if refused else 0)
    for one in refused:
        said = str(one["error"]).replace(str(one["source"]), "")  # the name that the file has here
        assert not [secret for secret in folder.secrets if secret in said]
