"""Writes a phantom run as a multi-frame X-Ray Angiographic Image, so that it is read as a real one is.

One frame at a time: a run never sits in memory whole. Not for: what the data set says (dicom_header.py), code streams
(encoders.py), results (sinks/) or reading (sources/dicom).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import accumulate, chain
from pathlib import Path
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.frame import Run
from cathrt.runtime.phantom.dicom_header import XA_IMAGE_STORAGE, Acquisition, decimal, uid, xa_header
from cathrt.runtime.phantom.encoders import JPEG_METHOD, Encoding, Syntax, encoding_for, jpeg_from_pixels

Render = Callable[[int], NDArray[Any]]

_KEPT_IN_MEMORY = 64 << 20  # bytes of code streams; more goes to a temporary file
_ITEM, _SEQUENCE_DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
_UNDEFINED = 0xFFFFFFFF


def write_xa(
    run: Run,
    render: Render,
    path: Path,
    syntax: Syntax = "explicit-le",
    acquisition: Acquisition | None = None,
    study: str = "",
) -> Path:
    """Write every frame of `run` to `path`; returns it. The same run gives the same bytes. study: as of xa_header().

    render(index) gives frame `index`: (rows, columns) uint8 or uint16 stored values, called once each, in order.
    Raises ConfigError before the first frame where the syntax cannot hold the run's bits.
    """
    assert run.frame_count is not None
    encoding = encoding_for(syntax, run.grayscale.bits_stored, run.source)
    dataset = xa_header(run, acquisition, instance=f"|{syntax}" if encoding.lossy else "", study=study)
    frames = _frames(render, run.frame_count, np.dtype("u1" if dataset.BitsAllocated == 8 else "<u2"))
    dataset.LossyImageCompression = "00"
    if acquisition is not None and acquisition.jpeg_quality is not None:
        first = next(frames)
        _add_loss(dataset, first.nbytes / len(jpeg_from_pixels(first, acquisition.jpeg_quality)))
        frames = chain([first], frames)
    if encoding.encode is None:
        _write_native(dataset, frames, path, encoding.transfer_syntax_uid)
    else:
        _write_encapsulated(dataset, frames, path, encoding)
    return path


def _frames(render: Render, count: int, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for index in range(count):
        yield np.ascontiguousarray(render(index)).astype(dtype, copy=False)


def _add_loss(dataset: Any, ratio: float) -> None:
    """One more lossy step that the pixels have been through (PS3.3 C.7.6.1.1.5); the ratio is approximate."""
    dataset.LossyImageCompression = "01"
    for keyword, value in (
        ("LossyImageCompressionRatio", decimal(round(ratio, 3))),
        ("LossyImageCompressionMethod", JPEG_METHOD),
    ):
        before = dataset.get(keyword)
        setattr(dataset, keyword, value if before is None else [before, value])


def _write_native(dataset: Any, frames: Iterator[NDArray[Any]], path: Path, transfer_syntax_uid: str) -> None:
    eight = dataset.BitsAllocated == 8
    length = int(dataset.NumberOfFrames) * dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    with path.open("wb") as stream:
        _write_header(stream, dataset, transfer_syntax_uid)
        stream.write(_pixel_data_head(b"OB" if eight else b"OW", length + length % 2))
        for pixels in frames:
            stream.write(pixels.tobytes())
        stream.write(b"\x00" * (length % 2))


def _write_encapsulated(dataset: Any, frames: Iterator[NDArray[Any]], path: Path, encoding: Encoding) -> None:
    """Frames first, to a spool: how long they are stands before them in the file (offset table, compression ratio)."""
    assert encoding.encode is not None
    with SpooledTemporaryFile(max_size=_KEPT_IN_MEMORY) as spool:
        lengths: list[int] = []
        for pixels in frames:
            stream_of_frame = encoding.encode(pixels, dataset.BitsStored)
            stream_of_frame += b"\x00" * (len(stream_of_frame) % 2)
            spool.write(_ITEM + struct.pack("<I", len(stream_of_frame)) + stream_of_frame)
            lengths.append(len(stream_of_frame))
        if encoding.lossy:
            raw = len(lengths) * dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
            _add_loss(dataset, raw / sum(lengths))
        spool.seek(0)
        with path.open("wb") as stream:
            _write_header(stream, dataset, encoding.transfer_syntax_uid)
            stream.write(_pixel_data_head(b"OB", _UNDEFINED))
            table = _offset_table(lengths)
            stream.write(_ITEM + struct.pack("<I", len(table)) + table)
            copyfileobj(spool, stream)
            stream.write(_SEQUENCE_DELIMITER)


def _write_header(stream: BinaryIO, dataset: Any, transfer_syntax_uid: str) -> None:
    """Preamble, file meta and everything before Pixel Data."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filewriter import dcmwrite

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = XA_IMAGE_STORAGE
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = "CATHRT"
    dataset.file_meta = meta
    dcmwrite(stream, dataset, enforce_file_format=True)


def _pixel_data_head(vr: bytes, length: int) -> bytes:
    """(7FE0,0010) in explicit VR: tag, VR, two reserved bytes, 32-bit length (PS3.5 7.1.2)."""
    return b"\xe0\x7f\x10\x00" + vr + b"\x00\x00" + struct.pack("<I", length)


def _offset_table(lengths: list[int]) -> bytes:
    """Basic Offset Table: where each frame's item begins, counted from the first (PS3.5 A.4)."""
    starts = list(accumulate((8 + length for length in lengths[:-1]), initial=0))
    # What does not fit 32 bits has no table; readers then take one fragment a frame.
    return struct.pack(f"<{len(starts)}I", *starts) if starts[-1] <= _UNDEFINED else b""
