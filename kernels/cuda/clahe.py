"""Launches contrast-limited histogram equalisation (kernels/src/clahe.cu); meaning: kernels/reference/clahe.py.

Not for windowing. Everything is allocated when the plan is made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from cathrt.kernels.cuda.frame_memory import require_apart, require_frame, require_side, stored_dtype
from cathrt.kernels.cuda.stream import DeviceMemory, Scalar, Stream
from cathrt.kernels.reference.clahe import bins_log2, clip_count, padded_side

_TABLE_THREADS = 512
_MIX_BLOCK = (16, 16, 1)  # sixteen threads of four pixels across: half a cell of the usual 1024 pixels in 8 tiles
_MIX_ROWS = 64  # of a cell, in one block: enough to pay for bringing its tables into shared memory
_MOST_COUNTS = 8192  # in shared memory: 32 KiB
_MOST_TILES = 64


class Clahe:
    """Equalises frames of one size on the device. Not thread-safe."""

    def __init__(
        self,
        stream: Stream,
        shape: tuple[int, int],
        dtype: DTypeLike,
        bits_stored: int,
        tiles: tuple[int, int],
        clip_limit: float,
    ) -> None:
        """shape: (rows, columns). dtype: of pixels and output, uint8 or uint16. tiles: down, across, 1 to 64 each.

        clip_limit: highest count of a bin as a multiple of the mean; 0: none. Raises ValueError, CudaError.
        """
        require_side("rows", shape[0])
        require_side("columns", shape[1])
        if not all(1 <= count <= _MOST_TILES for count in tiles):
            raise ValueError(f"tiles are {tiles}: expected 1 to {_MOST_TILES} down and across")
        if not 0 <= clip_limit <= 65536:
            raise ValueError(f"clip_limit is {clip_limit}: expected a multiple of the mean count up to 65536, or 0")
        self._dtype = stored_dtype(dtype, bits_stored)
        whole = all(side % count == 0 for side, count in zip(shape, tiles, strict=True))
        tile_rows, tile_columns = (padded_side(s, t, whole=whole) // t for s, t in zip(shape, tiles, strict=True))
        pixels = tile_rows * tile_columns
        if pixels >= 1 << 31:
            raise ValueError(f"a tile has {pixels} pixels: expected fewer than 2**31; ask for more tiles")
        self._stream = stream
        self._shape = shape
        self._tiles = tiles
        self._tile = (np.int32(tile_rows), np.int32(tile_columns))
        self._bins = 1 << bins_log2(bits_stored)
        top = (1 << bits_stored) - 1
        self._binning = (np.int32(top), np.int32(bits_stored - bins_log2(bits_stored)), np.int32(self._bins))
        self._most = np.int32(min(pixels, clip_count(clip_limit, pixels, self._bins)))
        self._scale = np.float32(top / pixels)
        self._copies = min(8, _MOST_COUNTS // self._bins)
        self._tables = stream.allocate(2 * tiles[0] * tiles[1] * self._bins)

    def __call__(self, pixels: DeviceMemory, pitch: int, out: DeviceMemory, out_pitch: int) -> None:
        """Equalise pixels into out. Pitches: bytes from one row to the next.

        Raises ValueError where a frame does not fit its memory, or the two share bytes.
        """
        require_frame("pixels", pixels, pitch, self._shape, self._dtype)
        require_frame("out", out, out_pitch, self._shape, self._dtype)
        require_apart(pixels, out)
        rows, columns = (np.int32(side) for side in self._shape)
        frame: tuple[DeviceMemory | Scalar, ...] = (pixels, np.int64(pitch), rows, columns)
        kind = f"u{8 * self._dtype.itemsize}"
        self._stream.launch(
            f"clahe_table_{kind}_kernel",
            (self._tiles[1], self._tiles[0], 1),
            (_TABLE_THREADS, 1, 1),
            *frame,
            *self._tile,
            *self._binning,
            np.int32(self._copies),
            self._most,
            self._scale,
            self._tables,
            shared_bytes=4 * self._copies * (self._bins + 1),
        )
        four = 4 * self._dtype.itemsize
        vectors = all(number % four == 0 for number in (pixels.address, pitch, out.address, out_pitch))
        self._stream.launch(
            f"clahe_mix_{kind}_kernel",
            (self._tiles[1] + 1, self._tiles[0] + 1, -(-int(self._tile[0]) // _MIX_ROWS)),
            _MIX_BLOCK,
            *frame,
            *self._tile,
            *(np.int32(count) for count in self._tiles),
            *self._binning,
            self._tables,
            np.int32(vectors),
            out,
            np.int64(out_pitch),
            shared_bytes=8 * self._bins,
        )
