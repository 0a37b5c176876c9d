"""Every combination of the steps from stored values to a picture, as files: for cathrt, and for DCMTK to show.

A cell is one combination; a group holds the twelve cells that differ in polarity and padding only. The picture of a
cell has every stored value of 8 and 12 bits, and 4,096 of 16 bits, each once. Widths are powers of two: DCMTK computes
in float64 and cuts off, so that a grey which is a whole step would otherwise fall to either side of it.

DCMTK 3.6.7 differs from the standard in what it reads. Its files differ from ours where they must:
- Enhanced objects: it reads no VOI from functional groups, so that its file has all at the top of the data set.
  It applies their modality step, which the standard excludes: it is told not to (--no-modality).
- LINEAR_EXACT: it does not know the function; it is given LINEAR with the same line, half a unit on and one wider.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.frame import Frame, LookupTable, Run
from cathrt.runtime.preprocess import Preprocessor
from tests.sources.dicom_bytes import Elements, Value, native, part10, sequence, text, us, xa_elements
from tests.sources.reading import read_bytes_here

DCMTK = "dcm2pnm"
X_RAY = {
    "XA": "1.2.840.10008.5.1.4.1.1.12.1",
    "XRF": "1.2.840.10008.5.1.4.1.1.12.2",
    "Enhanced XA": "1.2.840.10008.5.1.4.1.1.12.1.1",
    "Enhanced XRF": "1.2.840.10008.5.1.4.1.1.12.2.1",
}
CAPTURES = {
    "secondary capture": "1.2.840.10008.5.1.4.1.1.7",
    "secondary capture, byte": "1.2.840.10008.5.1.4.1.1.7.2",
    "secondary capture, word": "1.2.840.10008.5.1.4.1.1.7.3",
}
CLASSES = X_RAY | CAPTURES
BITS = (8, 12, 16)
MODALITIES = ("none", "rescale", "falling rescale", "table")
VOIS = ("none", "LINEAR", "LINEAR_EXACT", "SIGMOID", "table")
POLARITIES = tuple(itertools.product(("MONOCHROME1", "MONOCHROME2"), (None, "IDENTITY", "INVERSE")))
TABLE_BITS, TABLE_TOP = 12, 2048


@dataclass(frozen=True)
class Cell:
    """One combination of the axes above; `padding`: the object names a Pixel Padding Value."""

    sop_class: str
    bits: int
    signed: bool
    modality: str
    voi: str
    photometric: str
    shape: str | None
    padding: bool

    @property
    def inverted(self) -> bool:
        """DCMTK's rule: the shape where there is one, else the photometric interpretation."""
        return self.shape == "INVERSE" if self.shape else self.photometric == "MONOCHROME1"

    @property
    def enhanced(self) -> bool:
        return self.sop_class.startswith("Enhanced")

    @cached_property
    def pixels(self) -> NDArray[np.int64]:
        """Pixel values in rising order: square, signed where the cell is; of the lower half of the range without a VOI
        step, where lowest and highest value make the window."""
        lowest = -(1 << self.bits - 1) if self.signed else 0
        values = np.arange(1 << min(self.bits, 12), dtype=np.int64)
        if self.bits == 16:
            values = values * 16 + values // 256  # to 65,535
        if self.voi == "none":
            values = np.minimum(values, 1 << self.bits - 1)
        side = 1 << min(self.bits, 12) // 2
        return (values + lowest).reshape(side, side)

    @property
    def applied_modality(self) -> str:
        return self.modality if self.sop_class in CAPTURES else "none"

    @cached_property
    def reach(self) -> tuple[int, int]:
        """The lowest and the highest value that the VOI step is given."""
        low, high = int(self.pixels.min()), int(self.pixels.max())
        if self.applied_modality == "table":
            return 0, TABLE_TOP
        slope, intercept = RESCALES.get(self.applied_modality, (1, 0))
        ends = sorted((low * slope + intercept, high * slope + intercept))
        return ends[0], ends[1]

    @cached_property
    def window(self) -> tuple[float, float]:
        """Center and width, inside the range."""
        low, high = self.reach
        power = float(1 << (high - low).bit_length() - 1)
        width = {"LINEAR": power + 1.0, "SIGMOID": power * 0.7}.get(self.voi, power)
        return low + (high - low) * 5 // 8 + 0.5, width

    @property
    def table_at(self) -> int:
        """The value that a VOI LUT of 201 entries begins with."""
        low, high = self.reach
        return low + (high - low) // 6


RESCALES = {"rescale": (2, -100), "falling rescale": (-1, 255)}
VOI_TABLE: NDArray[np.uint16] = np.rint(4095 * np.sin(np.linspace(0, np.pi / 2, 201)) ** 2).astype(np.uint16)


def groups() -> Iterator[tuple[str, list[Cell]]]:
    """The name of each group, and its cells."""
    axes = itertools.product(CLASSES, BITS, (False, True), MODALITIES, VOIS)
    for sop_class, bits, signed, modality, voi in axes:
        name = f"{sop_class}, {bits} bits, {'signed' if signed else 'unsigned'}, modality {modality}, VOI {voi}"
        cells = [
            Cell(sop_class, bits, signed, modality, voi, photometric, shape, padding)
            for (photometric, shape), padding in itertools.product(POLARITIES, (False, True))
        ]
        yield name, cells


