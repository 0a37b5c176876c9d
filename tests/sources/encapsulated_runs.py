"""Runs of five small pictures in every kind of code stream, their fragments and offset tables written as a test asks.

Not for: damaged streams (code_streams.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from rle.rle import encode_frame as rle_encode_frame

from cathrt.runtime.frame import Frame, LostFrame, Run
from tests.sources.dicom_bytes import (
    HTJ2K_LOSSLESS,
    J2K_LOSSLESS,
    JPEG_LS,
    JPEG_SV1,
    RLE,
    Elements,
    encapsulated,
    part10,
    pictures,
    xa_elements,
)
from tests.sources.reading import read_bytes_here

ROWS, COLUMNS, FRAMES, BITS = 37, 53, 5, 10
PICTURES = pictures(FRAMES, ROWS, COLUMNS, BITS)
EXTENDED_OFFSETS, EXTENDED_LENGTHS, NUMBER_OF_FRAMES = 0x7FE00001, 0x7FE00002, 0x00280008
ENCODERS: dict[str, Callable[[NDArray[np.uint16]], bytes]] = {
    JPEG_SV1: lambda frame: bytes(imagecodecs.ljpeg_encode(frame, bitspersample=BITS)),
    JPEG_LS: lambda frame: bytes(imagecodecs.jpegls_encode(frame)),
    J2K_LOSSLESS: lambda frame: bytes(
        imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0, bitspersample=BITS)
    ),
    HTJ2K_LOSSLESS: lambda frame: bytes(imagecodecs.htj2k_encode(frame, reversible=True)),
    RLE: lambda frame: bytes(rle_encode_frame(frame.astype("<u2").tobytes(), ROWS, COLUMNS, 1, 16, "<")),
}
STREAMS = {syntax: [encode(frame) for frame in PICTURES] for syntax, encode in ENCODERS.items()}
EMPTY = [b""]  # a frame whose one item is empty

Table = Literal["none", "basic", "extended"]
TABLES: tuple[Table, ...] = ("none", "basic", "extended")


def pieces_of(stream: bytes, count: int = 3) -> list[bytes]:
    """A stream in fragments of even length, save the last."""
    size = len(stream) // count // 2 * 2
    return [stream[i * size : (i + 1) * size] for i in range(count - 1)] + [stream[(count - 1) * size :]]


def offsets_of(frames: Sequence[Sequence[bytes]]) -> list[int]:
    """The offset of each frame's first item."""
    sizes = [sum(8 + len(piece) + len(piece) % 2 for piece in frame) for frame in frames]
    return [0, *accumulate(sizes[:-1])]


@dataclass(frozen=True)
class Written:
    """A run to write: the fragments of each frame, an offset table, and Number of Frames (None leaves it out)."""

    syntax: str
    frames: Sequence[Sequence[bytes]]
    table: Table = "none"
    offsets: Sequence[int] | None = None  # others than the true ones
    declared: int | None = FRAMES
    delimiter: bool = True
    after: bytes = b""
    elements: Elements = field(default_factory=dict)

    def octets(self) -> bytes:
        elements = xa_elements(self.declared, ROWS, COLUMNS, 16, BITS) | self.elements
        offsets = offsets_of(self.frames) if self.offsets is None else list(self.offsets)
        if self.table == "extended":
            elements[EXTENDED_OFFSETS] = _packed(offsets)
            elements[EXTENDED_LENGTHS] = _packed([sum(map(len, frame)) for frame in self.frames])
        fragments = [piece for frame in self.frames for piece in frame]
        table = offsets if self.table == "basic" else ()
        pixel_data = encapsulated(fragments, table=table, delimiter=self.delimiter)
        return part10(elements, pixel_data + self.after, self.syntax)

    def read(self, folder: Path) -> tuple[Run, list[Frame | LostFrame]]:
        return read_bytes_here(folder, self.octets())


def seen(items: Sequence[Frame | LostFrame]) -> list[int | None]:
    """For each item, which of the pictures it shows; None for a lost frame, -1 for a picture that is none of them."""
    assert [item.index for item in items] == list(range(len(items)))
    return [_number(item) if isinstance(item, Frame) else None for item in items]


def reasons(items: Sequence[Frame | LostFrame]) -> list[str]:
    return [item.reason for item in items if isinstance(item, LostFrame)]


def _number(frame: Frame) -> int:
    same = [number for number, picture in enumerate(PICTURES) if np.array_equal(frame.pixels, picture)]
    return same[0] if same else -1


def _packed(values: Sequence[int]) -> tuple[str, bytes]:
    return "OV", struct.pack(f"<{len(values)}Q", *values)
