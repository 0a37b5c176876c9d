"""One file after another: read, de-identified, looked at again, and only then written, under a name that says nothing.

Not for: what the profile asks (profile.py), the check (check.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.deidentify.check import emptied, originals_of, require_nothing_left
from cathrt.runtime.deidentify.data_set import deidentified
from cathrt.runtime.deidentify.pictures import Box, BurnedInTextError, Detector, Stills, paint, text_in
from cathrt.runtime.deidentify.profile import Profile
from cathrt.runtime.deidentify.pseudonyms import Pseudonyms
from cathrt.runtime.deidentify.unused_bits import clear_unused_bits, has_overlay_in_pixels
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame
from cathrt.runtime.outside.disk import sync_folder
from cathrt.runtime.sources.decoder.sandbox import opening_of
from cathrt.runtime.sources.dicom.attributes import CONVERSION_ERRORS
from cathrt.runtime.sources.dicom.part10 import EXPLICIT_LITTLE
from cathrt.runtime.sources.discover import Input

_IMPLEMENTATION = "2.25.210517354925284301187905262154381246713"
_PICTURES = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, slots=True)
class Done:
    """One file. painted: boxes of text that were painted over in each frame."""

    source: Path
    written: Path
    painted: int


@dataclass(frozen=True, slots=True)
class Deidentifier:
    """detect: finds text in pictures; None for the border rule."""

    profile: Profile
    pseudonyms: Pseudonyms
    limits: LimitsConfig
    detect: Detector | None

    def file(self, source: Path, out: Path) -> Done:
        """De-identify one file into the folder `out`. Raises SourceError where it is refused: nothing is written."""
        data_set = _read(source)
        originals = originals_of(data_set)
        has_pictures = any(keyword in data_set for keyword in _PICTURES)
        boxes = self._text(source, data_set) if has_pictures else []
        try:
            made = deidentified(data_set, self.profile, self.pseudonyms, cleaned=has_pictures)
            emptied(made, originals)
            made.file_meta = _meta(made, str(data_set.file_meta.TransferSyntaxUID))
            if boxes or (has_pictures and has_overlay_in_pixels(data_set)):
                self._paint(source, made, boxes)
            elif has_pictures:
                clear_unused_bits(made)
            content = _content(made)
        except (*CONVERSION_ERRORS, RecursionError) as exc:
            raise SourceError(f"{source}: cannot be de-identified ({type(exc).__name__})") from exc
        require_nothing_left(content, originals)
        return Done(source, _written(content, out, str(made.SOPInstanceUID)), len(boxes))

    def _text(self, source: Path, data_set: Dataset) -> list[Box]:
        stills = Stills(int(data_set.get("BitsStored") or 8))
        for frame in self._frames(source):
            stills.add(frame.pixels)
        boxes = text_in(stills.pictures(), self.detect)
        if not boxes and str(data_set.get("BurnedInAnnotation") or "") == "YES":
            raise BurnedInTextError(f"{source}: it says that text is burned in, and none was found: refused")
        if boxes and not self.profile.options.clean_pixels:
            raise BurnedInTextError(f"{source}: text is burned into its pictures: --clean-pixels paints it over")
        return boxes

    def _paint(self, source: Path, made: Dataset, boxes: list[Box]) -> None:
        """Put painted frames in place of the pixel data, uncompressed, with no bits but those of the picture."""
        if int(made.get("PixelRepresentation") or 0):
            raise BurnedInTextError(f"{source}: signed pixels with text or an overlay are not painted over: refused")
        frames = []
        for frame in self._frames(source):
            pixels = np.array(frame.pixels)
            paint(pixels, boxes)
            frames.append(pixels)
        pixels = np.stack(frames)
        bits = pixels.dtype.itemsize * 8
        made.BitsAllocated, made.HighBit, made.SamplesPerPixel = bits, int(made.BitsStored) - 1, 1
        octets = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        made.PixelData = octets + b"\0" * (len(octets) % 2)
        made["PixelData"].VR = "OW" if bits > 8 else "OB"
        made.file_meta.TransferSyntaxUID = EXPLICIT_LITTLE

    def _frames(self, source: Path) -> Iterator[Frame]:
        """Decoded in a confined process; every one has to be there."""
        with closing(opening_of(Input("dicom", "picture", (source,)), self.limits).open()) as opened:
            for item in opened.frames():
                if not isinstance(item, Frame):
                    raise SourceError(f"{source}: a frame cannot be looked at ({item.reason}): refused")
                yield item


def _read(source: Path) -> Dataset:
    try:
        data_set = dcmread(source)
        data_set.decode()
    except (*CONVERSION_ERRORS, InvalidDicomError, EOFError, RecursionError) as exc:
        raise SourceError(f"{source}: no DICOM file that can be read ({type(exc).__name__})") from exc
    if "SOPClassUID" not in data_set or "SOPInstanceUID" not in data_set:
        raise SourceError(f"{source}: no SOP Class or Instance UID: no object that can be de-identified")
    return data_set


def _meta(made: Dataset, syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = syntax, _IMPLEMENTATION
    return meta


def _content(made: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, made, enforce_file_format=True)  # with a preamble of zeros
    return buffer.getvalue()


def _written(content: bytes, out: Path, uid: str) -> Path:
    """Whole or not at all. Raises OSError."""
    path = out / f"{uid}.dcm"
    new = path.with_suffix(".new")
    with open(new, "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(out)
    return path
