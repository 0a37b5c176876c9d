"""How the tensor of fused ingest (kernels/src/ingest.cu) is cut into tiles, so that what is under one fits into memory.

Not for: the launch (ingest.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.kernels.cuda.resize import ResizeAxis

SHARED_BYTES = 48 * 1024  # what every GPU gives a block without being asked
_TILE = (8, 32)  # a warp writes a row of it; 1024 x 1024 to 224 x 224 reads 1.22 pixels for each of the frame
_QUAD_BYTES = 16  # four neighbouring pixels of grey in float32
_CHUNK_ROWS = 8  # fewer rows at once would keep a block waiting for memory


@dataclass(frozen=True, slots=True)
class Tile:
    """What one block makes: height x width of the tensor, from chunk_rows rows of the frame at a time.

    quads: groups of four columns under the widest tile.
    """

    height: int
    width: int
    chunk_rows: int
    quads: int

    @property
    def shared_bytes(self) -> int:
        return (self.chunk_rows + self.height) * self.quads * _QUAD_BYTES


def tile_of(vertical: ResizeAxis, horizontal: ResizeAxis, shared_bytes: int = SHARED_BYTES) -> Tile:
    """The largest tile, at most 8 x 32, under which eight rows of the frame, or all it needs, fit into shared memory.

    Raises ValueError where not even one row under one output does: the frame is too wide for so small a tensor.
    """
    height, width = min(_TILE[0], vertical.outputs), min(_TILE[1], horizontal.outputs)
    while True:
        quads = _widest(horizontal, width)
        rows = _tallest(vertical, height)
        fitting = shared_bytes // (quads * _QUAD_BYTES) - height
        smallest = height == width == 1
        if fitting >= min(rows, 1 if smallest else _CHUNK_ROWS):
            return Tile(height, width, min(rows, fitting), quads)
        if smallest:
            raise ValueError(
                f"a row of {quads * 4} columns under one column of the tensor needs {2 * quads * _QUAD_BYTES} bytes of "
                f"shared memory: expected at most {shared_bytes}; crop the frame or take a wider tensor"
            )
        if width > 1:
            width = (width + 1) // 2
        else:
            height = (height + 1) // 2


def _widest(horizontal: ResizeAxis, width: int) -> int:
    """Quads of columns under the widest tile; tiles begin at a multiple of four."""
    begins = range(0, horizontal.outputs, width)
    reaches = [horizontal.reach(begin, min(begin + width, horizontal.outputs)) for begin in begins]
    return max((last - first // 4 * 4 + 3) // 4 for first, last in reaches)


def _tallest(vertical: ResizeAxis, height: int) -> int:
    """Rows of the frame under the tallest tile."""
    begins = range(0, vertical.outputs, height)
    return max(last - first for first, last in (vertical.reach(b, min(b + height, vertical.outputs)) for b in begins))
