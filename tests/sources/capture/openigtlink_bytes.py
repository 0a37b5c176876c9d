"""OpenIGTLink messages as bytes, whole ones by pyigtl and broken ones by hand."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyigtl
from numpy.typing import NDArray


def image_message(pixels: NDArray[Any], timestamp: float = 0.0, device: str = "Angio") -> bytes:
    """An IMAGE message of one slice."""
    message = pyigtl.ImageMessage(pixels[np.newaxis], timestamp=timestamp, device_name=device)
    return bytes(message.pack())


def raw_message(body: bytes, *, kind: str = "IMAGE", version: int = 1, size: int | None = None) -> bytes:
    """A message of any body; size: as declared, if not as it is."""
    declared = len(body) if size is None else size
    header = struct.pack("> H 12s 20s II Q Q", version, kind.encode(), b"Angio", 0, 0, declared, 0)
    return header + body


def image_body(
    *,
    columns: int = 4,
    rows: int = 3,
    slices: int = 1,
    components: int = 1,
    scalar: int = 3,
    endianness: int = 2,
    part: tuple[int, int, int] | None = None,
    position: float = 0.0,
    pixels: bytes | None = None,
) -> bytes:
    """Body of an IMAGE message, whether or not it makes sense."""
    size = (columns, rows, slices)
    head = struct.pack("> H B B B B H H H", 1, components, scalar, endianness, 2, *size)
    head += struct.pack("> 12f", *[position] * 12)
    head += struct.pack("> 6H", 0, 0, 0, *(part or size))
    return head + (bytes(columns * rows * slices * components) if pixels is None else pixels)