def file_of(cell: Cell, *, for_dcmtk: bool = False) -> bytes:
    """The cell as a DICOM file of one frame."""
    rows, columns = cell.pixels.shape
    allocated = 8 if cell.bits == 8 else 16
    uid = CLASSES[cell.sop_class]
    elements = xa_elements(1, rows, columns, allocated, cell.bits) | {
        0x00080016: text("UI", uid),
        0x00080060: text("CS", "RF" if "XRF" in cell.sop_class else "XA"),
        0x00280004: text("CS", cell.photometric),
        0x00280103: us(int(cell.signed)),
    }
    if cell.shape is not None:
        elements[0x20500020] = text("CS", cell.shape)
    if cell.padding:
        elements[0x00280120] = (
            "SS" if cell.signed else "US",
            int(cell.pixels[3, 3]).to_bytes(2, "little", signed=cell.signed),
        )
    modality, voi = _modality(cell), _voi(cell)
    if cell.enhanced and not for_dcmtk:
        shared = {0x00289145: sequence(modality), 0x00289132: sequence(voi)}
        elements |= {0x52009229: sequence({tag: value for tag, value in shared.items() if value[1]})}
    else:
        elements |= modality | voi
    words = (cell.pixels & ((1 << allocated) - 1)).astype(np.uint16)
    return part10(elements, native(words[None], allocated), meta={0x00020002: text("UI", uid)})


def _table(first: int, bits: int, data: NDArray[np.uint16]) -> Value:
    entries = len(data) % 65536
    return sequence({0x00283002: us(entries, first % 65536, bits), 0x00283006: ("OW", data.astype("<u2").tobytes())})


def _modality(cell: Cell) -> Elements:
    if cell.modality in RESCALES:
        slope, intercept = RESCALES[cell.modality]
        return {0x00281052: text("DS", str(intercept)), 0x00281053: text("DS", str(slope))}
    if cell.modality == "table":
        share = np.minimum(np.arange(1 << cell.bits) / (1 << cell.bits - 1), 1.0)
        data = np.rint(np.sqrt(share) * TABLE_TOP).astype(np.uint16)
        return {0x00283000: _table(int(cell.pixels.min()), TABLE_BITS, data)}
    return {}


def _voi(cell: Cell) -> Elements:
    if cell.voi == "none":
        return {}
    if cell.voi == "table":
        return {0x00283010: _table(cell.table_at, TABLE_BITS, VOI_TABLE)}
    center, width = (text("DS", f"{number:g}") for number in cell.window)
    return {0x00281050: center, 0x00281051: width, 0x00281056: text("CS", cell.voi)}


def options_of(cell: Cell) -> list[str]:
    """What makes DCMTK show the steps that the standard asks for, and no other."""
    voi = {"none": ["--min-max-window"], "table": ["--use-voi-lut", "1"]}.get(cell.voi, ["--use-window", "1"])
    if cell.voi == "LINEAR_EXACT":
        center, width = cell.window
        voi = ["--set-window", f"{center + 0.5:g}", f"{width + 1.0:g}", "--linear-function"]
    return [*voi, *(["--no-modality"] if cell.enhanced else [])]


def dcmtk_picture(cell: Cell, folder: Path) -> NDArray[np.uint8]:
    """DCMTK's picture of the cell, 8 bits."""
    path, out = folder / "cell.dcm", folder / "cell.pgm"
    path.write_bytes(file_of(cell, for_dcmtk=True))
    # Without its dictionary, which files of explicit VR do not need, it starts four times as fast.
    subprocess.run(
        [DCMTK, "-q", *options_of(cell), "--write-raw-pnm", path, out],
        check=True,
        env={**os.environ, "DCMDICTPATH": os.devnull},
    )
    return np.frombuffer(out.read_bytes()[-cell.pixels.size :], np.uint8).reshape(cell.pixels.shape)


def grey_of(cell: Cell, folder: Path) -> tuple[Run, NDArray[np.float32]]:
    """The file read, and the frame's grey in [0, 1] as the network would be given it, at the frame's own size."""
    run, (frame,) = read_bytes_here(folder, file_of(cell))
    assert isinstance(frame, Frame)
    rows, columns = cell.pixels.shape
    spec = Preprocessing(
        input="frame",
        layout="NCHW",
        height=rows,
        width=columns,
        window="voi_else_percentile",
        percentiles=(0.0, 100.0),  # what DCMTK calls its min-max algorithm
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        masked_value=0.0,
    )
    out = np.empty((1, 3, rows, columns), np.float32)
    assert Preprocessor(run, spec)(frame.pixels, out, frame.grayscale)
    return run, out[0, 0]


def as_dcmtk_rounds(cell: Cell, run: Run, grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey in [0, 1] to DCMTK's 8 bits.

    Of a window DCMTK cuts 255 * grey off (not rounds). Of a VOI LUT it cuts off entry * 256 / 2**bits, and of an
    inverted one 255 - entry * 254 / 2**bits, where grey is entry / (2**bits - 1).
    """
    if not isinstance(run.grayscale.voi, LookupTable):
        return np.floor(grey.astype(np.float64) * 255.0).astype(np.uint8)
    size = float(1 << run.grayscale.voi.bits)
    entry = np.rint((1.0 - grey if cell.inverted else grey).astype(np.float64) * (size - 1.0))
    return np.floor(255.0 - entry * 254.0 / size if cell.inverted else entry * 256.0 / size).astype(np.uint8)


def digest(picture: NDArray[np.uint8]) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()[:12]
